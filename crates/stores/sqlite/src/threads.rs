//! The threads of a store: started when there is something for them to do, and waited for in the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use wix_visitor_core::{StoreError, StoreErrorKind};

use crate::error::BACKEND;

/// Starts a thread of this name.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(|e| {
        BACKEND.error(StoreErrorKind::Unavailable, "no thread could be started for the database").with_source(e)
    })
}

/// A thread that is started by the first who needs it: a process that only looks something up ends without it.
pub(crate) struct Spare {
    called: Called,
    start: Box<dyn Fn(Called) -> Result<(), StoreError> + Send + Sync>,
}

/// Whether the thread is at work, or about to be. Where it finds that it cannot, it says no, and the next who needs it starts another.
pub(crate) type Called = Arc<AtomicBool>;

impl Spare {
    pub(crate) fn new(start: impl Fn(Called) -> Result<(), StoreError> + Send + Sync + 'static) -> Self {
        Self { called: Called::default(), start: Box::new(start) }
    }

    /// Starts it, unless it was.
    pub(crate) fn call(&self) -> Result<(), StoreError> {
        if self.called.load(Ordering::Relaxed) || self.called.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        (self.start)(Arc::clone(&self.called)).inspect_err(|_| self.called.store(false, Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }
}

/// Threads that are waited for when this is dropped.
pub(crate) struct Threads {
    /// Nothing ever comes, but its end: once no thread is left.
    finished: Mutex<mpsc::Receiver<()>>,
    pub(crate) patience: Duration,
}

impl Threads {
    /// It is waited, so long, until nobody holds the other half any more.
    pub(crate) fn new(patience: Duration) -> (Self, mpsc::Sender<()>) {
        let (running, finished) = mpsc::channel();
        (Self { finished: Mutex::new(finished), patience }, running)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let finished = self.finished.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = finished.recv_timeout(self.patience);
    }
}
