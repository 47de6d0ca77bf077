//! [`TokenStore`] over SQLite: callers wait, threads work.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
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
use crate::reader::{InPlace, Question, Queue, READER, Range, Read, Reader, must_wait};
use crate::row::{self, NewRow};
use crate::threads::{Spare, Threads, spawn};
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
    in_place: InPlace,
    reads: mpsc::Sender<Read>,
    second_reader: Spare,
    _readers: Threads,
    jobs: mpsc::Sender<Job>,
    writer: Spare,
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
        let (mut readers, running) = Threads::new(Duration::ZERO);
        let (reads, queue) = mpsc::channel(QUEUE);
        let queue: Queue = Arc::new(Mutex::new(queue));
        let in_place = options.in_place.clone().map(|watch| (watch.over(|| open(&options, Instant::now())), watch));
        let (place, in_place) = match in_place.filter(|(opened, _)| !must_wait(opened)) {
            Some((opened, watch)) => {
                let (db, place) = opened?;
                let reader = Reader { db, queue: Arc::clone(&queue), _running: running.clone() };
                (place, InPlace::new(reader, watch))
            }
            None => {
                let opened = start_reader(options.clone(), Arc::clone(&queue), running.clone());
                let opened = timeout(options.to_open(), opened).await;
                (opened.unwrap_or_else(|_| Err(options.timed_out_opening()))?, InPlace::default())
            }
        };
        readers.patience = options.timeout;

        let second_reader = second_reader(&options, &place, &queue, running);
        let (writer_ends, writing) = Threads::new(options.timeout);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = writer(&options, &place, queue, writing);
        Ok(Self(Arc::new(Inner {
            path: place.path().to_owned(),
            timeout: options.timeout,
            clock: options.clock,
            in_place,
            reads,
            second_reader,
            _readers: readers,
            jobs,
            writer,
            _writer: writer_ends,
        })))
    }
}

impl Inner {
    /// From now on what is asked is more than to look something up: a read too leaves the caller free for what else goes on.
    fn call_writer(&self) -> Result<(), StoreError> {
        self.in_place.leave()?;
        self.writer.call()
    }
}

/// Opens the database, and makes of it what others then find.
fn open(options: &SqliteOptions, until: Instant) -> Result<(Database, Place), StoreError> {
    let place = Place::prepare(&options.path)?;
    Ok((Database::open(options, place.clone(), until)?, place))
}

/// A thread that opens the database and then reads. The others are started when they are needed: the other reader where there is a line,
/// the writer for the first write.
async fn start_reader(
    options: SqliteOptions,
    queue: Queue,
    running: std_mpsc::Sender<()>,
) -> Result<Place, StoreError> {
    let until = Instant::now() + options.to_open();
    let (report, opened) = oneshot::channel();
    spawn(READER, move || match open(&options, until) {
        Err(e) => drop(report.send(Err(e))),
        Ok((db, place)) => {
            let reader = Reader { db, queue, _running: running };
            if report.send(Ok(place)).is_ok() {
                reader.run();
            }
        }
    })?;
    opened.await.unwrap_or_else(|_| Err(stopped()))
}

const WRITER: &str = "wv-sqlite-write";

fn second_reader(options: &SqliteOptions, place: &Place, queue: &Queue, running: std_mpsc::Sender<()>) -> Spare {
    // Not the queue itself: it ends with those who work on it.
    let (options, place, queue) = (options.clone(), place.clone(), Arc::downgrade(queue));
    Spare::new(move |called| {
        let queue = queue.upgrade().ok_or_else(stopped)?;
        let (options, place, running) = (options.clone(), place.clone(), running.clone());
        spawn(READER, move || match Database::open(&options, place, Instant::now() + options.to_open()) {
            Ok(db) => Reader { db, queue, _running: running }.run(),
            Err(error) => {
                tracing::debug!(%error, "the other reader of the store could not be started");
                called.store(false, Ordering::Relaxed);
            }
        })
    })
}

fn writer(options: &SqliteOptions, place: &Place, queue: mpsc::Receiver<Job>, running: std_mpsc::Sender<()>) -> Spare {
    let (options, place) = (options.clone(), place.clone());
    // Taken by the thread, so that the queue ends with it.
    let queue = Arc::new(Mutex::new(Some(queue)));
    Spare::new(move |_| {
        let (options, place, queue, running) = (options.clone(), place.clone(), Arc::clone(&queue), running.clone());
        spawn(WRITER, move || {
            let _running = running;
            let queue = queue.lock().unwrap_or_else(PoisonError::into_inner).take();
            let open = || {
                place.make_lasting()?;
                Database::open(&options, place.clone(), Instant::now() + options.to_open())
            };
            if let Some(queue) = queue {
                writer::run(open, queue);
            }
        })
    })
}

