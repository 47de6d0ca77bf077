//! MUST 5: loads and conflicts come from the primary: what was acknowledged to anyone is seen by everyone.

use super::fixture::StoreFixture;
use super::report::{Shown, Verdict};
use super::trial::{Handle, Keys, version};

const ROUNDS: usize = 40;

/// As soon as one handle has its `Ok`, every other handle loads the new version.
pub async fn a_load_sees_the_last_write_of_any_handle(fixture: &dyn StoreFixture) -> Verdict {
    let key = Keys::new().key("visitor")?;
    let handles = [Handle::open(fixture).await?, Handle::open(fixture).await?, Handle::open(fixture).await?];
    for handle in &handles {
        handle.stands(&key, None).await?;
    }
    let mut standing = None;
    for round in 0..ROUNDS {
        let new = version(round.to_string());
        handles[round % 3].swap(&key, standing.as_ref(), &new).await?;
        for others in 1..=3 {
            handles[(round + others) % 3].stands(&key, Some(&new)).await?;
        }
        standing = Some(new);
    }
    Handle::open(fixture).await?.stands(&key, standing.as_ref()).await?;
    Ok(Shown::Holds)
}

/// As soon as one handle has its `Ok`, a swap over any other handle compares with the new version, and shows it.
pub async fn a_conflict_shows_the_last_write_of_any_handle(fixture: &dyn StoreFixture) -> Verdict {
    let key = Keys::new().key("visitor")?;
    let handles = [Handle::open(fixture).await?, Handle::open(fixture).await?, Handle::open(fixture).await?];
    let mut standing = handles[0].put(&key, "first").await?;
    for round in 0..ROUNDS {
        let new = version(round.to_string());
        handles[round % 3].swap(&key, Some(&standing), &new).await?;
        handles[(round + 1) % 3].refuse(&key, Some(&standing.etag), &version("late"), Some(&new)).await?;
        handles[(round + 2) % 3].refuse(&key, None, &version("first?"), Some(&new)).await?;
        standing = new;
    }
    Ok(Shown::Holds)
}
