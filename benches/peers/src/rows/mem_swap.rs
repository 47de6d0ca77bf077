//! `mem-swap`: the memory store, 64 tasks that put a new version in the place of the one that stands. The peers compare nothing.

use wix_visitor_core::{Etag, Stored};
use wix_visitor_memory::MemoryStore;

use crate::{
    Result,
    peers::tower_sessions,
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    rows::mem_load::bare,
    sessions,
    tasks::{Tasks, server_runtime},
    visitors::{FEW, Kept},
};

pub(crate) fn row() -> Row {
    Row {
        id: "mem-swap",
        work: "memory store: compare and exchange, 64 in flight",
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
        Side::ours(|| tasks.per_second(&runtime, ours.swapping())),
        Side::peer("tower-sessions, memory", || {
            tasks.per_second(&runtime, |turns| sessions::save(memory.clone(), bytes, turns))
        }),
        Side::peer("tower-sessions, moka", || {
            tasks.per_second(&runtime, |turns| sessions::save(moka.clone(), bytes, turns))
        }),
        Side::limit("papaya, and a clone of the value", || {
            tasks.per_second(&runtime, |mut turns| {
                let (map, keys) = (map.clone(), ours.keys.clone());
                let new = Stored { etag: Etag::from_bits(1), bytes: ours.record.to_vec() };
                async move {
                    while let Some(n) = turns.next().await {
                        map.pin().insert(keys[n].clone(), new.clone());
                    }
                    Ok(())
                }
            })
        }),
    ];
    Ok(rounds.alternate(sides)?.into())
}
