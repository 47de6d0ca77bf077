//! The threads that read, each on its own connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use wix_visitor_core::{Page, StoreError, StoreKey, Stored};

use crate::database::Database;
use crate::row;
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

/// Reads what is asked for until every handle is gone.
pub(crate) fn run(db: &Database, queue: &Queue) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let taken = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv_many(&mut batch, BATCH);
        if taken == 0 {
            return;
        }
        serve(db, &mut batch);
    }
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
