//! From one store to another, while instances use both.
//!
//! Each record is compared with what the other store holds, by the rule that decides everywhere which of two records is the newer
//! one. So it can be done again and again, before and after instances begin to use the other store, and never sets anybody back.

use std::sync::Arc;

use super::Housekeeper;
use super::sweep::{Failed, TURNS, keeps_changing};
use crate::clock::{Clock, Entropy, SystemEntropy};
use crate::error::StoreError;
use crate::key::StoreKey;
use crate::policy::Policy;
use crate::protocol::reconcile::{Held, Reconciled, reconcile};
use crate::record::{decode, encode};
use crate::store::{Etag, Exchange, Stored, TokenStore};

/// What came of moving to another store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Migrated {
    /// Records that the other store did not have, and has now.
    pub copied: u64,
    /// Records that the other store had an older version of, and has the newer one of now.
    pub updated: u64,
    /// Records that the other store had already, as they are or newer.
    pub there: u64,
    /// Records that are gone from this store meanwhile.
    pub gone: u64,
    /// Records that failed: they are where they were.
    pub failed: Failed,
}

impl Migrated {
    /// Whether the other store has all that this one has, and had it before: nothing was written, and nothing failed.
    pub fn is_settled(&self) -> bool {
        self.copied == 0 && self.updated == 0 && self.failed.count == 0
    }
}

impl Housekeeper {
    /// Brings every record into the other store, unless that has it as new. Changes nothing in this one.
    ///
    /// Instances may use this store meanwhile; also both, where a refresh token that was replaced still works for a while, since no claim
    /// in one store is honoured in the other. Once none uses this one any more, a last call brings over what came late; a call
    /// after which [`Migrated::is_settled`] shows that all is there.
    ///
    /// # Errors
    /// The store's, if it cannot be listed. Records that failed are in the answer.
    pub async fn migrate(&self, to: Arc<dyn TokenStore>) -> Result<Migrated, StoreError> {
        let (from, clock, policy) = (Arc::clone(&self.opened), Arc::clone(&self.clock), Arc::new(self.policy.clone()));
        let bring = move |key: StoreKey| {
            let (from, to) = (Arc::clone(&from), Arc::clone(&to));
            let (clock, policy) = (Arc::clone(&clock), Arc::clone(&policy));
            async move { bring(&key, &*from, &*to, &*clock, &policy).await }
        };
        let mut done = Migrated::default();
        let failed = self
            .sweep(bring, |how| {
                *match how {
                    Brought::Copied => &mut done.copied,
                    Brought::Updated => &mut done.updated,
                    Brought::There => &mut done.there,
                    Brought::Gone => &mut done.gone,
                } += 1;
            })
            .await?;
        Ok(Migrated { failed, ..done })
    }
}

enum Brought {
    Copied,
    Updated,
    There,
    Gone,
}

async fn bring(
    key: &StoreKey,
    from: &dyn TokenStore,
    to: &dyn TokenStore,
    clock: &dyn Clock,
    policy: &Policy,
) -> Result<Brought, StoreError> {
    let Some(ours) = from.load(key).await? else { return Ok(Brought::Gone) };
    let record = decode(&ours.bytes)?;
    let mut theirs = to.load(key).await?;
    for _ in 0..TURNS {
        let (expected, new) = match theirs {
            // As it is, a claim with it: the other store's instances wait for its holder as this one's do.
            None => (None, Stored { etag: ours.etag, bytes: ours.bytes.clone() }),
            Some(theirs) if theirs.etag == ours.etag => return Ok(Brought::There),
            Some(theirs) => {
                let now = clock.now();
                let held = Held { record: record.clone(), etag: Some(ours.etag), seen: now };
                match reconcile(&held, Some(&decode(&theirs.bytes)?), now, policy) {
                    Reconciled::Adopt => return Ok(Brought::There),
                    Reconciled::Put { record, .. } | Reconciled::Join { record, .. } => {
                        let etag = Etag::from_bits(SystemEntropy.draw());
                        (Some(theirs.etag), Stored { etag, bytes: encode(&record) })
                    }
                }
            }
        };
        let keep = policy.keep_for(&decode(&new.bytes)?);
        match to.compare_exchange(key, expected.as_ref(), &new, keep).await? {
            Exchange::Swapped if expected.is_none() => return Ok(Brought::Copied),
            Exchange::Swapped => return Ok(Brought::Updated),
            Exchange::Conflict(standing) => theirs = standing,
        }
    }
    Err(keeps_changing())
}
