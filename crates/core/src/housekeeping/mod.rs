//! What is done to a store from outside of the flow, while instances use it: listing, looking at a record, purging what is over,
//! sealing anew, and moving to another store.
//!
//! All of it can be ended at any moment and begun again: what is done already is found to be done, as the stores themselves say. A
//! record that cannot be read or written is told of and left as it is, and the rest goes on.

mod inspect;
mod migrate;
mod purge;
mod sweep;

#[cfg(feature = "sealing")]
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use inspect::{Holding, Inspection};
pub use migrate::Migrated;
pub use purge::PurgeDone;
pub use sweep::{Failed, Progress};

#[cfg(feature = "sealing")]
pub(crate) use sweep::{TURNS, keeps_changing};

use crate::clock::{Clock, SystemClock};
use crate::error::StoreError;
#[cfg(feature = "sealing")]
use crate::error::StoreErrorKind;
use crate::key::{ClientId, StoreKey};
use crate::policy::Policy;
#[cfg(feature = "sealing")]
use crate::sealing::{KeyName, KeyRing, PlainRecords, Resealed, SealedStore};
use crate::store::{Cursor, Page, TokenStore};

/// How many records are worked on at once.
const IN_FLIGHT: usize = 32;

/// More would hold a store's keys in memory, however many there are.
const MOST_IN_FLIGHT: usize = 1000;

/// Keeps house in a store.
#[derive(Clone)]
#[must_use]
pub struct Housekeeper {
    /// As it is.
    store: Arc<dyn TokenStore>,
    /// With its records opened, where they are sealed.
    opened: Arc<dyn TokenStore>,
    #[cfg(feature = "sealing")]
    sealing: Option<(KeyRing, PlainRecords)>,
    site: Option<ClientId>,
    policy: Policy,
    clock: Arc<dyn Clock>,
    in_flight: usize,
    progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl Housekeeper {
    /// In this store, among the visitors of all sites. A store that is sealed is given as it is, and its ring by
    /// [`sealed`](Self::sealed).
    pub fn new(store: impl TokenStore) -> Self {
        let store: Arc<dyn TokenStore> = Arc::new(store);
        Self {
            opened: Arc::clone(&store),
            store,
            #[cfg(feature = "sealing")]
            sealing: None,
            site: None,
            policy: Policy::default(),
            clock: Arc::new(SystemClock::default()),
            in_flight: IN_FLIGHT,
            progress: None,
        }
    }

    /// Its records are sealed by this ring.
    #[cfg(feature = "sealing")]
    pub fn sealed(mut self, ring: KeyRing, plain: PlainRecords) -> Self {
        self.opened = Arc::new(SealedStore::new(Arc::clone(&self.store), ring.clone()).plain_records(plain));
        self.sealing = Some((ring, plain));
        self
    }

    /// Among the visitors of this site alone.
    pub fn site(mut self, site: ClientId) -> Self {
        self.site = Some(site);
        self
    }

    /// The numbers of the flow that the instances use: how long records are kept.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock, in place of the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How many records are worked on at once, from one to a thousand; 32 unless said otherwise.
    pub fn in_flight(mut self, most: usize) -> Self {
        self.in_flight = most.clamp(1, MOST_IN_FLIGHT);
        self
    }

    /// Who is told how far it is; it must not block.
    pub fn on_progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }

    /// Some of the keys, from where an earlier page ended; about `most` of them.
    ///
    /// # Errors
    /// The store's; of the kind *unsupported* if it cannot list.
    pub async fn list(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let mut page = self.store.list(self.site.as_ref(), from, most).await?;
        page.keys.retain(is_a_visitors);
        Ok(page)
    }

    /// How many records each key has sealed, and (under `None`) how many are plain: whether a key can be removed.
    ///
    /// # Errors
    /// The store's, if it cannot be listed or a record cannot be loaded.
    #[cfg(feature = "sealing")]
    pub async fn seals(&self) -> Result<HashMap<Option<KeyName>, u64>, StoreError> {
        let store = Arc::clone(&self.store);
        let look = move |key: StoreKey| {
            let store = Arc::clone(&store);
            async move { Ok(store.load(&key).await?.map(|stored| KeyRing::sealed_by(&stored.bytes))) }
        };
        let mut seals = HashMap::new();
        let failed = self
            .sweep(look, |found| {
                if let Some(by) = found {
                    *seals.entry(by).or_default() += 1;
                }
            })
            .await?;
        match failed.first.into_iter().next() {
            Some((_, error)) => Err(error),
            None if failed.nameless > 0 => {
                let message =
                    format!("the keys of {} records cannot be read: restore the store from a backup", failed.nameless);
                Err(StoreError::new(StoreErrorKind::Corrupt, "token", message))
            }
            None => Ok(seals),
        }
    }

    /// Seals every record by the ring's primary key that is not yet, and says how many there were.
    ///
    /// # Errors
    /// The store's, if it cannot be listed. Records that failed are in the answer.
    #[cfg(feature = "sealing")]
    pub async fn reseal(&self) -> Result<ResealDone, StoreError> {
        let Some((ring, plain)) = self.sealing.clone() else {
            let message = "there is no ring of keys to seal by";
            return Err(StoreError::new(StoreErrorKind::Misconfigured, "sealed", message));
        };
        let sealed = Arc::new(SealedStore::new(Arc::clone(&self.store), ring).plain_records(plain));
        let policy = Arc::new(self.policy.clone());
        let reseal = move |key: StoreKey| {
            let (sealed, policy) = (Arc::clone(&sealed), Arc::clone(&policy));
            async move { sealed.reseal(&key, &policy).await }
        };
        let mut done = ResealDone::default();
        let failed = self
            .sweep(reseal, |how| match how {
                Resealed::Now => done.resealed += 1,
                Resealed::Already => done.already += 1,
                Resealed::Gone => {}
            })
            .await?;
        Ok(ResealDone { failed, ..done })
    }
}

/// What came of sealing anew.
#[cfg(feature = "sealing")]
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResealDone {
    /// Records that are now sealed by the primary key.
    pub resealed: u64,
    /// Records that were so before.
    pub already: u64,
    /// Records that are still as they were.
    pub failed: Failed,
}

impl fmt::Debug for Housekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Housekeeper").field("store", &self.opened).field("site", &self.site).finish_non_exhaustive()
    }
}

/// Whether a visitor's record stands there: every key of one has a slash in it.
fn is_a_visitors(key: &StoreKey) -> bool {
    key.as_str().contains('/')
}
