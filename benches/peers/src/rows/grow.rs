//! `grow`: how long a load takes among 1,000 visitors and among up to a million, in each store, and in those of tower-sessions.
//!
//! A store that grows is measured in turns with one of the same kind that stays at 1,000, so a machine that is busy for a while does not make
//! it look slow. The visitors that are loaded are the same again and again: the system has them in memory, and what is measured is how they
//! are found. Nobody waits for the disk while the stores are filled.

use std::{collections::HashMap, hint::black_box, sync::Arc, thread};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use wix_visitor_core::{StoreKey, TokenStore};
use wix_visitor_file::FileOptions;
use wix_visitor_memory::MemoryStore;
use wix_visitor_redis::RedisOptions;
use wix_visitor_sqlite::{SqliteOptions, Synchronous};

use crate::{
    Result,
    peers::{sqlx::Sqlx, tower_sessions},
    processors::OneProcessor,
    redis_server::RedisServer,
    rounds::{Measured, Role, Rounds, middle},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    scratch,
    series::Series,
    sessions::{self, Sessions, middle_load},
    site::runtime,
    tasks::server_runtime,
    visitors::{FEW, Kept, PATIENCE, key, record},
};

const MOST: usize = 1_000_000;
/// In a hurry; the row says so.
const MOST_QUICK: usize = 10_000;

pub(crate) fn row() -> Row {
    Row {
        id: "grow",
        work: "load among many visitors, to load among 1,000: the worst store",
        unit: Unit::Times,
        goals: vec![
            Goal(Of::Counted("in memory"), Bound::Most(1.5)),
            Goal(Of::Counted("in Redis"), Bound::Most(1.5)),
            Goal(Of::Counted("in SQLite"), Bound::Most(2.0)),
            Goal(Of::Counted("in files"), Bound::Most(2.0)),
        ],
        run: Box::new(run),
    }
}

/// A store that is filled, and asked how long a load takes.
trait Grows: Send {
    fn fill(&mut self, from: usize, to: usize) -> Result;
    fn middle_load(&self, visitors: usize) -> Result<f64>;
}

type Made = Result<Box<dyn Grows>>;
/// Whose it is, where visitors are kept, what it is called, and how one is made that has room for so many.
type Kind<'a> = (Role, &'static str, &'static str, &'a dyn Fn(usize) -> Made);

