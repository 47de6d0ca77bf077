//! What the functions share: keys and versions that nobody else has, and handles that are never waited for in vain.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use wix_visitor_core::{
    ClientId, Cursor, Entropy, Etag, Exchange, Page, Purged, StoreError, StoreKey, Stored, SystemEntropy, Timestamp,
    TokenStore,
};

use super::fixture::StoreFixture;
use super::report::Violation;

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) type Checked<T = ()> = Result<T, Violation>;

/// Returns with a violation unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::conformance::report::Violation::new(format!($($what)+)));
        }
    };
}
pub(super) use ensure;

/// Keys of this trial alone.
pub(super) struct Keys(String);

impl Keys {
    /// What all keys begin with, as those of a site do with its client id.
    pub(super) const SITE: &str = "conformance";

    pub(super) fn new() -> Self {
        Self(format!("{}/{:032x}", Self::SITE, SystemEntropy.draw()))
    }

    pub(super) fn key(&self, name: impl std::fmt::Display) -> Checked<StoreKey> {
        parse(&format!("{}/{name}", self.0))
    }

    /// A key of the greatest length, ending like this.
    pub(super) fn longest(&self, end: &str) -> Checked<StoreKey> {
        let fill = StoreKey::MAX_LEN - self.0.len() - end.len();
        parse(&format!("{}{}{end}", self.0, "x".repeat(fill)))
    }
}

pub(super) fn parse(text: &str) -> Checked<StoreKey> {
    StoreKey::parse(text).map_err(|e| Violation::new(format!("the suite made a bad key: {e}")))
}

/// A version with these bytes and an etag that was never used.
pub(super) fn version(bytes: impl Into<Vec<u8>>) -> Stored {
    Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes: bytes.into() }
}

/// Bytes without a pattern.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        bytes.extend(SystemEntropy.draw().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A handle on the store; every operation through it ends.
#[derive(Clone)]
pub(super) struct Handle {
    store: Arc<dyn TokenStore>,
    patience: Duration,
}

impl Handle {
    pub(super) async fn open(fixture: &dyn StoreFixture) -> Checked<Self> {
        Ok(Self::on(fixture, fixture.open().await?))
    }

    pub(super) fn on(fixture: &dyn StoreFixture, store: Arc<dyn TokenStore>) -> Self {
        // Twice, and a little: a busy machine is not the store's fault, and hanging is told from being late well enough.
        Self { store, patience: fixture.deadline() * 2 + Duration::from_secs(1) }
    }

    pub(super) fn store(&self) -> &dyn TokenStore {
        &*self.store
    }

    async fn bounded<T>(&self, doing: &str, call: impl Future<Output = T>) -> Checked<T> {
        timeout(self.patience, call)
            .await
            .map_err(|_| Violation::new(format!("a {doing} had no end within {:?}", self.patience)))
    }

    pub(super) async fn try_load(&self, key: &StoreKey) -> Checked<Result<Option<Stored>, StoreError>> {
        self.bounded("load", self.store.load(key)).await
    }

    pub(super) async fn try_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Checked<Result<Exchange, StoreError>> {
        self.bounded("swap", self.store.compare_exchange(key, expected, new, keep)).await
    }

    pub(super) async fn list(
        &self,
        site: Option<&ClientId>,
        from: Option<&Cursor>,
        most: usize,
    ) -> Checked<Result<Page, StoreError>> {
        self.bounded("list", self.store.list(site, from, most)).await
    }

    pub(super) async fn purge(
        &self,
        moment: Timestamp,
        from: Option<&Cursor>,
        most: usize,
    ) -> Checked<Result<Purged, StoreError>> {
        self.bounded("purge", self.store.purge(moment, from, most)).await
    }

    pub(super) async fn load(&self, key: &StoreKey) -> Checked<Option<Stored>> {
        Ok(self.try_load(key).await??)
    }

    pub(super) async fn exchange(&self, key: &StoreKey, expected: Option<&Etag>, new: &Stored) -> Checked<Exchange> {
        Ok(self.try_exchange(key, expected, new, HOUR).await??)
    }

    /// A swap that has to succeed.
    pub(super) async fn swap(&self, key: &StoreKey, old: Option<&Stored>, new: &Stored) -> Checked {
        self.swap_keeping(key, old, new, HOUR).await
    }

    pub(super) async fn swap_keeping(
        &self,
        key: &StoreKey,
        old: Option<&Stored>,
        new: &Stored,
        keep: Duration,
    ) -> Checked {
        match self.try_exchange(key, old.map(|old| &old.etag), new, keep).await?? {
            Exchange::Swapped => Ok(()),
            Exchange::Conflict(standing) => {
                Err(Violation::new(format!("a swap that names the standing version was refused; shown: {standing:?}")))
            }
        }
    }

    /// A first write that has to succeed.
    pub(super) async fn put(&self, key: &StoreKey, bytes: impl Into<Vec<u8>>) -> Checked<Stored> {
        let new = version(bytes);
        self.swap(key, None, &new).await?;
        Ok(new)
    }

    /// A swap that has to be refused, showing what stands.
    pub(super) async fn refuse(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        standing: Option<&Stored>,
    ) -> Checked {
        let answer = self.exchange(key, expected, new).await?;
        let Exchange::Conflict(shown) = answer else {
            return Err(Violation::new(format!("a swap that expects {expected:?} replaced {standing:?}")));
        };
        ensure!(shown.as_ref() == standing, "a conflict shows {shown:?}, and {standing:?} stands");
        self.stands(key, standing).await
    }

    /// Exactly this has to be there.
    pub(super) async fn stands(&self, key: &StoreKey, standing: Option<&Stored>) -> Checked {
        let found = self.load(key).await?;
        if found.as_ref() == standing {
            return Ok(());
        }
        let same_etag = found.as_ref().zip(standing).is_some_and(|(found, standing)| found.etag == standing.etag);
        let how = if same_etag { ", with other bytes" } else { "" };
        Err(Violation::new(format!("a load shows {found:?}, and {standing:?} was written{how}")))
    }
}
