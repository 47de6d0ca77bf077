//! Those who read, each on its own connection: threads, and whoever asks where the store is read in place.

use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use wix_visitor_core::{Page, StoreError, StoreErrorKind, StoreKey, Stored};

use crate::config::Watch;
use crate::database::Database;
use crate::row;
use crate::threads::spawn;
use crate::writer::{BATCH, not_in_time};

/// A question on its way.
pub(crate) struct Read {
    pub(crate) deadline: Instant,
    pub(crate) question: Question,
}

/// What is asked.
pub(crate) enum Question {
    /// For a record.
    Load(StoreKey, oneshot::Sender<Result<Option<Stored>, StoreError>>),
    /// For keys.
    List(Range, oneshot::Sender<Result<Page, StoreError>>),
}

/// Some keys, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    /// They come after this.
    pub(crate) after: Vec<u8>,
    /// And before this, if there is an end.
    pub(crate) before: Option<String>,
    /// So many of them at most.
    pub(crate) most: usize,
}

/// Whoever waits for work holds the queue; whoever has some leaves it to the other.
pub(crate) type Queue = Arc<Mutex<mpsc::Receiver<Read>>>;

pub(crate) const READER: &str = "wv-sqlite-read";

/// A connection, and whose questions are answered on it.
pub(crate) struct Reader {
    pub(crate) db: Database,
    pub(crate) queue: Queue,
    /// Dropped last: after the connection is closed.
    pub(crate) _running: std_mpsc::Sender<()>,
}

impl Reader {
    /// Reads what is asked for until every handle is gone.
    pub(crate) fn run(self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let taken = self.queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv_many(&mut batch, BATCH);
            if taken == 0 {
                return;
            }
            serve(&self.db, &mut batch);
        }
    }
}

/// The first reader, where the store is read in place: it works in the thread of whoever asks, until somebody has to be waited for.
#[derive(Default)]
pub(crate) struct InPlace(Mutex<Option<(Reader, Watch)>>);

impl InPlace {
    pub(crate) fn new(reader: Reader, watch: Watch) -> Self {
        Self(Mutex::new(Some((reader, watch))))
    }

    /// What is found at once. Nothing is, where others have to be waited for: that is left to a thread.
    pub(crate) fn load(&self, key: &StoreKey) -> Option<Result<Option<Stored>, StoreError>> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Reader { db, .. }, watch) = reader.as_ref()?;
        let load = || db.until(Instant::now()).and_then(|_| db.select(key).map_err(|e| db.fail(e))?);
        Some(watch.over(load)).filter(|found| !must_wait(found))
    }

    /// Gives the reader a thread, unless it has one.
    pub(crate) fn leave(&self) -> Result<(), StoreError> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        reader.map_or(Ok(()), |(reader, _)| spawn(READER, || reader.run()))
    }

    #[cfg(test)]
    pub(crate) fn is_left(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        let reader = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((reader, watch)) = reader {
            watch.over(|| drop(reader));
        }
    }
}

/// Whether this is what those are told who wait for nobody.
pub(crate) fn must_wait<T>(found: &Result<T, StoreError>) -> bool {
    found.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Unavailable)
}

/// Who is answered wakes a thread of its runtime, where that sleeps: a few together wake it once, and wait for each other no longer than
/// that takes.
const TOGETHER: usize = 8;

fn serve(db: &Database, batch: &mut Vec<Read>) {
    // One transaction for all: it begins after the last of them was asked for, so none sees less than it should.
    let one_view = batch.len() > 1 && db.run("BEGIN").is_ok();
    // Nor is it looked for each of them whether the file is still in its place.
    let placed = db.check();
    let mut reads = batch.drain(..);
    while reads.len() > 0 {
        let answers = reads.by_ref().take(TOGETHER).filter_map(|read| read.look(db, &placed)).collect::<Vec<_>>();
        answers.into_iter().for_each(Answer::send);
    }
    if one_view && db.run("COMMIT").is_err() {
        db.roll_back();
    }
}

/// An answer, and who waits for it.
enum Answer {
    Load(oneshot::Sender<Result<Option<Stored>, StoreError>>, Result<Option<Stored>, StoreError>),
    List(oneshot::Sender<Result<Page, StoreError>>, Result<Page, StoreError>),
}

impl Read {
    /// Looks for what is asked, if there is still somebody to be answered, in time.
    fn look(self, db: &Database, placed: &Result<(), StoreError>) -> Option<Answer> {
        let ready = || {
            if Instant::now() >= self.deadline {
                return Err(not_in_time());
            }
            db.wait_until(self.deadline);
            placed.clone()
        };
        match self.question {
            Question::Load(_, answer) if answer.is_closed() => None,
            Question::List(_, answer) if answer.is_closed() => None,
            Question::Load(key, answer) => {
                let found = ready().and_then(|()| db.select(&key).map_err(|e| db.fail(e))?);
                Some(Answer::Load(answer, found))
            }
            Question::List(range, answer) => {
                let found = ready().and_then(|()| row::list(db.connection(), &range).map_err(|e| db.fail(e))?);
                Some(Answer::List(answer, found))
            }
        }
    }
}

impl Answer {
    fn send(self) {
        // Whoever went away meanwhile needs none.
        match self {
            Self::Load(to, found) => drop(to.send(found)),
            Self::List(to, found) => drop(to.send(found)),
        }
    }
}