/// One of a kind that grows, and one that does not.
struct Pair {
    few: Box<dyn Grows>,
    many: Box<dyn Grows>,
    points: Vec<[f64; 2]>,
    /// The time of a load in the one to that in the other, of each round at the last size.
    ratios: Vec<f64>,
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let runtime = &Arc::new(server_runtime()?);
    let bytes = runtime.block_on(record())?.len();
    let most = if rounds.quick { MOST_QUICK } else { MOST };
    let alone: [Kind<'_>; 7] = [
        (Role::Limit, "memory", "in an array, by number", &|most| bare::<Vec<_>>(bytes, most)),
        (Role::Limit, "memory", "in a bare map", &|most| bare::<HashMap<_, _, _>>(bytes, most)),
        (Role::Ours, "memory", "in memory", &|most| ours(runtime, async { Ok(MemoryStore::new()) }, most, ())),
        (Role::Peer, "memory", "tower-sessions, memory", &|_| theirs(runtime, bytes, tower_sessions::memory(), ())),
        (Role::Peer, "memory", "tower-sessions, moka", &|_| theirs(runtime, bytes, tower_sessions::moka(), ())),
        (Role::Ours, "Redis", "in Redis", &|most| {
            let server = RedisServer::start()?;
            let options = RedisOptions::new("127.0.0.1", server.port()).timeout(PATIENCE);
            ours(runtime, async { Ok(options.connect().await?) }, most, server)
        }),
        (Role::Peer, "Redis", "tower-sessions, Redis", &|_| {
            let server = RedisServer::start()?;
            theirs(runtime, bytes, runtime.block_on(tower_sessions::redis(&server.url()))?, server)
        }),
    ];
    // Filled at the same time: files wait for the disk, and who writes to SQLite does not.
    let on_disk: [Kind<'_>; 3] = [
        (Role::Ours, "SQLite", "in SQLite", &|most| {
            let folder = scratch::folder()?;
            let options = SqliteOptions::new(folder.path().join("visitors.db")).synchronous(Synchronous::Normal);
            ours(runtime, async { Ok(options.timeout(PATIENCE).open().await?) }, most, folder)
        }),
        (Role::Ours, "files", "in files", &|most| {
            let folder = scratch::folder()?;
            let options = FileOptions::new(folder.path().join("visitors")).without_sync();
            ours(runtime, async { Ok(options.timeout(PATIENCE).open().await?) }, most, folder)
        }),
        (Role::Peer, "SQLite", "tower-sessions, sqlx", &|_| {
            let folder = scratch::folder()?;
            let program = Sqlx::not_durable(&folder.path().join("sessions.db"), bytes)?;
            Ok(Box::new(Elsewhere { program, _folder: folder }))
        }),
    ];
    let mut outcome = Outcome { counted: vec![("visitors", most as f64)], ..Outcome::default() };
    for kinds in alone.chunks(1).chain([&on_disk[..]]) {
        for ((role, store, name, _), pair) in kinds.iter().zip(grown(rounds, kinds, most)?) {
            let measured = Measured::new(*role, name, pair.ratios);
            if *role != Role::Peer {
                outcome.counted.push((name, measured.median()));
            }
            if *role == Role::Limit {
                continue;
            }
            outcome.sides.push(measured);
            let name = if *role == Role::Ours { format!("wix-visitor, {name}") } else { (*name).to_owned() };
            outcome.series.push(Series { role: *role, name, store: Some((*store).to_owned()), points: pair.points });
        }
    }
    // Ours is the worst of them.
    let ours = outcome.sides.iter().filter(|side| side.role == Role::Ours);
    let worst = ours.max_by(|one, other| one.median().total_cmp(&other.median())).cloned();
    outcome.sides.retain(|side| side.role != Role::Ours);
    outcome.sides.extend(worst);
    Ok(outcome)
}

/// Some kinds, grown together and measured one after another.
fn grown(rounds: &Rounds, kinds: &[Kind<'_>], most: usize) -> Result<Vec<Pair>> {
    let pair = |(_, _, _, make): &Kind<'_>| {
        let mut pair = Pair { few: make(FEW)?, many: make(most)?, points: Vec::new(), ratios: Vec::new() };
        pair.few.fill(0, FEW)?;
        Result::<_>::Ok(pair)
    };
    let mut pairs: Vec<Pair> = kinds.iter().map(pair).collect::<Result<_>>()?;
    let (mut size, mut so_far) = (FEW, 0);
    while size <= most {
        eprintln!("      {}: {size}", kinds.iter().map(|(_, _, name, _)| *name).collect::<Vec<_>>().join("; "));
        thread::scope(|scope| {
            let many = pairs.iter_mut().map(|pair| &mut pair.many);
            let filling: Vec<_> = many.map(|many| scope.spawn(move || many.fill(so_far, size))).collect();
            filling.into_iter().try_for_each(|one| one.join().map_err(|_| "who filled a store has panicked")?)
        })?;
        so_far = size;
        let _held = OneProcessor::hold()?;
        for Pair { few, many, points, ratios } in &mut pairs {
            let mut loads = Vec::new();
            ratios.clear();
            many.middle_load(size)?;
            for _ in 0..rounds.count {
                let (floor, load) = (few.middle_load(FEW)?, many.middle_load(size)?);
                ratios.push(load / floor);
                loads.push(load);
            }
            points.push([size as f64, middle(loads)]);
        }
        size *= 10;
    }
    Ok(pairs)
}

/// One of ours, and what goes with it.
struct Ours<K> {
    runtime: Arc<Runtime>,
    kept: Kept,
    _with: K,
}

fn ours<S: TokenStore, K: Send + 'static>(
    runtime: &Arc<Runtime>,
    store: impl Future<Output = Result<S>>,
    most: usize,
    with: K,
) -> Made {
    let kept = runtime.block_on(async { Kept::new(store.await?, most).await })?;
    Ok(Box::new(Ours { runtime: Arc::clone(runtime), kept, _with: with }))
}

