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

fn serve(db: &Database, batch: &mut Vec<Read>) {
    // One transaction for all: it begins after the last of them was asked for, so none sees less than it should.
    let together = batch.len() > 1 && db.run("BEGIN").is_ok();
    // Nor is it looked for each of them whether the file is still in its place.
    let placed = db.check();
    for Read { deadline, question } in batch.drain(..) {
        match question {
            Question::Load(key, answer) => ask(db, &placed, deadline, answer, || db.select(&key)),
            Question::List(range, answer) => ask(db, &placed, deadline, answer, || row::list(db.connection(), &range)),
        }
    }
    if together && db.run("COMMIT").is_err() {
        db.roll_back();
    }
}

/// Answers, if there is still somebody to be answered, in time.
fn ask<T>(
    db: &Database,
    placed: &Result<(), StoreError>,
    deadline: Instant,
    answer: oneshot::Sender<Result<T, StoreError>>,
    look: impl FnOnce() -> rusqlite::Result<Result<T, StoreError>>,
) {
    if answer.is_closed() {
        return;
    }
    let found = if Instant::now() >= deadline {
        Err(not_in_time())
    } else {
        db.wait_until(deadline);
        placed.clone().and_then(|()| look().map_err(|e| db.fail(e))?)
    };
    let _ = answer.send(found);
}
