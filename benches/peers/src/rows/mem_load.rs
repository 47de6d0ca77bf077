//! `mem-load`: the memory store, 64 tasks that load.

use foldhash::fast::RandomState;
use papaya::HashMap;
use wix_visitor_core::{Etag, StoreKey, Stored};
use wix_visitor_memory::MemoryStore;

use crate::{
    Result,
    peers::tower_sessions,
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    sessions,
    tasks::{Tasks, server_runtime},
    visitors::{FEW, Kept},
};

pub(crate) fn row() -> Row {
    Row {
        id: "mem-load",
        work: "memory store: load, 64 in flight",
        unit: Unit::PerSecond,
        goals: vec![Goal(Of::Peer, Bound::Least(2.0))],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let runtime = server_runtime()?;
    let tasks = Tasks { in_flight: 64, visitors: FEW, batch: 64, time: rounds.time };
    let ours = runtime.block_on(Kept::filled(MemoryStore::new(), FEW))?;
    let bytes = ours.record.len();
    let (memory, moka) = (tower_sessions::memory(), tower_sessions::moka());
    runtime.block_on(sessions::fill(&memory, bytes, 0, FEW))?;
    runtime.block_on(sessions::fill(&moka, bytes, 0, FEW))?;
    let map = bare(&ours);
    let sides = vec![
        Side::ours(|| tasks.per_second(&runtime, ours.loading())),
        Side::peer("tower-sessions, memory", || {
            tasks.per_second(&runtime, |turns| sessions::load(memory.clone(), turns))
        }),
        Side::peer("tower-sessions, moka", || tasks.per_second(&runtime, |turns| sessions::load(moka.clone(), turns))),
        Side::limit("papaya, and a clone of the value", || {
            tasks.per_second(&runtime, |mut turns| {
                let (map, keys) = (map.clone(), ours.keys.clone());
                async move {
                    while let Some(n) = turns.next().await {
                        let found = map.pin().get(&keys[n]).cloned();
                        found.filter(|found| found.bytes.len() == bytes).ok_or("what was written is not there")?;
                    }
                    Ok(())
                }
            })
        }),
    ];
    Ok(rounds.alternate(sides)?.into())
}

/// The bare map, with the same in it.
pub(super) fn bare(kept: &Kept) -> std::sync::Arc<HashMap<StoreKey, Stored, RandomState>> {
    let map = HashMap::with_hasher(RandomState::default());
    for key in kept.keys.iter() {
        map.pin().insert(key.clone(), Stored { etag: Etag::from_bits(1), bytes: kept.record.to_vec() });
    }
    map.into()
}
