//! MUST 1: `compare_exchange` is atomic against every other handle, process and instance.

use tokio::task::JoinSet;
use wix_visitor_core::{Etag, Exchange, StoreKey};

use super::fixture::StoreFixture;
use super::report::{Shown, Verdict, Violation};
use super::trial::{Checked, Handle, Keys, ensure, version};

/// A write that expects no record succeeds on none, and changes nothing where there is one.
pub async fn a_first_write_needs_an_absent_record(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    store.stands(&key, None).await?;
    let first = store.put(&key, "first").await?;
    store.stands(&key, Some(&first)).await?;
    store.refuse(&key, None, &version("second"), Some(&first)).await?;
    Ok(Shown::Holds)
}

/// A swap succeeds over the version whose etag it names, once; over another, an earlier or no version it changes nothing.
pub async fn a_swap_needs_the_version_it_names(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    let never = version("never written");
    store.refuse(&key, Some(&never.etag), &version("over nothing"), None).await?;
    let first = store.put(&key, "first").await?;
    store.refuse(&key, Some(&never.etag), &version("over another"), Some(&first)).await?;
    let second = version("second");
    store.swap(&key, Some(&first), &second).await?;
    store.stands(&key, Some(&second)).await?;
    store.refuse(&key, Some(&first.etag), &version("over an earlier one"), Some(&second)).await?;
    Ok(Shown::Holds)
}

/// Etags that differ in one bit are different; those of all zeros and all ones are like any other.
pub async fn an_etag_is_compared_in_every_bit(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    let mut standing = store.put(&key, "standing").await?;
    for bit in 0..128 {
        let near = Etag::from_bits(standing.etag.to_bits() ^ (1 << bit));
        store.refuse(&key, Some(&near), &version("near"), Some(&standing)).await?;
    }
    for bits in [0, u128::MAX] {
        let mut new = version("at the edge");
        new.etag = Etag::from_bits(bits);
        store.swap(&key, Some(&standing), &new).await?;
        store.stands(&key, Some(&new)).await?;
        store.refuse(&key, None, &version("over an etag of zeros"), Some(&new)).await?;
        standing = new;
    }
    Ok(Shown::Holds)
}

/// Two versions with the same bytes are two: it is the etag that is compared (A, B, A again).
pub async fn equal_bytes_are_not_equal_versions(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    let first = store.put(&key, "A").await?;
    let (second, third) = (version("B"), version("A"));
    store.swap(&key, Some(&first), &second).await?;
    store.swap(&key, Some(&second), &third).await?;
    store.refuse(&key, Some(&first.etag), &version("C"), Some(&third)).await?;
    store.refuse(&key, Some(&second.etag), &version("C"), Some(&third)).await?;
    Ok(Shown::Holds)
}

/// Keys that begin or end alike, or differ in a separator, name different records.
pub async fn keys_that_look_alike_are_kept_apart(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let mut records = Vec::new();
    for name in ["a", "aa", "a/a", "a-a", "a/", "a-", "-a", "0", "00", "000", "1"] {
        records.push(keys.key(name)?);
    }
    for end in ["0", "1", "-", "/"] {
        records.push(keys.longest(end)?);
    }
    let mut written = Vec::new();
    for key in &records {
        store.stands(key, None).await?;
        written.push(store.put(key, key.as_str()).await?);
    }
    for (key, record) in records.iter().zip(&written) {
        store.stands(key, Some(record)).await?;
    }
    Ok(Shown::Holds)
}

/// Of many writes that all expect no record, through several handles at once, exactly one succeeds, and the others see it.
pub async fn of_many_first_writes_one_wins(fixture: &dyn StoreFixture) -> Verdict {
    let keys = Keys::new();
    let handles = [Handle::open(fixture).await?, Handle::open(fixture).await?, Handle::open(fixture).await?];
    for round in 0..8 {
        let key = keys.key(round)?;
        let mut tasks = JoinSet::new();
        for n in 0..12 {
            let (store, key) = (handles[n % handles.len()].clone(), key.clone());
            tasks.spawn(async move {
                let mine = version(vec![u8::try_from(n).unwrap_or(0); 300]);
                Ok::<_, Violation>((store.exchange(&key, None, &mine).await?, mine))
            });
        }
        let (mut won, mut shown) = (Vec::new(), Vec::new());
        for (answer, mine) in join(tasks).await? {
            match answer {
                Exchange::Swapped => won.push(mine),
                Exchange::Conflict(standing) => shown.push(standing),
            }
        }
        ensure!(won.len() == 1, "of 12 first writes {} succeeded", won.len());
        ensure!(
            shown.iter().all(|standing| standing.as_ref() == won.first()),
            "a conflict shows something else than the write that won"
        );
        handles[0].stands(&key, won.first()).await?;
    }
    Ok(Shown::Holds)
}

/// Eight tasks over four handles count up one record: not one step is lost or done twice.
pub async fn a_swap_is_atomic_against_other_handles(fixture: &dyn StoreFixture) -> Verdict {
    const TASKS: u64 = 8;
    const STEPS: u64 = 25;
    let key = Keys::new().key("counter")?;
    let mut tasks = JoinSet::new();
    let mut handle = Handle::open(fixture).await?;
    handle.put(&key, 0_u64.to_be_bytes()).await?;
    for task in 0..TASKS {
        if task % 2 == 1 {
            handle = Handle::open(fixture).await?;
        }
        let (store, key) = (handle.clone(), key.clone());
        tasks.spawn(async move { count_up(&store, &key, STEPS).await });
    }
    join(tasks).await?;
    let reached = counter(handle.load(&key).await?.as_ref().map(|standing| &*standing.bytes))?;
    ensure!(reached == TASKS * STEPS, "{} steps were acknowledged, and {reached} are to be seen", TASKS * STEPS);
    Ok(Shown::Holds)
}

async fn count_up(store: &Handle, key: &StoreKey, steps: u64) -> Checked {
    let mut standing = store.load(key).await?;
    let mut done = 0;
    while done < steps {
        let old = counter(standing.as_ref().map(|standing| &*standing.bytes))?;
        let new = version((old + 1).to_be_bytes());
        standing = match store.exchange(key, standing.as_ref().map(|standing| &standing.etag), &new).await? {
            Exchange::Swapped => {
                done += 1;
                Some(new)
            }
            Exchange::Conflict(standing) => standing,
        };
    }
    Ok(())
}

fn counter(bytes: Option<&[u8]>) -> Checked<u64> {
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_be_bytes)
        .ok_or_else(|| Violation::new("the counter is gone, or is no longer one"))
}

pub(super) async fn join<T: 'static>(mut tasks: JoinSet<Checked<T>>) -> Checked<Vec<T>> {
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.push(done.map_err(|e| Violation::new(format!("the store panicked: {e}")))??);
    }
    Ok(all)
}
