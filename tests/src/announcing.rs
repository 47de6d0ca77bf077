//! A store in memory that tells of changes, and whose listeners a test can cut off.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use wix_visitor_core::{
    Change, Changes, ClientId, Etag, Exchange, StoreError, StoreErrorKind, StoreKey, Stored, TokenStore, async_trait,
};
use wix_visitor_memory::MemoryStore;

/// The store. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Announcing {
    inner: Arc<Mutex<Arc<MemoryStore>>>,
    /// `None` where it tells of nothing.
    told: Option<broadcast::Sender<Told>>,
}

#[derive(Clone, Debug)]
enum Told {
    Written(StoreKey, Etag),
    Cut,
}

impl Default for Announcing {
    fn default() -> Self {
        Self { inner: Arc::default(), told: Some(broadcast::Sender::new(100_000)) }
    }
}

impl Announcing {
    /// One that tells of nothing.
    pub fn silent() -> Self {
        Self { told: None, ..Self::default() }
    }

    /// Loses all records, without a word.
    pub fn lose_all(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    fn inner(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, told: Told) {
        if let Some(listeners) = &self.told {
            // Nobody listening is no failure.
            let _ = listeners.send(told);
        }
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.told.as_ref().map_or(0, broadcast::Sender::receiver_count)
    }

    /// Cuts all listeners off; they may come back.
    pub fn cut(&self) {
        self.tell(Told::Cut);
    }
}

#[async_trait]
impl TokenStore for Announcing {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.inner().load(key).await
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let exchange = self.inner().compare_exchange(key, expected, new, keep).await?;
        if exchange == Exchange::Swapped {
            self.tell(Told::Written(key.clone(), new.etag));
        }
        Ok(exchange)
    }

    async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        let Some(told) = &self.told else {
            return Err(StoreError::new(StoreErrorKind::Unsupported, "announcing", "it tells of nothing"));
        };
        let mut told = told.subscribe();
        changes.tell(Change::Listening);
        let prefix = format!("{site}/");
        while let Ok(Told::Written(key, etag)) = told.recv().await {
            if key.as_str().starts_with(&prefix) {
                changes.tell(Change::Written { key, etag });
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "announcing", "cut off"))
    }
}
