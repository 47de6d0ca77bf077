//! Where a process keeps what browsers bring along, for as long as that is in use: a cache of cookies, and no store to rely on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::unsync::Cache;
use wix_visitor_core::record::{Record, decode, encode};
use wix_visitor_core::{
    Entropy as _, Etag, Exchange, StoreError, StoreKey, Stored, SystemEntropy, TokenStore, async_trait,
};

/// The most sessions that are kept; what goes comes again with its cookie.
const MOST: usize = 20_000;

/// Records as cookies brought them, and what has become of them since.
#[derive(Clone)]
pub(crate) struct Pocket(Arc<Mutex<Cache<StoreKey, Stored>>>);

impl Pocket {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Cache::new(MOST))))
    }

    /// A cookie brought this. What has become of it here, if it came before, counts more.
    pub(crate) fn offer(&self, key: &StoreKey, record: &Record) {
        let mut records = self.records();
        if records.get(key).is_none() {
            let etag = Etag::from_bits(SystemEntropy.draw());
            records.insert(key.clone(), Stored { etag, bytes: encode(record) });
        }
    }

    /// What there is.
    pub(crate) fn record(&self, key: &StoreKey) -> Option<Record> {
        self.records().get(key).and_then(|stored| decode(&stored.bytes).ok())
    }

    fn records(&self) -> MutexGuard<'_, Cache<StoreKey, Stored>> {
        // Each change is one insertion: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pocket").finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for Pocket {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.records().get(key).cloned())
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        _keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let mut records = self.records();
        let standing = records.get(key);
        if standing.map(|stored| &stored.etag) != expected {
            return Ok(Exchange::Conflict(standing.cloned()));
        }
        records.insert(key.clone(), new.clone());
        Ok(Exchange::Swapped)
    }
}