impl SqliteStore {
    /// Where reads wait in line, another reader is worth its start.
    async fn read<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Question,
    ) -> Result<T, StoreError> {
        self.0.in_place.leave()?;
        let reads = &self.0.reads;
        if reads.capacity() < reads.max_capacity() {
            // Without it, they are read one after the other.
            let _ = self.0.second_reader.call();
        }
        self.ask(reads, |deadline, answer| Read { deadline, question: question(answer) }).await
    }

    async fn write<T>(
        &self,
        job: impl FnOnce(Instant, oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        self.0.call_writer()?;
        self.ask(&self.0.jobs, job).await
    }

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
        if let Some(found) = self.0.in_place.load(key) {
            return found;
        }
        self.read(|answer| Question::Load(key.clone(), answer)).await
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
        inner.call_writer()?;
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
        self.write(|_, answer| Job::Reserve(Reserve { key: key.clone(), answer })).await
    }

    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let after = row::after(from)?;
        let range = match site {
            // Whatever follows the slash is below what follows it in the alphabet.
            Some(site) => Range { after: after.max(format!("{site}/").into()), before: Some(format!("{site}0")), most },
            None => Range { after, before: None, most },
        };
        self.read(|answer| Question::List(range, answer)).await
    }

    async fn purge(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
        let after = row::after(from)?;
        let moment = moment.as_millis();
        self.write(|deadline, answer| Job::Purge(Purge { moment, after, most, deadline, answer })).await
    }
}

/// A thread of ours ended early: by a panic, which would be a mistake of this crate.
fn stopped() -> StoreError {
    BACKEND.error(StoreErrorKind::Unavailable, "a thread of the store has stopped; open the store again")
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    fn key() -> StoreKey {
        StoreKey::parse("site/1").unwrap()
    }

    fn record(n: u128) -> Stored {
        Stored { etag: Etag::from_bits(n), bytes: n.to_be_bytes().to_vec() }
    }

    #[tokio::test]
    async fn whoever_only_looks_something_up_has_one_thread_and_whoever_writes_has_a_writer_too() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("v.db")).await.unwrap();
        for _ in 0..3 {
            assert_eq!(store.load(&key()).await.unwrap(), None);
            store.list(None, None, 10).await.unwrap();
        }
        assert_eq!((store.0.second_reader.is_called(), store.0.writer.is_called()), (false, false));
        store.compare_exchange(&key(), None, &record(1), YEAR).await.unwrap();
        assert_eq!((store.0.second_reader.is_called(), store.0.writer.is_called()), (false, true));
    }

    #[tokio::test]
    async fn where_reads_wait_in_line_there_are_two_readers_and_all_are_answered() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("v.db")).await.unwrap();
        let mut reads = tokio::task::JoinSet::new();
        while !store.0.second_reader.is_called() {
            let store = store.clone();
            reads.spawn(async move { store.load(&key()).await });
            tokio::task::yield_now().await;
        }
        while let Some(read) = reads.join_next().await {
            assert_eq!(read.unwrap().unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_read_in_place_is_read_without_a_thread_until_more_is_asked_than_to_look_something_up() {
        let directory = tempfile::tempdir().unwrap();
        let open = || SqliteOptions::new(directory.path().join("v.db")).in_place(Arc::new(|| ())).open();
        for found in [None, Some(record(1))] {
            let store = open().await.unwrap();
            for _ in 0..3 {
                assert_eq!(store.load(&key()).await.unwrap(), found);
            }
            assert!(!store.0.in_place.is_left() && !store.0.second_reader.is_called());
            store.compare_exchange(&key(), None, &record(1), YEAR).await.unwrap();
            assert!(store.0.in_place.is_left());
            assert_eq!(store.load(&key()).await.unwrap(), Some(record(1)));
        }
        let store = open().await.unwrap();
        assert_eq!(store.list(None, None, 10).await.unwrap().keys, [key()]);
        assert!(store.0.in_place.is_left());
    }

    #[tokio::test]
    async fn whoever_reads_in_place_lets_a_thread_wait_for_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v.db");
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
        let done = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(other);
        };
        // In one thread: if that waited, nobody would ever be done.
        let (store, ()) = tokio::join!(SqliteOptions::new(&path).in_place(Arc::new(|| ())).open(), done);
        let store = store.unwrap();
        assert!(store.0.in_place.is_left());
        assert_eq!(store.load(&key()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_in_place_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v.db");
        let in_place = || SqliteOptions::new(&path).in_place(Arc::new(|| ())).open();
        let store = in_place().await.unwrap();
        std::fs::rename(&path, directory.path().join("aside")).unwrap();
        assert_eq!(store.load(&key()).await.unwrap_err().kind(), StoreErrorKind::Misconfigured);
        std::fs::write(&path, "no database").unwrap();
        assert_eq!(in_place().await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    }

    #[tokio::test]
    async fn a_writer_that_could_not_begin_says_why_and_tries_again_with_the_next_write() {
        let directory = tempfile::tempdir().unwrap();
        let (path, aside) = (directory.path().join("v.db"), directory.path().join("aside"));
        let store = SqliteStore::open(&path).await.unwrap();
        std::fs::rename(&path, &aside).unwrap();
        for _ in 0..2 {
            let error = store.compare_exchange(&key(), None, &record(1), YEAR).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
            assert_eq!(store.reserve(&key(), 1).await.unwrap_err().kind(), StoreErrorKind::Misconfigured);
        }
        std::fs::rename(&aside, &path).unwrap();
        let done = store.compare_exchange(&key(), None, &record(1), YEAR).await.unwrap();
        assert_eq!(done, Exchange::Swapped);
        assert_eq!(store.load(&key()).await.unwrap(), Some(record(1)));
    }
}
