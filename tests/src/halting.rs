//! A store that stops its caller dead at a step of the protocol, so that somebody can kill the process right there.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use wix_visitor_core::record::decode;
use wix_visitor_core::{Changes, ClientId, Etag, Exchange, StoreError, StoreKey, Stored, TokenStore, async_trait};

/// The protocol's steps at the store. Those at the endpoint are the sandbox's to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A load was asked for.
    BeforeLoad,
    /// It was answered, and nobody knows yet.
    AfterLoad,
    /// A swap to a record with a claim was asked for.
    BeforeClaim,
    /// It took place, and nobody knows yet.
    AfterClaim,
    /// A swap to a record without a claim was asked for: with tokens after a grant, or else a release.
    BeforeCommit,
    /// It took place, and nobody knows yet.
    AfterCommit,
}

impl Step {
    const ALL: [(Self, &str); 6] = [
        (Self::BeforeLoad, "before-load"),
        (Self::AfterLoad, "after-load"),
        (Self::BeforeClaim, "before-claim"),
        (Self::AfterClaim, "after-claim"),
        (Self::BeforeCommit, "before-commit"),
        (Self::AfterCommit, "after-commit"),
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(step, _)| step == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name).map(|(step, _)| *step);
        found.ok_or_else(|| format!("there is no step called {name:?}"))
    }
}

type Announce = dyn Fn(Step, &StoreKey) + Send + Sync;

/// Passes everything on, and stops whoever comes to the chosen step until it is told to let them go.
#[derive(Clone)]
pub struct HaltingStore {
    inner: Arc<dyn TokenStore>,
    stop: Arc<watch::Sender<Option<Step>>>,
    announce: Arc<Announce>,
    loads: Arc<AtomicU64>,
}

impl HaltingStore {
    /// Over this store. `announce` is told of a step that somebody is stopped at, and with whose record.
    pub fn new(inner: impl TokenStore, announce: impl Fn(Step, &StoreKey) + Send + Sync + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            stop: Arc::new(watch::Sender::new(None)),
            announce: Arc::new(announce),
            loads: Arc::default(),
        }
    }

    /// From now on everybody stops at this step.
    pub fn stop_at(&self, step: Step) {
        self.stop.send_replace(Some(step));
    }

    /// Lets go who is stopped, and stops nobody any more.
    pub fn go(&self) {
        self.stop.send_replace(None);
    }

    /// How many loads were asked for: one where a flight finds what it needs, more where it has to wait for others.
    pub fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }

    async fn pass(&self, step: Step, key: &StoreKey) {
        if *self.stop.borrow() == Some(step) {
            (self.announce)(step, key);
            // The sender lives in `self`, so the wait cannot end for its sake.
            let _ = self.stop.subscribe().wait_for(|stop| *stop != Some(step)).await;
        }
    }
}

impl fmt::Debug for HaltingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HaltingStore").field("inner", &self.inner).field("stop", &self.stop).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for HaltingStore {
    async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        self.inner.watch(site, changes).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.pass(Step::BeforeLoad, key).await;
        let answer = self.inner.load(key).await;
        self.pass(Step::AfterLoad, key).await;
        answer
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let claims = decode(&new.bytes)?.claim.is_some();
        let (before, after) =
            if claims { (Step::BeforeClaim, Step::AfterClaim) } else { (Step::BeforeCommit, Step::AfterCommit) };
        self.pass(before, key).await;
        let answer = self.inner.compare_exchange(key, expected, new, keep).await;
        self.pass(after, key).await;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_known_by_its_name() {
        for (step, _) in Step::ALL {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
        assert!("nowhere".parse::<Step>().is_err());
    }
}
