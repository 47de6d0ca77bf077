//! `sqlite-load-1` and `sqlite-load-64`: loads from SQLite, one at a time and 64 in flight. The latter tells of other numbers too, for the
//! plot.
//!
//! The limit is a prepared select of our own table. One at a time, the task itself selects. With more in flight there are as many threads as
//! our store has, two, each with a connection of its own: a channel takes the questions to them, and each question another the answer back.
//! How much of a single load is that way is told beside it: what comes of asking a thread one at a time.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use wix_visitor_sqlite::SqliteOptions;

use crate::{
    Result, concurrency,
    peers::sqlx::Sqlx,
    processors::OneProcessor,
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    scratch,
    tasks::{Tasks, Turns, server_runtime},
    visitors::{FEW, Kept, PATIENCE},
};

pub(crate) fn rows() -> [Row; 2] {
    let row = |id, work, goals, in_flight| Row {
        id,
        work,
        unit: Unit::PerSecond,
        goals,
        run: Box::new(move |rounds| run(rounds, in_flight)),
    };
    [
        row("sqlite-load-1", "SQLite: load, one at a time", vec![Goal(Of::Peer, Bound::Least(2.0))], 1),
        row(
            "sqlite-load-64",
            "SQLite: load, 64 in flight",
            vec![Goal(Of::Peer, Bound::Least(2.0)), Goal(Of::Limit, Bound::Least(0.7))],
            64,
        ),
    ]
}

fn run(rounds: &Rounds, in_flight: usize) -> Result<Outcome> {
    let rounds = if in_flight == 1 { &rounds.finer(3) } else { rounds };
    let (runtime, folder) = (server_runtime()?, scratch::folder()?);
    let (path, theirs) = (folder.path().join("ours.db"), folder.path().join("theirs.db"));
    let ours = runtime
        .block_on(async { Kept::filled(SqliteOptions::new(&path).timeout(PATIENCE).open().await?, FEW).await })?;
    let as_it_comes = Sqlx::as_it_comes(&theirs, ours.record.len())?;
    as_it_comes.fill(0, FEW)?;
    let logged = folder.path().join("theirs-logged.db");
    let with_a_log = Sqlx::not_durable(&logged, ours.record.len())?;
    with_a_log.fill(0, FEW)?;
    let (runtime, ours, as_it_comes, with_a_log) = (&runtime, &ours, &as_it_comes, &with_a_log);
    let sides = |rounds: Rounds, in_flight| {
        let tasks = Tasks { in_flight, visitors: FEW, batch: 1, time: rounds.time };
        let limit: Box<dyn FnMut() -> Result<f64>> = if in_flight == 1 {
            let db = Arc::new(Mutex::new(Connection::open(&path)?));
            Box::new(move || tasks.per_second(runtime, |turns| alone(Arc::clone(&db), ours.clone(), turns)))
        } else {
            let threads = Threads::start(&path, ours)?;
            Box::new(move || tasks.per_second(runtime, |turns| threads.clone().ask(ours.record.len(), turns)))
        };
        Ok(vec![
            Side::ours(move || tasks.per_second(runtime, ours.loading())),
            Side::peer("tower-sessions, sqlx", move || as_it_comes.loads(in_flight, FEW, &rounds)),
            Side::peer("tower-sessions, sqlx with a log", move || with_a_log.loads(in_flight, FEW, &rounds)),
            Side::limit("a prepared select", limit),
        ])
    };
    let _held = (in_flight == 1).then(OneProcessor::hold).transpose()?;
    let mut all = sides(*rounds, in_flight)?;
    if in_flight == 1 {
        let tasks = Tasks { in_flight, visitors: FEW, batch: 1, time: rounds.time };
        let threads = Threads::start(&path, ours)?;
        all.push(Side::limit(ASKED, move || {
            tasks.per_second(runtime, |turns| threads.clone().ask(ours.record.len(), turns))
        }));
    }
    let measured = rounds.alternate(all)?;
    let asked = measured.iter().find(|side| side.name == ASKED).map(|side| measured[0].median() / side.median());
    let counted = asked.map(|ratio| ("× a thread that is asked to select", ratio)).into_iter().collect();
    let series = if in_flight == 1 { Vec::new() } else { concurrency::lines(rounds, sides)? };
    Ok(Outcome { sides: measured, counted, series })
}

const ASKED: &str = "a thread that selects";

/// Selects a record.
fn select(db: &Connection, key: &str) -> rusqlite::Result<Vec<u8>> {
    db.prepare_cached("SELECT etag, bytes FROM records WHERE key = ?1")?.query_one([key], |row| {
        let _etag: [u8; 16] = row.get(0)?;
        row.get(1)
    })
}

/// A task that selects by itself.
async fn alone(db: Arc<Mutex<Connection>>, ours: Kept, mut turns: Turns) -> Result {
    while let Some(n) = turns.next().await {
        let found = select(&*db.lock().map_err(|_| "a task has failed")?, ours.keys[n].as_str())?;
        if found.len() != ours.record.len() {
            return Err("what was written is not there".into());
        }
    }
    Ok(())
}

type Question = (usize, oneshot::Sender<rusqlite::Result<Vec<u8>>>);

/// The threads that select; they end with this.
#[derive(Clone)]
struct Threads(mpsc::Sender<Question>);

impl Threads {
    fn start(path: &Path, ours: &Kept) -> Result<Self> {
        let (questions, queue) = mpsc::channel::<Question>(1024);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..2 {
            let (db, keys, queue) = (Connection::open(path)?, ours.keys.clone(), Arc::clone(&queue));
            thread::spawn(move || {
                let next = || queue.lock().ok()?.blocking_recv();
                while let Some((n, answer)) = next() {
                    // Who has gone away needs none.
                    let _ = answer.send(select(&db, keys[n].as_str()));
                }
            });
        }
        Ok(Self(questions))
    }

    async fn ask(self, bytes: usize, mut turns: Turns) -> Result {
        while let Some(n) = turns.next().await {
            let (answer, answered) = oneshot::channel();
            self.0.send((n, answer)).await?;
            if answered.await??.len() != bytes {
                return Err("what was written is not there".into());
            }
        }
        Ok(())
    }
}
