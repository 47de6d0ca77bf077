//! [`TokenStore`] over shards of a hash map.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use wix_visitor_core::{
    Clock, Etag, Exchange, StoreError, StoreErrorKind, StoreKey, Stored, SystemClock, TokenStore, async_trait,
};

use crate::shelf::Shelf;

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

    fn shelf(&self, key: &StoreKey) -> MutexGuard<'_, Shelf> {
        // The remainder is below 32, so neither cast loses anything.
        let shard = (self.0.hasher.hash_one(key) % SHARDS as u64) as usize;
        lock(&self.0.shards[shard])
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
        Ok(self.shelf(key).load(key))
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        if new.bytes.len() > Stored::MAX_BYTES {
            return Err(StoreError::new(
                StoreErrorKind::Unsupported,
                "memory",
                format!("a record of {} bytes is larger than the {} a store keeps", new.bytes.len(), Stored::MAX_BYTES),
            ));
        }
        let now = self.0.clock.monotonic();
        Ok(self.shelf(key).exchange(now, key, expected, new, keep))
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
