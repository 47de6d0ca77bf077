//! MUST 6: errors have the right kind; a record that cannot be read is *corrupt*, never "no record".

use wix_visitor_core::{Exchange, StoreError, StoreErrorKind};

use super::fixture::{Damage, StoreFixture};
use super::report::{Shown, Verdict, Violation};
use super::trial::{HOUR, Handle, Keys, ensure, version};

pub(super) const NO_OUTAGE: Shown = Shown::Not("the fixture cannot bring an outage about");

/// Whatever befalls a record, load and swap say *corrupt*: no `None`, no other record, and no first write over it.
pub async fn a_damaged_record_is_corrupt_and_never_absent(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let (whole_key, mut shown) = (keys.key("whole")?, 0);
    let whole = store.put(&whole_key, "whole").await?;
    for (n, damage) in [Damage::CutShort, Damage::Emptied, Damage::FlippedBit].into_iter().enumerate() {
        let key = keys.key(n)?;
        store.put(&key, "a record that will be damaged".repeat(40)).await?;
        if !fixture.damage(&key, damage).await {
            continue;
        }
        shown += 1;
        for store in [store.clone(), Handle::open(fixture).await?] {
            match store.try_load(&key).await? {
                Err(e) => is_corrupt(&e, damage)?,
                Ok(found) => {
                    return Err(Violation::new(format!("a record that was {damage:?} is loaded as {found:?}")));
                }
            }
            let new = version("new");
            for expected in [None, Some(&whole.etag)] {
                match store.try_exchange(&key, expected, &new, HOUR).await? {
                    Err(e) => is_corrupt(&e, damage)?,
                    Ok(Exchange::Swapped) => {
                        return Err(Violation::new(format!(
                            "a record that was {damage:?} was taken for none and replaced"
                        )));
                    }
                    Ok(Exchange::Conflict(found)) => {
                        return Err(Violation::new(format!("a record that was {damage:?} is shown as {found:?}")));
                    }
                }
            }
        }
    }
    store.stands(&whole_key, Some(&whole)).await?;
    Ok(if shown > 0 { Shown::Holds } else { Shown::Not("the fixture cannot damage a record") })
}

fn is_corrupt(error: &StoreError, damage: Damage) -> Result<(), Violation> {
    ensure!(
        error.kind() == StoreErrorKind::Corrupt && !error.is_transient(),
        "a record that was {damage:?} is {:?}, not corrupt: {error}",
        error.kind()
    );
    Ok(())
}

/// In an outage a swap is *unavailable* or *unknown*. If the former, it is not applied, also not after the outage; if the
/// latter, its etag is the one or the other. A load is no `None` where there is a record.
pub async fn what_is_reported_as_not_applied_never_is(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let (key, absent) = (keys.key("visitor")?, keys.key("absent")?);
    let standing = store.put(&key, "standing").await?;
    if !fixture.begin_outage().await {
        return Ok(NO_OUTAGE);
    }
    let (over, first) = (version("over"), version("first"));
    let swaps = tokio::join!(
        store.try_exchange(&key, Some(&standing.etag), &over, HOUR),
        store.try_exchange(&absent, None, &first, HOUR),
        store.try_load(&key),
    );
    fixture.end_outage().await;
    let (over_answer, first_answer, loaded) = (swaps.0?, swaps.1?, swaps.2?);
    if let Ok(found) = loaded {
        ensure!(found.is_some(), "in an outage a load says that there is no record");
    }
    for (key, old, new, answer) in [(&key, Some(&standing), &over, over_answer), (&absent, None, &first, first_answer)]
    {
        let Err(e) = answer else {
            return Err(Violation::new(format!("a swap in an outage was answered: {answer:?}")));
        };
        ensure!(
            matches!(e.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Unknown) && e.is_transient(),
            "an outage is {:?}, neither unavailable nor unknown: {e}",
            e.kind()
        );
        let found = store.load(key).await?;
        let may_be = found.as_ref() == old || e.kind() == StoreErrorKind::Unknown && found.as_ref() == Some(new);
        ensure!(may_be, "a swap reported as {:?} left {found:?}", e.kind());
        // The store works again, and what was said not to be applied does not come later.
        let next = version("next");
        match store.exchange(key, found.as_ref().map(|found| &found.etag), &next).await? {
            Exchange::Swapped => store.stands(key, Some(&next)).await?,
            Exchange::Conflict(Some(late)) if e.kind() == StoreErrorKind::Unknown && late == *new => {}
            Exchange::Conflict(found) => {
                return Err(Violation::new(format!("after an outage, {found:?} appeared without being written")));
            }
        }
    }
    Ok(Shown::Holds)
}

/// What an error shows, by `Display` and by `Debug`, down to its last source, holds neither the record nor its key.
pub async fn an_error_shows_nothing_of_the_record(fixture: &dyn StoreFixture) -> Verdict {
    const SECRET: &str = "a-token-that-nobody-may-see";
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let key = keys.key("visitor-key-0123456789")?;
    let standing = store.put(&key, SECRET).await?;
    let mut errors = Vec::new();
    let new = version(SECRET);
    if fixture.begin_outage().await {
        let (swap, load) =
            tokio::join!(store.try_exchange(&key, Some(&standing.etag), &new, HOUR), store.try_load(&key));
        fixture.end_outage().await;
        errors.extend(swap?.err());
        errors.extend(load?.err());
    }
    if fixture.damage(&key, Damage::CutShort).await {
        errors.extend(store.try_load(&key).await?.err());
        errors.extend(store.try_exchange(&key, None, &new, HOUR).await?.err());
    }
    for error in &errors {
        ensure!(!error.backend().is_empty(), "an error does not name its backend: {error}");
        let mut shown = format!("{error} {error:?} {error:#?}");
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            shown.push_str(&format!("{inner} {inner:?}"));
            source = inner.source();
        }
        let bytes = format!("{:?}", SECRET.as_bytes());
        let leaks = [SECRET, key.as_str(), bytes.trim_matches(['[', ']'])].iter().any(|secret| shown.contains(secret));
        ensure!(!leaks, "an error of the kind {:?} shows the record or its key", error.kind());
    }
    Ok(if errors.is_empty() { Shown::Not("the fixture can bring no error about") } else { Shown::Holds })
}
