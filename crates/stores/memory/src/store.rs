//! [`TokenStore`] over shards of a hash map.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use wix_visitor_core::{
    ClientId, Clock, Cursor, Etag, Exchange, Page, Purged, StoreError, StoreErrorKind, StoreKey, Stored, SystemClock,
    Timestamp, TokenStore, async_trait,
};

use crate::shelf::{Shelf, Wanted};

const SHARDS: usize = 32;

/// Records in the memory of this process. Clones share them.
///
/// Survives nothing: see the [crate's documentation](crate).
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    shards: [Mutex<Shelf>; SHARDS],
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::default()))
    }

    /// An empty store that counts each record's `keep` on this clock's monotonic side: for tests that let time pass.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::default(),
            clock,
        }))
    }

    fn find<'a>(&self, key: &'a StoreKey) -> (MutexGuard<'_, Shelf>, Wanted<'a>) {
        let wanted = Wanted::new(key, &self.0.hasher);
        (lock(&self.0.shards[wanted.shelf(SHARDS)]), wanted)
    }
}

/// Nothing panics while a shelf is locked, and each change to it is one step: a poisoned one is whole all the same.
fn lock(shard: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records: usize = self.0.shards.iter().map(|shard| lock(shard).len()).sum();
        f.debug_struct("MemoryStore").field("records", &records).finish()
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let (shelf, wanted) = self.find(key);
        Ok(shelf.load(wanted))
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        if new.bytes.len() > Stored::MAX_SEALED_BYTES {
            return Err(StoreError::new(
                StoreErrorKind::Unsupported,
                "memory",
                format!("a record of {} bytes is larger than the {} a store keeps", new.bytes.len(), Stored::MAX_BYTES),
            ));
        }
        let now = self.0.clock.monotonic();
        let (mut shelf, wanted) = self.find(key);
        Ok(shelf.exchange(now, wanted, expected, new, keep))
    }

    /// A page is a part of all records, however many are in it.
    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, _most: usize) -> Result<Page, StoreError> {
        let at = from.map_or(Some(0), |from| from.as_str().parse::<usize>().ok());
        let Some((at, shard)) = at.and_then(|at| Some((at, self.0.shards.get(at)?))) else {
            return Err(StoreError::new(StoreErrorKind::Unsupported, "memory", "this cursor is not of this store"));
        };
        let ours = |key: &StoreKey| site.is_none_or(|site| key.is_of(site));
        let keys = lock(shard).keys().filter(ours).collect();
        Ok(Page { keys, unreadable: 0, next: (at + 1 < SHARDS).then(|| Cursor::new((at + 1).to_string())) })
    }

    async fn purge(&self, _moment: Timestamp, _from: Option<&Cursor>, _most: usize) -> Result<Purged, StoreError> {
        let message = "there is nothing to purge: this store drops what is over by itself";
        Err(StoreError::new(StoreErrorKind::Unsupported, "memory", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn debug_output_counts_records_and_shows_none() {
        let store = MemoryStore::new();
        let new = Stored { etag: Etag::from_bits(1), bytes: b"secret token".to_vec() };
        let key = StoreKey::parse("site/visitor").unwrap();
        store.clone().compare_exchange(&key, None, &new, Duration::MAX).await.unwrap();
        assert_eq!(format!("{store:?}"), "MemoryStore { records: 1 }");
    }
}
