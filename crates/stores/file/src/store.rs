//! [`TokenStore`] over a directory: callers wait, threads work.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio::time::timeout;
use wix_visitor_core::{
    ClientId, Clock, Cursor, Etag, Exchange, Page, Purged, StoreError, StoreErrorKind, StoreKey, Stored, Timestamp,
    TokenStore, async_trait,
};
use wix_visitor_local::Fate;

use crate::config::FileOptions;
use crate::directory::{Directory, Swap};
use crate::error::{BACKEND, not_in_time};
use crate::shard::{SHARDS, number};

/// The most threads that read, and that write, at the same time. Those that wait for another process's lock are among the latter.
const READERS: usize = 16;
const WRITERS: usize = 64;

/// Visitors in a directory, one file each. Clones share it; other processes may use it too.
///
/// After `Ok`, a write survives a crash of the process and power loss. The rest is in the [crate's documentation](crate).
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    directory: Directory,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    /// For each sub-directory, whose turn it is within this process: only that one looks whether another process has the lock.
    turns: Box<[Arc<Mutex<()>>]>,
}

impl FileStore {
    /// Opens the directory at this path, and creates it if it is not there.
    ///
    /// # Errors
    /// Those of [`FileOptions::open`].
    pub async fn open(path: impl Into<std::path::PathBuf>) -> Result<Self, StoreError> {
        FileOptions::new(path).open().await
    }

    /// The absolute path of the directory, without symbolic links.
    pub fn path(&self) -> &Path {
        self.0.directory.path()
    }

    pub(crate) async fn start(options: FileOptions) -> Result<Self, StoreError> {
        check_runtime()?;
        let FileOptions { path, timeout: patience, clock, synced } = options;
        // Nobody's token waits for that.
        let to_open = patience * 3;
        let too_late = {
            let message = format!("{} could not be opened within {to_open:?}", path.display());
            BACKEND.error(StoreErrorKind::Unavailable, message)
        };
        let until = Instant::now() + to_open;
        let work = tokio::task::spawn_blocking(move || Directory::prepare(&path, synced, until));
        let directory = match timeout(to_open, work).await {
            Ok(done) => done.unwrap_or_else(|_| Err(stopped()))?,
            Err(_) => return Err(too_late),
        };
        Ok(Self(Arc::new(Inner {
            directory,
            timeout: patience,
            clock,
            readers: Arc::new(Semaphore::new(READERS)),
            writers: Arc::new(Semaphore::new(WRITERS)),
            turns: (0..SHARDS).map(|_| Arc::default()).collect(),
        })))
    }

    /// Does this on a thread that may wait for the disk, once there is one to spare. The thread goes on to its end, whether or not
    /// anybody still waits. `None` if it ended without a word.
    async fn work<T: Send + 'static>(
        &self,
        threads: &Arc<Semaphore>,
        turn: Option<OwnedMutexGuard<()>>,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Option<T> {
        let thread = Arc::clone(threads).acquire_owned().await.ok()?;
        let inner = Arc::clone(&self.0);
        let work = move || {
            let _held = (turn, thread);
            work(&inner)
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    async fn turn(&self, key: &StoreKey) -> OwnedMutexGuard<()> {
        Arc::clone(&self.0.turns[number(key)]).lock_owned().await
    }

    /// Does this once it is this key's turn, within the timeout.
    async fn in_turn(
        &self,
        key: &StoreKey,
        work: impl FnOnce(&Inner, &StoreKey, Instant) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        check_runtime()?;
        let inner = &*self.0;
        let until = Instant::now() + inner.timeout;
        let its_key = key.clone();
        let work = async {
            let turn = self.turn(key).await;
            self.work(&inner.writers, Some(turn), move |inner| work(inner, &its_key, until)).await
        };
        self.within_the_timeout(work).await
    }

    async fn within_the_timeout<T>(
        &self,
        work: impl Future<Output = Option<Result<T, StoreError>>>,
    ) -> Result<T, StoreError> {
        let answer = timeout(self.0.timeout, work).await.map_err(|_| not_in_time())?;
        answer.unwrap_or_else(|| Err(stopped()))
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        check_runtime()?;
        let (key, until) = (key.clone(), Instant::now() + self.0.timeout);
        self.within_the_timeout(self.work(&self.0.readers, None, move |inner| inner.directory.load(&key, until))).await
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        check_runtime()?;
        BACKEND.check_size(new)?;
        let inner = &*self.0;
        let swap = Swap {
            key: key.clone(),
            expected: expected.copied(),
            new: new.clone(),
            keep_until: (inner.clock.wall() + keep).as_millis(),
            until: Instant::now() + inner.timeout,
        };
        let fate = Arc::new(Fate::default());
        let its_fate = Arc::clone(&fate);
        let work = async {
            let turn = self.turn(key).await;
            self.work(&inner.writers, Some(turn), move |inner| inner.directory.exchange(&swap, &its_fate)).await
        };
        match timeout(inner.timeout, work).await {
            Ok(Some(answer)) => answer,
            _ if !fate.abandon() => Err(BACKEND.unfinished("was begun and not finished within the timeout")),
            Ok(None) => Err(stopped()),
            Err(_) => Err(not_in_time()),
        }
    }

    /// Takes up room on the disk beside the record, for a new file, should the next write need one.
    async fn reserve(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
        BACKEND.check_bytes(bytes)?;
        self.in_turn(key, move |inner, key, until| inner.directory.reserve(key, bytes, until)).await
    }

    /// Writes as much as that beside the records, and takes it away again.
    async fn health(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
        BACKEND.check_bytes(bytes)?;
        self.in_turn(key, move |inner, key, until| inner.directory.health(key, bytes, until)).await
    }

    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        check_runtime()?;
        let until = Instant::now() + self.0.timeout;
        let (site, from) = (site.cloned(), from.cloned());
        let work = move |inner: &Inner| inner.directory.list(site.as_ref(), from.as_ref(), most, until);
        self.within_the_timeout(self.work(&self.0.readers, None, work)).await
    }

    async fn purge(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
        check_runtime()?;
        let until = Instant::now() + self.0.timeout;
        let from = from.cloned();
        let work = move |inner: &Inner| inner.directory.purge(moment.as_millis(), from.as_ref(), most, until);
        self.within_the_timeout(self.work(&self.0.writers, None, work)).await
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.path()).field("timeout", &self.0.timeout).finish()
    }
}

fn check_runtime() -> Result<(), StoreError> {
    Handle::try_current().map(drop).map_err(|_| BACKEND.no_runtime())
}

/// A thread of ours ended early: its runtime was shut down, or by a panic, which would be a mistake of this crate.
fn stopped() -> StoreError {
    BACKEND.error(StoreErrorKind::Unavailable, "a thread of the store has stopped: its tokio runtime is shutting down")
}
