//! A store that fails as told, around any other, and counts what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use wix_visitor_core::{
    Changes, ClientId, Cursor, Etag, Exchange, Page, Purged, StoreError, StoreErrorKind, StoreKey, Stored, Timestamp,
    TokenStore,
};

/// What happens to a store operation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreFault {
    /// It is not carried out, and fails with this kind.
    Fail(StoreErrorKind),
    /// It is carried out, and its answer is lost: the kind is *unknown*.
    LoseAnswer,
    /// It is carried out after this time.
    Delay(Duration),
    /// It never answers, and is not carried out.
    Hang,
}

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOperation {
    /// A load.
    Load,
    /// A compare-and-exchange.
    Swap,
    /// A page of keys.
    List,
    /// A purge of some records.
    Purge,
}

type Hook = Arc<dyn Fn(StoreOperation, usize) -> Option<StoreFault> + Send + Sync>;

/// A store around another. Clones are the same store.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn TokenStore>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// For each operation.
    plans: Mutex<[VecDeque<StoreFault>; 4]>,
    counts: [AtomicUsize; 4],
    reserves: Mutex<VecDeque<StoreFault>>,
    hook: Mutex<Option<Hook>>,
    gate: Mutex<Gate>,
    changed: Notify,
}

#[derive(Default)]
struct Gate {
    /// Operations left to let through; `None`: all.
    allowed: Option<usize>,
    waiting: usize,
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultyStore {
    /// Around this store.
    pub fn new(inner: impl TokenStore) -> Self {
        Self { inner: Arc::new(inner), shared: Arc::default() }
    }

    /// The next load.
    pub fn plan_load(&self, fault: StoreFault) {
        lock(&self.shared.plans)[StoreOperation::Load as usize].push_back(fault);
    }

    /// The next swap.
    pub fn plan_swap(&self, fault: StoreFault) {
        lock(&self.shared.plans)[StoreOperation::Swap as usize].push_back(fault);
    }

    /// The next question whether there is room.
    pub fn plan_reserve(&self, fault: StoreFault) {
        lock(&self.shared.reserves).push_back(fault);
    }

    /// Decides about every operation for which nothing else is planned: gets the kind and its number, from 1.
    pub fn decide(&self, hook: impl Fn(StoreOperation, usize) -> Option<StoreFault> + Send + Sync + 'static) {
        *lock(&self.shared.hook) = Some(Arc::new(hook));
    }

    /// Fails every operation with this kind, until [`heal`](Self::heal).
    pub fn break_down(&self, kind: StoreErrorKind) {
        self.decide(move |_, _| Some(StoreFault::Fail(kind)));
    }

    /// No more faults.
    pub fn heal(&self) {
        *lock(&self.shared.hook) = None;
        *lock(&self.shared.plans) = Default::default();
    }

    /// Lets this many operations through, and holds the rest before they act.
    pub fn allow(&self, operations: usize) {
        lock(&self.shared.gate).allowed = Some(operations);
        self.shared.changed.notify_waiters();
    }

    /// Lets everything through.
    pub fn open(&self) {
        lock(&self.shared.gate).allowed = None;
        self.shared.changed.notify_waiters();
    }

    /// Returns once an operation is being held.
    pub async fn held(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if lock(&self.shared.gate).waiting > 0 {
                return;
            }
            changed.await;
        }
    }

    /// How many loads were asked for.
    pub fn loads(&self) -> usize {
        self.shared.counts[StoreOperation::Load as usize].load(Ordering::SeqCst)
    }

    /// How many swaps were asked for.
    pub fn swaps(&self) -> usize {
        self.shared.counts[StoreOperation::Swap as usize].load(Ordering::SeqCst)
    }

    async fn pass(&self) {
        let mut waiting = None;
        loop {
            let changed = self.shared.changed.notified();
            match &mut lock(&self.shared.gate).allowed {
                None => return,
                Some(0) => {}
                Some(left) => {
                    *left -= 1;
                    return;
                }
            }
            if waiting.is_none() {
                waiting = Some(Waiting::new(&self.shared));
                self.shared.changed.notify_waiters();
            } else {
                changed.await;
            }
        }
    }

    fn fault(&self, operation: StoreOperation) -> Option<StoreFault> {
        let number = self.shared.counts[operation as usize].fetch_add(1, Ordering::SeqCst) + 1;
        let planned = lock(&self.shared.plans)[operation as usize].pop_front();
        let hook = lock(&self.shared.hook).clone();
        planned.or_else(|| hook.and_then(|hook| hook(operation, number)))
    }
}

/// Counts an operation as held, until it goes on or its caller goes away.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Self {
        lock(&shared.gate).waiting += 1;
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.0.gate).waiting -= 1;
    }
}

fn failure(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "faulty", "a planned fault")
}

/// `Ok(true)`: carry it out and lose the answer.
async fn suffer(fault: Option<StoreFault>) -> Result<bool, StoreError> {
    match fault {
        None => Ok(false),
        Some(StoreFault::Fail(kind)) => Err(failure(kind)),
        Some(StoreFault::LoseAnswer) => Ok(true),
        Some(StoreFault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            Ok(false)
        }
        Some(StoreFault::Hang) => std::future::pending().await,
    }
}

#[async_trait]
impl TokenStore for FaultyStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let fault = self.fault(StoreOperation::Load);
        self.pass().await;
        if suffer(fault).await? {
            return Err(failure(StoreErrorKind::Unavailable));
        }
        self.inner.load(key).await
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let fault = self.fault(StoreOperation::Swap);
        self.pass().await;
        let lost = suffer(fault).await?;
        let exchange = self.inner.compare_exchange(key, expected, new, keep).await;
        if lost { Err(failure(StoreErrorKind::Unknown)) } else { exchange }
    }

    async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        self.inner.watch(site, changes).await
    }

    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let fault = self.fault(StoreOperation::List);
        self.pass().await;
        if suffer(fault).await? {
            return Err(failure(StoreErrorKind::Unavailable));
        }
        self.inner.list(site, from, most).await
    }

    async fn purge(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
        let fault = self.fault(StoreOperation::Purge);
        self.pass().await;
        if suffer(fault).await? {
            return Err(failure(StoreErrorKind::Unavailable));
        }
        self.inner.purge(moment, from, most).await
    }

    async fn reserve(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
        let fault = lock(&self.shared.reserves).pop_front();
        suffer(fault).await?;
        self.inner.reserve(key, bytes).await
    }
}
