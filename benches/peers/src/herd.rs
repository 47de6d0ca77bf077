//! Callers who all call at once. They are tasks that wait until they may, and no more: what they share is counted in one place and touched
//! as seldom as can be, since it is part of all that is measured.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinHandle, time::timeout_at};

pub(crate) const CALLERS: usize = 10_000;

/// Who is called.
pub(crate) trait Callee: Send + Sync + 'static {
    /// Whether the caller got what he wants.
    fn call(&self) -> impl Future<Output = bool> + Send;
}

pub(crate) struct Herd<T> {
    callers: Vec<JoinHandle<()>>,
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    callee: OnceLock<T>,
    gate: Notify,
    /// How many of the callers are done, and in the upper half how many of these got what they want.
    tally: AtomicU64,
    all: Notify,
}

const WELL: u64 = 1 << 32;

impl<T: Callee> Herd<T> {
    /// All of them, at the gate.
    pub(crate) async fn gather() -> Self {
        let (callee, gate, all) = (OnceLock::<T>::new(), Notify::new(), Notify::new());
        let shared = Arc::new(Shared { callee, gate, tally: AtomicU64::new(0), all });
        let callers = (0..CALLERS).map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                shared.gate.notified().await;
                if let Some(callee) = shared.callee.get() {
                    shared.count(callee.call().await);
                }
            })
        });
        let herd = Self { callers: callers.collect(), shared };
        // Until they have come there.
        tokio::time::sleep(Duration::from_millis(50)).await;
        herd
    }

    /// Opens the gate, once.
    pub(crate) fn call(&self, callee: T) {
        if self.shared.callee.set(callee).is_ok() {
            self.shared.gate.notify_waiters();
        }
    }

    /// Until all are done, or until then.
    pub(crate) async fn end(&self, latest: Instant) {
        let _ = timeout_at(latest.into(), self.shared.all.notified()).await;
    }

    /// How many are done and got what they want, and how many got something else; they are sent away.
    pub(crate) fn disband(self) -> (usize, usize) {
        let tally = self.shared.tally.load(Ordering::Acquire);
        self.callers.iter().for_each(JoinHandle::abort);
        let (well, done) = ((tally / WELL) as usize, (tally % WELL) as usize);
        (well, done - well)
    }
}

impl<T> Shared<T> {
    fn count(&self, well: bool) {
        let before = self.tally.fetch_add(if well { WELL + 1 } else { 1 }, Ordering::AcqRel);
        if before % WELL + 1 == CALLERS as u64 {
            self.all.notify_one();
        }
    }
}
