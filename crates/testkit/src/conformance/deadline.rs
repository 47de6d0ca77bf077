//! MUST 7: every operation ends within its deadline.

use super::errors::NO_OUTAGE;
use super::fixture::StoreFixture;
use super::report::{Shown, Verdict, Violation};
use super::trial::{HOUR, Handle, Keys, ensure, version};

/// In an outage a swap is an error before twice the deadline has passed, and a load ends by then; one after the other and
/// many at once. Neither a conflict nor "no record" is an answer.
pub async fn an_outage_is_an_error_within_the_deadline(fixture: &dyn StoreFixture) -> Verdict {
    let (store, key) = (Handle::open(fixture).await?, Keys::new().key("visitor")?);
    let standing = store.put(&key, "standing").await?;
    if !fixture.begin_outage().await {
        return Ok(NO_OUTAGE);
    }
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, key, expected) = (store.clone(), key.clone(), standing.etag);
        crowd.spawn(async move {
            let new = version("new");
            let (swapped, loaded) =
                tokio::join!(store.try_exchange(&key, Some(&expected), &new, HOUR), store.try_load(&key));
            if let Ok(answer) = swapped? {
                return Err(Violation::new(format!("in an outage a swap is answered: {answer:?}")));
            }
            ensure!(!matches!(loaded?, Ok(None)), "in an outage a load says that there is no record");
            Ok(())
        });
    }
    let found = super::atomic::join(crowd).await;
    fixture.end_outage().await;
    found?;
    let found = store.load(&key).await?;
    ensure!(found.is_some(), "after an outage the record is gone");
    Ok(Shown::Holds)
}
