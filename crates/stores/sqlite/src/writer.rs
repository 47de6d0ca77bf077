//! The one thread that writes: many swaps to one transaction, and so to one wait for the disk.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use wix_visitor_core::{Etag, Exchange, Purged, StoreError, StoreErrorKind, StoreKey};
use wix_visitor_local::{Fate, Pause};

use crate::database::Database;
use crate::error::{BACKEND, is_busy, is_full};
use crate::room::Room;
use crate::row::{self, NewRow};

/// The most swaps in one transaction: enough to share the disk's wait, few enough to let other processes have their turn.
pub(crate) const BATCH: usize = 64;

/// A swap on its way to the disk.
pub(crate) struct Write {
    pub(crate) row: NewRow,
    pub(crate) expected: Option<Etag>,
    pub(crate) deadline: Instant,
    pub(crate) fate: Arc<Fate>,
    pub(crate) answer: oneshot::Sender<Result<Exchange, StoreError>>,
}

/// What is asked of the thread.
pub(crate) enum Job {
    Write(Write),
    Reserve(Reserve),
    Purge(Purge),
}

/// A purge of some records.
pub(crate) struct Purge {
    /// Milliseconds since 1970.
    pub(crate) moment: i64,
    pub(crate) after: Vec<u8>,
    pub(crate) most: usize,
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Result<Purged, StoreError>>,
}

/// A question whether there is room for the next write of this key.
pub(crate) struct Reserve {
    pub(crate) key: StoreKey,
    pub(crate) answer: oneshot::Sender<Result<(), StoreError>>,
}

/// Writes what comes until every handle is gone and the queue is empty; opens its connection for the first of it.
pub(crate) fn run(open: impl Fn() -> Result<Database, StoreError>, mut queue: mpsc::Receiver<Job>) {
    let mut writer = None;
    let mut jobs = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut jobs, BATCH) > 0 {
        let writer = match &mut writer {
            Some(writer) => writer,
            // The next ones may find it open again.
            None => match open() {
                Ok(db) => writer.insert(Writer::new(db)),
                Err(e) => {
                    jobs.drain(..).for_each(|job| job.refuse(e.clone()));
                    continue;
                }
            },
        };
        let (mut writes, mut reserves, mut purges) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs.drain(..) {
            match job {
                Job::Write(write) => writes.push(write),
                Job::Reserve(reserve) => reserves.push(reserve),
                Job::Purge(purge) => purges.push(purge),
            }
        }
        settle(writer, writes);
        for reserve in reserves {
            let answer = writer.reserve(reserve.key);
            let _ = reserve.answer.send(answer);
        }
        for job in purges {
            let answer = purge(&writer.db, &job);
            let _ = job.answer.send(answer);
        }
    }
}

impl Job {
    /// Says why it was not begun.
    fn refuse(self, why: StoreError) {
        match self {
            Self::Write(write) => drop(write.answer.send(Err(why))),
            Self::Reserve(reserve) => drop(reserve.answer.send(Err(why))),
            Self::Purge(purge) => drop(purge.answer.send(Err(why))),
        }
    }
}

/// In one transaction: nobody can renew a record's time while it is dropped.
fn purge(db: &Database, job: &Purge) -> Result<Purged, StoreError> {
    if Instant::now() >= job.deadline {
        return Err(not_in_time());
    }
    db.until(job.deadline)?;
    let purged = db.run("BEGIN IMMEDIATE").and_then(|()| {
        let purged = row::purge(db.connection(), job.moment, &job.after, job.most)?;
        db.run("COMMIT")?;
        Ok(purged)
    });
    purged.map_err(|e| {
        db.roll_back();
        db.fail(e)
    })
}

struct Writer {
    db: Database,
    room: Room,
    /// Keys whose next write may have the room: of grants under way and of tokens that wait to be saved, so as many as the flow's
    /// policy lets there be.
    reserved: HashSet<StoreKey>,
}

impl Writer {
    fn new(db: Database) -> Self {
        Self { room: Room::beside(db.path()), db, reserved: HashSet::new() }
    }

    fn reserve(&mut self, key: StoreKey) -> Result<(), StoreError> {
        self.room.keep().map_err(|e| BACKEND.from_io("reserve room in", self.room.path(), e))?;
        self.reserved.insert(key);
        Ok(())
    }

    /// Makes room for a write that found none, if some was set aside for it.
    fn make_room(&self, write: &Write, failure: &rusqlite::Error) -> bool {
        is_full(failure) && self.reserved.contains(&write.row.key) && self.room.give_up()
    }
}

