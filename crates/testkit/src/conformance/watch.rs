//! MUST 9, for stores that tell of changes: they tell of every one, whoever made it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use wix_visitor_core::{Change, Changes, ClientId, StoreErrorKind};

use super::fixture::StoreFixture;
use super::report::{Shown, Verdict, Violation};
use super::trial::{Handle, Keys, ensure, version};

/// How long a change may take to be told.
const SOON: Duration = Duration::from_secs(5);
const CHANGES: usize = 60;

/// Once a store has said that it listens, it tells of each change that any handle makes to a record of the site, and of no other site's.
pub async fn a_change_by_any_handle_is_told_to_all_who_listen(fixture: &dyn StoreFixture) -> Verdict {
    let keys = Keys::new();
    let site = ClientId::new(Keys::SITE).map_err(|e| Violation::new(e.to_string()))?;
    let handles = [Handle::open(fixture).await?, Handle::open(fixture).await?];
    let (tell, mut told) = mpsc::unbounded_channel();
    let changes = Changes::new(move |change| drop(tell.send(change)));
    let watched = handles[0].store();
    let (until, mut listening) = (Instant::now() + SOON, watched.watch(&site, &changes));
    // It listens for as long as it is polled.
    macro_rules! meanwhile {
        ($until:expr, $what:expr) => {
            tokio::select! {
                biased;
                Err(error) = &mut listening => Err(error),
                done = timeout_at($until, $what) => Ok(done),
            }
        };
    }
    match meanwhile!(until, told.recv()) {
        Err(error) if error.kind() == StoreErrorKind::Unsupported => {
            return Ok(Shown::Not("the store does not tell of changes"));
        }
        Err(error) => return Err(error.into()),
        Ok(first) => ensure!(
            matches!(first, Ok(Some(Change::Listening))),
            "a store that is watched first says that it listens, within {SOON:?}; it said {first:?}"
        ),
    }
    let mut missing = HashMap::new();
    for n in 0..CHANGES {
        let (key, new) = (keys.key(n % 20)?, version(n.to_string()));
        let old = missing.insert(key.clone(), new.clone());
        let swapping = handles[n % 2].swap(&key, old.as_ref(), &new);
        meanwhile!(Instant::now() + 10 * SOON, swapping)?.map_err(|_| Violation::new("a swap had no end"))??;
    }
    let until = Instant::now() + SOON;
    while !missing.is_empty() {
        match meanwhile!(until, told.recv())? {
            Ok(Some(Change::Written { key, etag })) => {
                ensure!(
                    key.as_str().starts_with(&format!("{site}/")),
                    "it tells of {key:?}, which is not of this site"
                );
                if missing.get(&key).is_some_and(|last| last.etag == etag) {
                    missing.remove(&key);
                }
            }
            Ok(other) => ensure!(other.is_some(), "it stopped telling"),
            Err(_) => {
                return Err(Violation::new(format!("of {} records the last change was not told", missing.len())));
            }
        }
    }
    Ok(Shown::Holds)
}
