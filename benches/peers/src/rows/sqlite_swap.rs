//! `sqlite-swap-64`: durable swaps in SQLite, 64 in flight. Of the peers the one with a log is not durable: what was saved last may be
//! gone after a power loss. The peers compare nothing.
//!
//! The limit is what a swap costs that shares nothing: a thread that takes them one by one, each a transaction that waits for the disk.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use wix_visitor_sqlite::SqliteOptions;

use crate::{
    Result,
    peers::sqlx::Sqlx,
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    scratch,
    tasks::{Tasks, Turns, server_runtime},
    visitors::{FEW, Kept, PATIENCE},
};

const TOGETHER: &str = "swaps to a wait for the disk";

pub(crate) fn row() -> Row {
    Row {
        id: "sqlite-swap-64",
        work: "SQLite: durable compare and exchange, 64 in flight",
        unit: Unit::PerSecond,
        goals: vec![
            Goal(Of::Limit, Bound::Least(6.0)),
            Goal(Of::Counted(TOGETHER), Bound::Least(16.0)),
            Goal(Of::Peer, Bound::Least(1.0)),
        ],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let (runtime, folder) = (server_runtime()?, scratch::folder()?);
    let tasks = Tasks { in_flight: 64, visitors: FEW, batch: 1, time: rounds.time };
    let path = |name: &str| folder.path().join(name);
    let fill = |path: PathBuf| {
        runtime.block_on(async { Kept::filled(SqliteOptions::new(path).timeout(PATIENCE).open().await?, FEW).await })
    };
    let ours = fill(path("ours.db"))?;
    let bytes = ours.record.len();
    let not_durable = Sqlx::not_durable(&path("theirs-not-durable.db"), bytes)?;
    let as_it_comes = Sqlx::as_it_comes(&path("theirs.db"), bytes)?;
    not_durable.fill(0, FEW)?;
    as_it_comes.fill(0, FEW)?;
    // The same table, made by our store.
    let one_by_one = OneByOne::start(&path("limit.db"), fill(path("limit.db"))?)?;

    let (waits, written) = (waits(&path("ours.db"))?, ours.written());
    let sides = vec![
        Side::ours(|| tasks.per_second(&runtime, ours.swapping())),
        Side::peer("tower-sessions, sqlx, not durable", || not_durable.saves(64, FEW, rounds)),
        Side::peer("tower-sessions, sqlx", || as_it_comes.saves(64, FEW, rounds)),
        Side::limit("a transaction for each", || tasks.per_second(&runtime, |turns| one_by_one.clone().swap(turns))),
    ];
    let sides = rounds.alternate(sides)?;
    let waited = self::waits(&path("ours.db"))? - waits;
    let together = (ours.written() - written) as f64 / waited as f64;
    Ok(Outcome { sides, counted: vec![(TOGETHER, together)], ..Outcome::default() })
}

/// How often the database at this path was waited for on the disk since it was opened: as SQLite itself counts, in the index of its log and
/// in the log. Each transaction is one wait; and each time that the log begins anew, it is waited for once more, for the database too, and
/// for the log's new head.
fn waits(database: &Path) -> Result<u64> {
    // By another process: SQLite's locks on a file are gone once any descriptor of it is closed in this one.
    let number = |side: &str, at: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(side);
        let shown = Command::new("od").args(["-An", "-tu1", "-N4", "-j", at]).arg(path).output()?.stdout;
        let bytes = str::from_utf8(&shown)?.split_whitespace().map(str::parse).collect::<Result<Vec<u8>, _>>()?;
        Result::<_>::Ok(<[u8; 4]>::try_from(bytes).map_err(|_| "od shows nothing")?)
    };
    let transactions = u32::from_ne_bytes(number("-shm", "8")?);
    let begun_anew = u32::from_be_bytes(number("-wal", "12")?);
    Ok(u64::from(transactions) + 3 * u64::from(begun_anew))
}

type Swap = (usize, u128, oneshot::Sender<rusqlite::Result<usize>>);

/// The thread that swaps one by one; it ends with this.
#[derive(Clone)]
struct OneByOne {
    swaps: mpsc::Sender<Swap>,
    versions: Arc<[AtomicU64]>,
}

impl OneByOne {
    fn start(path: &Path, filled: Kept) -> Result<Self> {
        let (swaps, mut queue) = mpsc::channel::<Swap>(1024);
        let (keys, record) = (filled.keys.clone(), filled.record.clone());
        drop(filled);
        let db = Connection::open(path)?;
        db.execute_batch("PRAGMA synchronous = FULL")?;
        thread::spawn(move || {
            while let Some((n, version, answer)) = queue.blocking_recv() {
                let (standing, new) = (version.to_be_bytes(), (version + 1).to_be_bytes());
                // Who has gone away needs no answer.
                let _ = answer.send(swap(&db, keys[n].as_str(), &standing, &new, &record));
            }
        });
        // As it was filled.
        Ok(Self { swaps, versions: (0..FEW).map(|_| AtomicU64::new(1)).collect() })
    }

    async fn swap(self, mut turns: Turns) -> Result {
        while let Some(n) = turns.next().await {
            let version = self.versions[n].fetch_add(1, Ordering::Relaxed);
            let (answer, answered) = oneshot::channel();
            self.swaps.send((n, version.into(), answer)).await?;
            if answered.await?? != 1 {
                return Err("somebody else has written here".into());
            }
        }
        Ok(())
    }
}

/// A statement of its own is a transaction of its own.
fn swap(db: &Connection, key: &str, standing: &[u8], new: &[u8], record: &[u8]) -> rusqlite::Result<usize> {
    let update = "UPDATE records SET etag = ?2, bytes = ?3 WHERE key = ?1 AND etag = ?4";
    db.prepare_cached(update)?.execute(params![key, new, record, standing])
}