/// Answers each write of the batch.
fn settle(writer: &mut Writer, mut batch: Vec<Write>) {
    let db = &writer.db;
    let mut pause = Pause::default();
    loop {
        batch = drop_expired(batch);
        let Some(first_deadline) = batch.iter().map(|write| write.deadline).min() else { return };
        let begun = match db.until(first_deadline) {
            Err(e) => return answer_all(batch, &e),
            // Immediate: a transaction that turns into a writing one later can fail at once, whatever it would wait.
            Ok(_) => db.run("BEGIN IMMEDIATE"),
        };
        match begun {
            Ok(()) => break,
            // Those whose time is over are answered; the others may have some left.
            Err(e) if is_busy(&e) => thread::sleep(pause.draw()),
            Err(e) => return answer_all(batch, &db.fail(e)),
        }
    }

    let mut outcomes = Vec::with_capacity(batch.len());
    for write in &batch {
        // Only now, with the lock in hand: as long as a write waits for that, it is certain not to be applied.
        if !write.fate.begin() {
            outcomes.push(None);
            continue;
        }
        match exchange(db, write) {
            Ok(outcome) => outcomes.push(Some(outcome)),
            Err(e) => {
                db.roll_back();
                return alone(writer, batch, e);
            }
        }
    }
    let failure = match db.run("COMMIT") {
        Ok(()) => None,
        Err(e) => {
            db.roll_back();
            if is_full(&e) {
                return alone(writer, batch, e);
            }
            Some(CommitFailure::new(db, e))
        }
    };
    for (write, outcome) in batch.into_iter().zip(outcomes) {
        let Some(outcome) = outcome else { continue };
        let answer = match &failure {
            None => outcome,
            Some(failure) => failure.answer(outcome),
        };
        if answer.is_ok() {
            writer.reserved.remove(&write.row.key);
        }
        let _ = write.answer.send(answer);
    }
}

/// A batch failed and was taken back. One write may be the reason (its page is damaged, it is the one too many for the disk),
/// and the others are not to suffer for it.
fn alone(writer: &mut Writer, batch: Vec<Write>, failure: rusqlite::Error) {
    match &batch[..] {
        [write] if !writer.make_room(write, &failure) => answer_all(batch, &writer.db.fail(failure)),
        _ => batch.into_iter().for_each(|write| settle(writer, vec![write])),
    }
}

fn exchange(db: &Database, write: &Write) -> rusqlite::Result<Result<Exchange, StoreError>> {
    if write.expected.is_none()
        && let Err(e) = row::check_absence(&write.row.key, db.connection())?
    {
        return Ok(Err(e));
    }
    if write.row.write(db.connection(), write.expected)? {
        return Ok(Ok(Exchange::Swapped));
    }
    Ok(db.select(&write.row.key)?.map(Exchange::Conflict))
}

fn drop_expired(batch: Vec<Write>) -> Vec<Write> {
    let now = Instant::now();
    let (waiting, expired) = batch.into_iter().partition(|write| write.deadline > now);
    answer_all(expired, &not_in_time());
    waiting
}

pub(crate) fn not_in_time() -> StoreError {
    BACKEND.error(
        StoreErrorKind::Unavailable,
        "the operation did not get its turn within the timeout: another process holds the database, or the disk is too slow",
    )
}

fn answer_all(batch: Vec<Write>, answer: &StoreError) {
    for write in batch {
        let _ = write.answer.send(Err(answer.clone()));
    }
}

/// What is to be said when the last step of a transaction fails.
struct CommitFailure {
    written: StoreError,
    others: StoreError,
}

impl CommitFailure {
    fn new(db: &Database, e: rusqlite::Error) -> Self {
        // A commit first appends to the log, the mark that makes it valid last. A lock stops it before that mark; a full disk, too,
        // and does not come here. Anything else may come after it, say from the wait for the disk: this process then takes the
        // transaction back, but a crash before the next write would have the log replayed, mark and all.
        let before_the_mark = is_busy(&e);
        let others = db.fail(e);
        let written = if before_the_mark {
            others.clone()
        } else {
            BACKEND.unfinished("whose commit failed half way").with_source(others.clone())
        };
        Self { written, others: BACKEND.error(StoreErrorKind::Unavailable, "a commit failed").with_source(others) }
    }

    fn answer(&self, outcome: Result<Exchange, StoreError>) -> Result<Exchange, StoreError> {
        match outcome {
            Ok(Exchange::Swapped) => Err(self.written.clone()),
            // What stood there may have been put there by the transaction that failed.
            Ok(Exchange::Conflict(_)) => Err(self.others.clone()),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::task::JoinSet;
    use wix_visitor_core::{Stored, TokenStore};

    use super::*;
    use crate::config::{BeforeCommit, SqliteOptions};
    use crate::store::SqliteStore;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    fn key(n: usize) -> StoreKey {
        StoreKey::parse(&format!("site/{n}")).unwrap()
    }

    fn record(n: u128) -> Stored {
        Stored { etag: Etag::from_bits(n), bytes: n.to_be_bytes().to_vec() }
    }

    async fn open(path: &Path, before_commit: impl Fn() -> bool + Send + Sync + 'static) -> SqliteStore {
        let mut options = SqliteOptions::new(path).timeout(Duration::from_secs(60));
        options.before_commit = Some(BeforeCommit(Arc::new(before_commit)));
        options.open().await.unwrap()
    }

    #[tokio::test]
    async fn a_write_whose_commit_hangs_is_unknown_and_is_still_applied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v.db");
        let gate = Arc::new(Barrier::new(2));
        let store = {
            let gate = Arc::clone(&gate);
            let mut options = SqliteOptions::new(&path).timeout(Duration::from_millis(300));
            options.before_commit = Some(BeforeCommit(Arc::new(move || {
                gate.wait();
                false
            })));
            options.open().await.unwrap()
        };
        let error = store.compare_exchange(&key(1), None, &record(1), YEAR).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unknown);
        assert_eq!(store.load(&key(1)).await.unwrap(), None);

        gate.wait();
        drop(store);
        let store = SqliteStore::open(&path).await.unwrap();
        let again = store.compare_exchange(&key(1), None, &record(1), YEAR).await.unwrap();
        assert_eq!(again, Exchange::Conflict(Some(record(1))), "it was applied: one's own etag says so");
    }

