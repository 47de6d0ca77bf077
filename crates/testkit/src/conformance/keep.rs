//! MUST 2: a record is kept at least for the `keep` of its last write.

use std::time::Duration;

use super::fixture::StoreFixture;
use super::report::{Shown, Verdict};
use super::trial::{Checked, HOUR, Handle, Keys, ensure, version};

const NO_TIME: Shown = Shown::Not("the fixture cannot let time pass");

/// A record is there until its time is over, whatever the lifetime of the tokens in it.
pub async fn a_record_stays_for_its_keep(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let (key, kept) = (keys.key("kept")?, version("kept"));
    store.swap_keeping(&key, None, &kept, 400 * 24 * HOUR).await?;
    for days in [1, 29, 335] {
        if !fixture.pass(days * 24 * HOUR).await {
            return Ok(NO_TIME);
        }
        crowd(&store, &keys, days).await?;
        store.stands(&key, Some(&kept)).await?;
    }
    Handle::open(fixture).await?.stands(&key, Some(&kept)).await?;
    Ok(Shown::Holds)
}

/// A swap sets the time anew: a record once written for a second stays if it was written again for longer.
pub async fn the_last_write_sets_the_keep(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let key = keys.key("kept")?;
    let (first, second) = (version("first"), version("second"));
    store.swap_keeping(&key, None, &first, Duration::from_secs(1)).await?;
    store.swap_keeping(&key, Some(&first), &second, 10 * HOUR).await?;
    if !fixture.pass(HOUR).await {
        return Ok(NO_TIME);
    }
    crowd(&store, &keys, 0).await?;
    store.stands(&key, Some(&second)).await?;
    // A swap that was refused sets nothing.
    let never = version("never");
    store.try_exchange(&key, Some(&never.etag), &never, Duration::ZERO).await??;
    fixture.pass(HOUR).await;
    crowd(&store, &keys, 1).await?;
    store.stands(&key, Some(&second)).await?;
    Ok(Shown::Holds)
}

/// However many records come and expire, none that is to be kept makes room for them.
pub async fn a_record_outlives_a_crowd_of_short_lived_ones(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let mut kept = Vec::new();
    for n in 0..8 {
        let key = keys.key(format_args!("kept-{n}"))?;
        kept.push((store.put(&key, "kept").await?, key));
        crowd(&store, &keys, n).await?;
    }
    for (record, key) in &kept {
        store.stands(key, Some(record)).await?;
    }
    Ok(Shown::Holds)
}

/// No `keep` is too short or too long to be written; a record kept for the longest is there.
pub async fn any_keep_is_taken(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    for keep in [Duration::ZERO, Duration::from_nanos(1), 36_500 * 24 * HOUR, Duration::MAX] {
        let (key, new) = (keys.key(keep.as_nanos())?, version("kept"));
        store.swap_keeping(&key, None, &new, keep).await?;
        if keep > HOUR {
            store.stands(&key, Some(&new)).await?;
            if fixture.pass(HOUR).await {
                store.stands(&key, Some(&new)).await?;
            }
        } else {
            let found = store.load(&key).await?;
            ensure!(found.is_none() || found == Some(new), "a record past its time is there, but is another");
        }
    }
    Ok(Shown::Holds)
}

/// Records that may be dropped at once: enough for a store to want to.
async fn crowd(store: &Handle, keys: &Keys, name: u32) -> Checked {
    for n in 0..40 {
        let key = keys.key(format_args!("crowd-{name}-{n}"))?;
        store.swap_keeping(&key, None, &version("short-lived"), Duration::ZERO).await?;
    }
    Ok(())
}
