//! MUST 4: what was acknowledged is there after a crash, and no record is ever half there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use wix_visitor_core::{Exchange, StoreKey, Stored};

use super::atomic::join;
use super::fixture::StoreFixture;
use super::report::{Shown, Verdict};
use super::trial::{Checked, HOUR, Handle, Keys, ensure, noise, version};

/// First writes and swaps, small and large: after `Ok` each is there, whatever happens to the process.
pub async fn an_acknowledged_write_survives_a_crash(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        let key = keys.key(n)?;
        let mut standing = store.put(&key, noise(100 * n)).await?;
        if n % 2 == 1 {
            let new = version(noise(3000 * n));
            store.swap(&key, Some(&standing), &new).await?;
            standing = new;
        }
        acknowledged.push((key, standing));
    }
    let Some(after) = fixture.after_crash().await else {
        return Ok(Shown::Not("the store survives no crash, or the fixture cannot bring one about"));
    };
    let after = Handle::on(fixture, after?);
    for (key, record) in &acknowledged {
        after.stands(key, Some(record)).await?;
    }
    after.stands(&keys.key("never")?, None).await?;
    // And it goes on from there.
    let (key, record) = &acknowledged[0];
    let new = version("after the crash");
    after.refuse(key, None, &new, Some(record)).await?;
    after.swap(key, Some(record), &new).await?;
    after.stands(key, Some(&new)).await?;
    Ok(Shown::Holds)
}

/// While versions of very different lengths replace each other, every load, and every conflict, shows one of them whole.
pub async fn no_reader_sees_half_a_record(fixture: &dyn StoreFixture) -> Verdict {
    let key = Keys::new().key("visitor")?;
    let writer = Handle::open(fixture).await?;
    let mut standing = patterned(1);
    writer.swap(&key, None, &standing).await?;

    let over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for n in 0..3 {
        let (store, key, over) = (Handle::open(fixture).await?, key.clone(), Arc::clone(&over));
        readers.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let found = if n == 0 { conflicting(&store, &key).await? } else { store.load(&key).await? };
                ensure!(found.as_ref().is_some_and(is_whole), "a reader saw {found:?} in pieces");
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    let writing = async {
        for n in 0..60 {
            let new = patterned([60_000, 1, 5000, 0, 300][n % 5]);
            writer.swap(&key, Some(&standing), &new).await?;
            standing = new;
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    let written: Checked = writing.await;
    over.store(true, Ordering::Relaxed);
    join(readers).await?;
    written?;
    Ok(Shown::Holds)
}

async fn conflicting(store: &Handle, key: &StoreKey) -> Checked<Option<Stored>> {
    match store.exchange(key, None, &version("never")).await? {
        Exchange::Conflict(standing) => Ok(standing),
        Exchange::Swapped => Ok(None),
    }
}

/// Its etag over and over, and its length at the end.
fn patterned(length: usize) -> Stored {
    let mut new = version("");
    let etag = new.etag.to_bytes();
    new.bytes = etag.iter().cycle().take(length).copied().collect();
    new.bytes.extend((length as u64).to_be_bytes());
    new
}

fn is_whole(record: &Stored) -> bool {
    let Some((pattern, length)) = record.bytes.split_last_chunk::<8>() else { return false };
    let etag = record.etag.to_bytes();
    u64::from_be_bytes(*length) == pattern.len() as u64 && pattern.iter().eq(etag.iter().cycle().take(pattern.len()))
}

/// A caller that goes away at any moment leaves the old version or the new one, whole, and a store that works.
pub async fn a_call_that_is_given_up_leaves_a_whole_record(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    let first = patterned(2000);
    store.swap(&key, None, &first).await?;
    let mut written = vec![first];
    for polls in 0..24 {
        let standing = store.load(&key).await?;
        let new = patterned(100 * polls);
        let expected = standing.as_ref().map(|standing| &standing.etag);
        tokio::select! {
            biased;
            answer = store.try_exchange(&key, expected, &new, HOUR) => drop(answer?),
            () = give_up_after(polls) => {}
        }
        written.push(new);
        let found = store.load(&key).await?;
        ensure!(
            found.as_ref().is_some_and(|found| written.contains(found)),
            "after a call was given up there is {found:?}, which nobody wrote"
        );
    }
    // A write that was given up may still come, so a swap may meet it; but not for ever.
    for _ in 0..=written.len() {
        let standing = store.load(&key).await?;
        let last = version("last");
        if store.exchange(&key, standing.as_ref().map(|standing| &standing.etag), &last).await? == Exchange::Swapped {
            store.stands(&key, Some(&last)).await?;
            return Ok(Shown::Holds);
        }
    }
    ensure!(false, "after calls were given up no swap succeeds any more");
    Ok(Shown::Holds)
}

async fn give_up_after(polls: usize) {
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
}
