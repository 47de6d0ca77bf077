//! The threads that read, each on its own connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use wix_visitor_core::{StoreError, StoreKey, Stored};

use crate::database::Database;
use crate::writer::{BATCH, not_in_time};

/// How many there are.
pub(crate) const READERS: usize = 2;

/// A load on its way.
pub(crate) struct Read {
    pub(crate) key: StoreKey,
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Result<Option<Stored>, StoreError>>,
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
    for read in batch.drain(..).filter(|read| !read.answer.is_closed()) {
        let answer = load(db, &read);
        let _ = read.answer.send(answer);
    }
    if together && db.run("COMMIT").is_err() {
        db.roll_back();
    }
}

fn load(db: &Database, read: &Read) -> Result<Option<Stored>, StoreError> {
    if Instant::now() >= read.deadline {
        return Err(not_in_time());
    }
    db.until(read.deadline)?;
    db.select(&read.key).map_err(|e| db.fail(e))?
}
