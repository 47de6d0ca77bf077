//! MUST 8: a write whose answer is missing can be repeated with the same etag and bytes.

use wix_visitor_core::Exchange;

use super::fixture::StoreFixture;
use super::report::{Shown, Verdict, Violation};
use super::trial::{HOUR, Handle, Keys, ensure, version};

/// The same write again, over any handle, is a conflict that shows the very version one wrote; and if the first never
/// arrived, it succeeds.
pub async fn a_repeated_write_meets_its_own_etag(fixture: &dyn StoreFixture) -> Verdict {
    let (store, other, keys) = (Handle::open(fixture).await?, Handle::open(fixture).await?, Keys::new());
    let key = keys.key("visitor")?;
    let first = store.put(&key, "first").await?;
    other.refuse(&key, None, &first, Some(&first)).await?;
    let second = version("second");
    store.swap(&key, Some(&first), &second).await?;
    for handle in [&store, &other] {
        handle.refuse(&key, Some(&first.etag), &second, Some(&second)).await?;
    }
    // Given up at every moment, then repeated: once applied, however often it was tried.
    let mut standing = second;
    for polls in 0..16 {
        let new = version(polls.to_string());
        tokio::select! {
            biased;
            answer = store.try_exchange(&key, Some(&standing.etag), &new, HOUR) => drop(answer?),
            () = async { for _ in 0..polls { tokio::task::yield_now().await } } => {}
        }
        match other.exchange(&key, Some(&standing.etag), &new).await? {
            Exchange::Swapped => {}
            Exchange::Conflict(Some(shown)) => ensure!(shown == new, "a repeated write meets {shown:?}, not its own"),
            Exchange::Conflict(None) => return Err(Violation::new("a repeated write meets no record")),
        }
        other.stands(&key, Some(&new)).await?;
        standing = new;
    }
    Ok(Shown::Holds)
}
