//! [`TokenStore`] over SQLite: callers wait, threads work.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use wix_visitor_core::{
    ClientId, Clock, Cursor, Etag, Exchange, Page, Purged, StoreError, StoreErrorKind, StoreKey, Stored, Timestamp,
    TokenStore, async_trait,
};
use wix_visitor_local::Fate;

use crate::config::SqliteOptions;
use crate::database::Database;
use crate::error::BACKEND;
use crate::place::Place;
use crate::reader::{self, Question, READERS, Range, Read};
use crate::row::{self, NewRow};
use crate::writer::{self, Job, Purge, Reserve, Write, not_in_time};

/// How many operations may wait in line; the next ones wait to get into it.
const QUEUE: usize = 1024;

/// Visitors in an SQLite database. Clones share the connections; other processes may use the same file.
///
/// After `Ok`, a write survives a crash of the process and, unless opened with
/// [`Synchronous::Normal`](crate::Synchronous::Normal), power loss. The rest is in the [crate's documentation](crate).
///
/// When the last clone is dropped, what was accepted is still written and the file closed; the drop waits for that, at
/// most twice as long as the timeout.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    // Dropped in this order: the end of its queue ends a thread, and the last to close the file is one that may write, so that
    // it can empty the log.
    reads: mpsc::Sender<Read>,
    _readers: Threads,
    jobs: mpsc::Sender<Job>,
    _writer: Threads,
}

impl SqliteStore {
    /// Opens the database at this path, and creates it with its directory if it is not there.
    ///
    /// # Errors
    /// Those of [`SqliteOptions::open`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        SqliteOptions::new(path).open().await
    }

    /// The absolute path of the database, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) async fn start(options: SqliteOptions) -> Result<Self, StoreError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BACKEND.no_runtime());
        }
        let too_late = options.timed_out_opening();
        match timeout(options.to_open(), Self::start_threads(options)).await {
            Ok(done) => done,
            Err(_) => Err(too_late),
        }
    }

    async fn start_threads(options: SqliteOptions) -> Result<Self, StoreError> {
        let until = Instant::now() + options.to_open();
        // The writer first, and alone: it makes the database what the readers then find.
        let (mut writer, running) = Threads::new();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let its_options = options.clone();
        let open = move || {
            let place = Place::prepare(&its_options.path)?;
            Ok((Database::open(&its_options, place.clone(), until)?, place))
        };
        let place = start("wv-sqlite-write", running, open, move |db| writer::run(db, queue)).await?;

        let (mut readers, running) = Threads::new();
        let (reads, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..READERS {
            let (its_options, its_place, queue) = (options.clone(), place.clone(), Arc::clone(&queue));
            let open = move || Ok((Database::open(&its_options, its_place, until)?, ()));
            start("wv-sqlite-read", running.clone(), open, move |db| reader::run(db, &queue)).await?;
        }
        let path = place.path().to_owned();
        let SqliteOptions { timeout, clock, .. } = options;
        (readers.patience, writer.patience) = (timeout, timeout);
        Ok(Self(Arc::new(Inner { path, timeout, clock, reads, _readers: readers, jobs, _writer: writer })))
    }
}

/// Starts a thread that opens its connection, says how that went, and works until there is nothing left to do.
async fn start<T: Send + 'static>(
    name: &str,
    running: std_mpsc::Sender<()>,
    open: impl FnOnce() -> Result<(Database, T), StoreError> + Send + 'static,
    work: impl FnOnce(&Database) + Send + 'static,
) -> Result<T, StoreError> {
    let (report, opened) = oneshot::channel();
    let body = move || {
        // Dropped last: after the connection is closed.
        let _running = running;
        match open() {
            Err(e) => drop(report.send(Err(e))),
            Ok((db, found)) => {
                if report.send(Ok(found)).is_ok() {
                    work(&db);
                }
            }
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|e| {
        BACKEND.error(StoreErrorKind::Unavailable, "no thread could be started for the database").with_source(e)
    })?;
    opened.await.unwrap_or_else(|_| Err(stopped()))
}

/// Threads that are waited for when this is dropped.
struct Threads {
    /// Nothing ever comes, but its end: once no thread is left.
    finished: Mutex<std_mpsc::Receiver<()>>,
    patience: Duration,
}

impl Threads {
    fn new() -> (Self, std_mpsc::Sender<()>) {
        let (running, finished) = std_mpsc::channel();
        (Self { finished: Mutex::new(finished), patience: Duration::ZERO }, running)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let finished = self.finished.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = finished.recv_timeout(self.patience);
    }
}

impl SqliteStore {
    /// Asks a thread something that leaves no trace if nobody waits for the answer any more.
    async fn ask<Q, T>(
        &self,
        threads: &mpsc::Sender<Q>,
        question: impl FnOnce(Instant, oneshot::Sender<Result<T, StoreError>>) -> Q,
    ) -> Result<T, StoreError> {
        let patience = self.0.timeout;
        let (answer, answered) = oneshot::channel();
        let question = question(Instant::now() + patience, answer);
        let work = async {
            threads.send(question).await.map_err(|_| stopped())?;
            answered.await.unwrap_or_else(|_| Err(stopped()))
        };
        timeout(patience, work).await.unwrap_or_else(|_| Err(not_in_time()))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.path).field("timeout", &self.0.timeout).finish()
    }
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.ask(&self.0.reads, |deadline, answer| Read { deadline, question: Question::Load(key.clone(), answer) })
            .await
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let inner = &*self.0;
        BACKEND.check_size(new)?;
        let keep_until = (inner.clock.wall() + keep).as_millis();
        let fate = Arc::new(Fate::default());
        let (answer, answered) = oneshot::channel();
        let write = Write {
            row: NewRow { key: key.clone(), stored: new.clone(), keep_until },
            expected: expected.copied(),
            deadline: Instant::now() + inner.timeout,
            fate: Arc::clone(&fate),
            answer,
        };
        // From the queue on the write goes its way, whether or not its caller still waits.
        let work = async {
            inner.jobs.send(Job::Write(write)).await.ok()?;
            answered.await.ok()
        };
        match timeout(inner.timeout, work).await {
            Ok(Some(answer)) => answer,
            _ if !fate.abandon() => Err(BACKEND.unfinished("was begun and not finished within the timeout")),
            Ok(None) => Err(stopped()),
            Err(_) => Err(not_in_time()),
        }
    }

    /// Sets 1 MiB of the disk aside, in a file beside the database, for the next write of this key that finds it full.
    async fn reserve(&self, key: &StoreKey, _bytes: usize) -> Result<(), StoreError> {
        self.ask(&self.0.jobs, |_, answer| Job::Reserve(Reserve { key: key.clone(), answer })).await
    }

    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let after = row::after(from)?;
        let range = match site {
            // Whatever follows the slash is below what follows it in the alphabet.
            Some(site) => Range { after: after.max(format!("{site}/").into()), before: Some(format!("{site}0")), most },
            None => Range { after, before: None, most },
        };
        self.ask(&self.0.reads, |deadline, answer| Read { deadline, question: Question::List(range, answer) }).await
    }

    async fn purge(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
        let after = row::after(from)?;
        let moment = moment.as_millis();
        self.ask(&self.0.jobs, |deadline, answer| Job::Purge(Purge { moment, after, most, deadline, answer })).await
    }
}

/// A thread of ours ended early: by a panic, which would be a mistake of this crate.
fn stopped() -> StoreError {
    BACKEND.error(StoreErrorKind::Unavailable, "a thread of the store has stopped; open the store again")
}
