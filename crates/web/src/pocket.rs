//! Where a process keeps what browsers bring along, for as long as that is in use: a cache of cookies, and no store to rely on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::unsync::Cache;
use wix_visitor_core::record::{Record, decode, encode};
use wix_visitor_core::{
    Entropy as _, Etag, Exchange, StoreError, StoreKey, Stored, SystemEntropy, TokenStore, async_trait,
};

use crate::cookie::SessionId;

/// The most sessions that are kept; what goes comes again with its cookie.
const MOST: usize = 20_000;

/// Records as cookies brought them, and what has become of them since.
#[derive(Clone)]
pub(crate) struct Pocket(Arc<Mutex<Kept>>);

struct Kept {
    records: Cache<StoreKey, Stored>,
    /// The newest version of each session that a browser has shown.
    newest: Cache<String, u64>,
}

impl Pocket {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Kept { records: Cache::new(MOST), newest: Cache::new(MOST) })))
    }

    /// A cookie brought this. What has become of it here, if it came before, counts more.
    pub(crate) fn offer(&self, key: &StoreKey, record: &Record) {
        let mut kept = self.kept();
        let records = &mut kept.records;
        if records.get(key).is_none() {
            let etag = Etag::from_bits(SystemEntropy.draw());
            records.insert(key.clone(), Stored { etag, bytes: encode(record) });
        }
    }

    /// What there is.
    pub(crate) fn record(&self, key: &StoreKey) -> Option<Record> {
        self.kept().records.get(key).and_then(|stored| decode(&stored.bytes).ok())
    }

    /// A browser has this version of a session.
    pub(crate) fn saw(&self, id: &SessionId, version: u64) {
        if version > self.newest(id) {
            self.kept().newest.insert(id.key().to_owned(), version);
        }
    }

    /// The newest version that a browser has shown.
    pub(crate) fn newest(&self, id: &SessionId) -> u64 {
        self.kept().newest.get(id.key()).copied().unwrap_or(0)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
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
        Ok(self.kept().records.get(key).cloned())
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        _keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let mut kept = self.kept();
        let records = &mut kept.records;
        let standing = records.get(key);
        if standing.map(|stored| &stored.etag) != expected {
            return Ok(Exchange::Conflict(standing.cloned()));
        }
        records.insert(key.clone(), new.clone());
        Ok(Exchange::Swapped)
    }
}