    #[tokio::test]
    async fn a_write_that_did_not_get_its_turn_is_unavailable_and_never_applied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v.db");
        let store = SqliteOptions::new(&path).timeout(Duration::from_millis(200)).open().await.unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();

        let error = store.compare_exchange(&key(1), None, &record(1), YEAR).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (StoreErrorKind::Unavailable, true));
        assert_eq!(store.load(&key(1)).await.unwrap(), None, "who only reads is not held up");

        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.compare_exchange(&key(2), None, &record(2), YEAR).await.unwrap(), Exchange::Swapped);
        assert_eq!(store.load(&key(1)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_failed_commit_is_unknown_for_what_was_written_and_unavailable_for_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let fails = Arc::new(AtomicUsize::new(0));
        let entered = Arc::new(Barrier::new(2));
        let store = {
            let (fails, entered) = (Arc::clone(&fails), Arc::clone(&entered));
            open(&directory.path().join("v.db"), move || match fails.fetch_add(1, Ordering::SeqCst) {
                // While the first commit waits, the next three come together.
                0 => {
                    entered.wait();
                    entered.wait();
                    false
                }
                n => n == 1,
            })
            .await
        };
        let write = |n: usize, etag: u128| {
            let store = store.clone();
            tokio::spawn(async move { store.compare_exchange(&key(n), None, &record(etag), YEAR).await })
        };
        let first = write(1, 1);
        tokio::task::yield_now().await;
        entered.wait();
        let (taken, swapped, conflict) = (write(1, 2), write(2, 3), write(2, 4));
        tokio::task::yield_now().await;
        entered.wait();
        assert_eq!(first.await.unwrap().unwrap(), Exchange::Swapped);
        let kinds = [taken, swapped, conflict].map(|task| async { task.await.unwrap().unwrap_err().kind() });
        let [taken, swapped, conflict] = kinds;
        assert_eq!(taken.await, StoreErrorKind::Unavailable);
        assert_eq!(swapped.await, StoreErrorKind::Unknown);
        assert_eq!(conflict.await, StoreErrorKind::Unavailable, "what it met was never committed");
        assert_eq!(store.load(&key(2)).await.unwrap(), None);
        assert_eq!(store.compare_exchange(&key(2), None, &record(3), YEAR).await.unwrap(), Exchange::Swapped);
    }

    #[tokio::test]
    async fn writes_that_come_together_share_a_commit() {
        let directory = tempfile::tempdir().unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Barrier::new(2));
        let store = {
            let (commits, gate) = (Arc::clone(&commits), Arc::clone(&gate));
            open(&directory.path().join("v.db"), move || {
                if commits.fetch_add(1, Ordering::SeqCst) == 0 {
                    gate.wait();
                    gate.wait();
                }
                false
            })
            .await
        };
        let mut writes = JoinSet::new();
        let mut write = |n: usize| {
            let store = store.clone();
            writes.spawn(async move { store.compare_exchange(&key(n), None, &record(n as u128), YEAR).await });
        };
        write(0);
        tokio::task::yield_now().await;
        gate.wait();
        (1..=2 * BATCH).for_each(write);
        // The runtime comes back here after every 61 tasks, and each of them has to be in the queue.
        for _ in 0..2 * BATCH {
            tokio::task::yield_now().await;
        }
        gate.wait();
        while let Some(done) = writes.join_next().await {
            assert_eq!(done.unwrap().unwrap(), Exchange::Swapped);
        }
        assert_eq!(commits.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_write_goes_on_when_its_caller_and_every_handle_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v.db");
        let gate = Arc::new(Barrier::new(2));
        let store = {
            let gate = Arc::clone(&gate);
            open(&path, move || {
                gate.wait();
                false
            })
            .await
        };
        let task = {
            let store = store.clone();
            tokio::spawn(async move { store.compare_exchange(&key(1), None, &record(1), YEAR).await })
        };
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let dropping = std::thread::spawn(move || drop(store));
        gate.wait();
        dropping.join().unwrap();

        // The very file, without any store: the drop waited for the write, and closed the log.
        let db = rusqlite::Connection::open(&path).unwrap();
        assert!(!path.with_extension("db-wal").exists());
        let found: (i64, String, String) = db
            .query_row("SELECT count(*), typeof(keep_until), typeof(etag) FROM records", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!(found, (1, "integer".to_owned(), "blob".to_owned()), "times are integers (D5)");
    }
}