impl<K: Send + 'static> Grows for Ours<K> {
    fn fill(&mut self, from: usize, to: usize) -> Result {
        self.runtime.block_on(self.kept.fill(from, to))
    }

    fn middle_load(&self, visitors: usize) -> Result<f64> {
        let key = |n: usize| self.kept.keys[n].clone();
        self.runtime.block_on(middle_load(visitors, key, async |key| self.kept.load_by(key).await))
    }
}

/// No store at all: what it takes to find a record and to copy it.
struct Bare<R> {
    keys: Vec<StoreKey>,
    records: R,
    bytes: usize,
}

/// Where the records are.
trait Records: Default + Send {
    type Key;
    fn key(n: usize, key: &StoreKey) -> Self::Key;
    fn put(&mut self, key: Self::Key, record: Vec<u8>);
    fn get(&self, key: &Self::Key) -> Option<&Vec<u8>>;
}

impl Records for HashMap<StoreKey, Vec<u8>, foldhash::fast::RandomState> {
    type Key = StoreKey;

    fn key(_: usize, key: &StoreKey) -> StoreKey {
        key.clone()
    }

    fn put(&mut self, key: StoreKey, record: Vec<u8>) {
        self.insert(key, record);
    }

    fn get(&self, key: &StoreKey) -> Option<&Vec<u8>> {
        self.get(key)
    }
}

/// Nothing is searched for: each is at its visitor's number.
impl Records for Vec<Vec<u8>> {
    type Key = usize;

    fn key(n: usize, _: &StoreKey) -> usize {
        n
    }

    fn put(&mut self, n: usize, record: Vec<u8>) {
        if self.len() <= n {
            self.resize_with(n + 1, Vec::new);
        }
        self[n] = record;
    }

    fn get(&self, n: &usize) -> Option<&Vec<u8>> {
        self.as_slice().get(*n)
    }
}

fn bare<R: Records + 'static>(bytes: usize, most: usize) -> Made {
    let keys = (0..most).map(key).collect::<Result<_>>()?;
    Ok(Box::new(Bare { keys, records: R::default(), bytes }))
}

impl<R: Records> Grows for Bare<R> {
    fn fill(&mut self, from: usize, to: usize) -> Result {
        // In the order in which the stores are filled: one that is asked later would lie in memory one after the other.
        let mut order: Vec<_> = (from..to).collect();
        order.sort_unstable_by_key(|n| &self.keys[*n]);
        for n in order {
            self.records.put(R::key(n, &self.keys[n]), vec![b'x'; self.bytes]);
        }
        Ok(())
    }

    fn middle_load(&self, visitors: usize) -> Result<f64> {
        let load = async |key: &R::Key| {
            black_box(self.records.get(key).cloned().ok_or("what was written is not there")?);
            Ok(())
        };
        runtime()?.block_on(middle_load(visitors, |n| R::key(n, &self.keys[n]), load))
    }
}

/// One of tower-sessions, and what goes with it.
struct Theirs<S, K> {
    runtime: Arc<Runtime>,
    bytes: usize,
    store: S,
    _with: K,
}

fn theirs<S: Sessions, K: Send + 'static>(runtime: &Arc<Runtime>, bytes: usize, store: S, with: K) -> Made {
    Ok(Box::new(Theirs { runtime: Arc::clone(runtime), bytes, store, _with: with }))
}

impl<S: Sessions, K: Send + 'static> Grows for Theirs<S, K> {
    fn fill(&mut self, from: usize, to: usize) -> Result {
        self.runtime.block_on(sessions::fill(&self.store, self.bytes, from, to))
    }

    fn middle_load(&self, visitors: usize) -> Result<f64> {
        self.runtime.block_on(middle_load(visitors, |n| n, async |n| self.store.load(*n).await))
    }
}

/// That on SQLite.
struct Elsewhere {
    program: Sqlx,
    _folder: TempDir,
}

impl Grows for Elsewhere {
    fn fill(&mut self, from: usize, to: usize) -> Result {
        self.program.fill(from, to)
    }

    fn middle_load(&self, visitors: usize) -> Result<f64> {
        self.program.middle_load(visitors)
    }
}
