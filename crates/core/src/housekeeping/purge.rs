//! Dropping what is over, by a clock that can be believed.
//!
//! A clock that jumps ahead by a year makes every record look as if it were over. So a purge goes by the time at which the purge before it
//! looked at the clock, which the store keeps; and it refuses where the clock has gone back since then, or is implausibly far ahead.

use std::convert::Infallible;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Housekeeper;
use super::sweep::patiently;
use crate::clock::{Entropy, SystemEntropy, Timestamp};
use crate::error::{StoreError, StoreErrorKind};
use crate::key::StoreKey;
use crate::store::{Cursor, Etag, Exchange, Purged, Stored};

/// How many records are looked at in one go.
const PAGE: usize = 1000;
/// So far may the clock be ahead of the last purge: who purges once a month never meets it.
const PLAUSIBLE: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// So far may it be behind: two machines' clocks.
const BEHIND: Duration = Duration::from_secs(60 * 60);
/// Where the store keeps the time of the last purge; no visitor's key. Plain also where records are sealed: who may write into the store
/// may drop its records without us.
const MARK: &str = "purge";
/// The mark is kept for as long as anything.
const KEEP: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// No purge follows another at once.
const BREATH: Duration = Duration::from_secs(1);
/// After a purge that failed, the next one comes sooner.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// What came of a purge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeDone {
    /// How many records were looked at.
    pub looked_at: u64,
    /// How many of them were dropped.
    pub dropped: u64,
    /// How many could not be read, and were left as they are.
    pub unreadable: u64,
    /// What is over was dropped if it was so at this moment: that of the purge before. `None` at the first one, which only takes note
    /// of the time.
    pub over_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    purged: Timestamp,
}

impl Housekeeper {
    /// Drops the records whose `keep` was over when the last purge came by, of all sites. The first purge only takes note of the time.
    ///
    /// # Errors
    /// *Unsupported* from a store that drops its records by itself; *misconfigured* if the clock is more than 35 days after the last
    /// purge, or an hour before it: see to it that it is right, and then say so by [`purge_trusting_the_clock`](
    /// Self::purge_trusting_the_clock). Else the store's, after it was tried for some seconds; what was dropped until then is
    /// dropped.
    pub async fn purge(&self) -> Result<PurgeDone, StoreError> {
        self.purge_by(false).await
    }

    /// Drops the records whose `keep` is over by the clock as it is.
    ///
    /// # Errors
    /// Those of [`purge`](Self::purge), but for what it says of the clock.
    pub async fn purge_trusting_the_clock(&self) -> Result<PurgeDone, StoreError> {
        self.purge_by(true).await
    }

    /// Purges again and again, with pauses of this length, a second at the least. Whatever fails is logged, and it goes on.
    ///
    /// To be spawned: `tokio::spawn(async move { housekeeper.purge_every(day).await })`.
    ///
    /// # Errors
    /// *Unsupported*, from a store that drops its records by itself.
    pub async fn purge_every(&self, pause: Duration) -> Result<Infallible, StoreError> {
        let pause = pause.max(BREATH);
        loop {
            let next = match self.purge().await {
                Ok(PurgeDone { looked_at, dropped, unreadable, .. }) => {
                    tracing::info!(looked_at, dropped, unreadable, "purged");
                    pause
                }
                Err(error) if error.kind() == StoreErrorKind::Unsupported => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "a purge failed; the next one comes");
                    AGAIN.min(pause)
                }
            };
            self.clock.sleep(next).await;
        }
    }

    async fn purge_by(&self, trusting: bool) -> Result<PurgeDone, StoreError> {
        let key = StoreKey::parse(MARK).map_err(|_| unreadable())?;
        let now = self.clock.wall();
        // Whether there is anything to be done at all.
        self.purge_page(Timestamp::from_millis(i64::MIN), None, 1).await?;
        let found = patiently(&*self.clock, || self.store.load(&key)).await;
        let damaged = found.is_err();
        let (last, standing) = match found {
            Ok(None) => (None, None),
            // It is written anew, whatever it says.
            Ok(Some(stored)) if trusting => (None, Some(stored.etag)),
            Ok(Some(stored)) => {
                let mark: Mark = serde_json::from_slice(&stored.bytes).map_err(|_| unreadable())?;
                (Some(mark.purged), Some(stored.etag))
            }
            Err(error) if error.standing().is_some() => {
                if !trusting {
                    return Err(unreadable().with_source(error));
                }
                (None, error.standing())
            }
            Err(error) => return Err(error),
        };
        if let Some(last) = last {
            plausible(last, now)?;
        }
        if damaged {
            // First of all, or it would be taken for a record that cannot be read.
            self.note(&key, standing, now).await?;
        }
        let mut done = PurgeDone { over_at: if trusting { Some(now) } else { last }, ..PurgeDone::default() };
        if let Some(moment) = done.over_at {
            let mut from = None;
            loop {
                let page = self.purge_page(moment, from.as_ref(), PAGE).await?;
                done.looked_at = done.looked_at.saturating_add(page.looked_at);
                done.dropped = done.dropped.saturating_add(page.dropped);
                done.unreadable = done.unreadable.saturating_add(page.unreadable);
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        // The mark is no record of anybody's.
        done.looked_at = done.looked_at.saturating_sub(u64::from(standing.is_some() && done.over_at.is_some()));
        if !damaged {
            self.note(&key, standing, now).await?;
        }
        Ok(done)
    }

    async fn purge_page(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
        patiently(&*self.clock, || self.store.purge(moment, from, most)).await
    }

    /// Notes when this purge came by. Another one at the same time has noted as good a time.
    async fn note(&self, key: &StoreKey, expected: Option<Etag>, now: Timestamp) -> Result<Exchange, StoreError> {
        let bytes = serde_json::to_vec(&Mark { purged: now }).map_err(|_| unreadable())?;
        let new = Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes };
        patiently(&*self.clock, || self.store.compare_exchange(key, expected.as_ref(), &new, KEEP)).await
    }
}

fn plausible(last: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    let (ahead, behind) = (now.since(last), last.since(now));
    let days = |time: Duration| time.as_secs() / (24 * 60 * 60);
    let how = if ahead > PLAUSIBLE {
        format!("{} days after", days(ahead))
    } else if behind > BEHIND {
        format!("{} minutes before", behind.as_secs() / 60)
    } else {
        return Ok(());
    };
    let message = format!(
        "nothing was dropped: the clock is {how} the last purge, and records are dropped by it; if it is right, say so \
         (`wix-visitor purge --trust-clock`)"
    );
    Err(StoreError::new(StoreErrorKind::Misconfigured, "token", message))
}

fn unreadable() -> StoreError {
    let message = format!(
        "what stands at the key `{MARK}`, the time of the last purge, cannot be read: if the clock is right, purge by it, which writes that \
         anew (`wix-visitor purge --trust-clock`)"
    );
    StoreError::new(StoreErrorKind::Corrupt, "token", message)
}
