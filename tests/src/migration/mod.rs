//! Moving from store to store while instances write, ended at random moments and begun again; and whether everybody is who they were.

mod crowd;
mod place;
mod random;
mod round;
mod run;
mod tally;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use place::Kind;
pub use tally::{Tally, findings, notes, table};

use place::Ground;
use random::Random;
use round::{Order, round};
use run::{Migration, Ring, Side};
use tally::Shared;

/// How many moves are under way at the same time.
const SIDE_BY_SIDE: usize = 4;
/// How often runs of one move are killed at most: after some, all visitors are there.
const KILLS: u32 = 13;
/// Whether records are sealed in the old store, and in the other one. Where both are, the rings are two.
const SEALED: [(bool, bool); 4] = [(false, false), (false, true), (true, true), (true, false)];

/// From where, and to where.
pub type Route = (Kind, Kind);

/// Every two of those that several processes can share.
pub const SHARED: [Route; 6] = [
    (Kind::File, Kind::Sqlite),
    (Kind::File, Kind::Redis),
    (Kind::Sqlite, Kind::File),
    (Kind::Sqlite, Kind::Redis),
    (Kind::Redis, Kind::File),
    (Kind::Redis, Kind::Sqlite),
];

/// Those that Redis has besides one server.
pub const FAILING_OVER: [Route; 4] = [
    (Kind::Sqlite, Kind::Sentinel),
    (Kind::Sentinel, Kind::File),
    (Kind::File, Kind::Cluster),
    (Kind::Cluster, Kind::Sqlite),
];

/// Those that one process has for itself.
pub const IN_MEMORY: [Route; 6] = [
    (Kind::Memory, Kind::File),
    (Kind::Memory, Kind::Sqlite),
    (Kind::Memory, Kind::Redis),
    (Kind::File, Kind::Memory),
    (Kind::Sqlite, Kind::Memory),
    (Kind::Redis, Kind::Memory),
];

/// How much is done on each route.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// How often a run is killed, at least.
    pub kills: u32,
    /// How many visitors move.
    pub visitors: usize,
    /// How many of them the first time: more than one page of a store's list.
    pub at_first: usize,
    /// What all draws come from.
    pub seed: u64,
}

/// Moves on every route, and says what came of it. `tell` hears of each move.
pub async fn campaign(
    routes: impl IntoIterator<Item = Route>,
    extent: Extent,
    tell: impl Fn(&str, &Tally) + Clone + Send + Sync + 'static,
) -> Vec<(String, Tally)> {
    let room = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut tasks = JoinSet::new();
    let mut random = Random::new(extent.seed);
    for (n, route) in routes.into_iter().enumerate() {
        let (random, tell) = (random.fork(), tell.clone());
        let place = Arc::clone(&room).acquire_owned().await;
        tasks.spawn(async move {
            let _place = place;
            let name = format!("{} → {}", route.0.name(), route.1.name());
            let tally = Arc::new(Shared::default());
            if let Err(what) = all_moves(n, route, extent, random, &tally, &|tally| tell(&name, tally)).await {
                tally.find(what);
            }
            let tally = tally.lock().clone();
            (n, name, tally)
        });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(n, ..)| *n);
    done.into_iter().map(|(_, name, tally)| (name, tally)).collect()
}

/// All moves on one route: each with stores of its own, plain and sealed in turn.
async fn all_moves(
    number: usize,
    route: Route,
    extent: Extent,
    mut random: Random,
    tally: &Arc<Shared>,
    tell: &(dyn Fn(&Tally) + Send + Sync),
) -> Result<(), String> {
    let (from, to) = (Ground::prepare(route.0).await, Ground::prepare(route.1).await);
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let ring = |name: &str| Ring::generate(directory.path().join(name));
    let (from_ring, to_ring) = (ring("from.keys")?, ring("to.keys")?);
    let mut turn = 0;
    while tally.lock().kills < extent.kills {
        let left = (extent.kills - tally.lock().kills).min(KILLS);
        // In both parts of a move; and where there are more of them, in two moves at the least, which are sealed otherwise.
        let kills = left.min(extent.kills.div_ceil(2).max(2));
        let (seals_from, seals_to) = SEALED[(number + turn) % SEALED.len()];
        let side = |ground: &Ground, ring: &Ring, sealed: bool, name: String| Side {
            place: ground.place(&name),
            ring: sealed.then(|| ring.clone()),
        };
        let from = side(&from, &from_ring, seals_from, format!("from{turn}"));
        let migration = |name: &str| Migration {
            from: from.clone(),
            to: side(&to, &to_ring, seals_to, format!("{name}{turn}")),
            directory: directory.path().to_owned(),
        };
        let visitors = if turn == 0 { extent.at_first } else { extent.visitors };
        let order = Order { visitors, kills: [kills.div_ceil(2), kills / 2] };
        round(order, &migration("to"), &migration("scratch"), random.fork(), tally).await?;
        tell(&tally.lock());
        turn += 1;
    }
    Ok(())
}
