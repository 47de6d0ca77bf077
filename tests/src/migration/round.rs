//! One move, from the first run to the judgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use wix_visitor_core::TokenStore;
use wix_visitor_testkit::Rotation;

use super::crowd::{Crowd, Pair, insist};
use super::random::Random;
use super::run::{Ended, Migration};
use super::tally::Shared;

/// How many shoppers are at work at once in each store.
const WRITERS: usize = 4;
/// How long each of them waits at most before the next thing.
const REST: Duration = Duration::from_millis(10);
/// After so many runs in a row that came to their end, killing them is given up.
const MISSES: u32 = 200;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// How many visitors there are at first.
    pub(super) visitors: usize,
    /// How often a run is killed: while the old store alone is in use, and while the other one is too.
    pub(super) kills: [u32; 2],
}

/// An application that moves.
struct Move<'a> {
    migration: &'a Migration,
    random: Random,
    tally: &'a Arc<Shared>,
    /// How long a run takes that is not killed.
    takes: Duration,
    /// How many visitors there were before the first one.
    visitors: usize,
    /// The other store, to see how far a run came.
    seen: Arc<dyn TokenStore>,
}

/// Moves an application while it is used, and looks for each of its visitors afterwards.
///
/// `scratch` is the same move to a store that nobody needs, to see how long that takes.
pub(super) async fn round(
    order: Order,
    migration: &Migration,
    scratch: &Migration,
    mut random: Random,
    tally: &Arc<Shared>,
) -> Result<(), String> {
    // Of these a refresh token works once: they are at home in the old store until the end.
    let at_home = Arc::new(Crowd::new("at home", Rotation::Strict, tally));
    // These are renewed in both stores, each time with what that store has: no endpoint but one that goes on taking older tokens
    // lets two stores be in use.
    let on_the_way = Arc::new(Crowd::new("on the way", Rotation::New, tally));
    let crowds = [at_home, on_the_way];
    let old = instances(&crowds, migration, false).await?;
    for (crowd, old) in crowds.iter().zip(&old) {
        crowd.grow(order.visitors / 2, &old[0]).await?;
    }
    let takes = scratch.whole(tally).await?.took;
    let seen = migration.to.place.open().await?;
    let mut moving = Move { migration, random: random.fork(), tally, takes, visitors: order.visitors, seen };

    let over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for n in 0..WRITERS {
        let (crowd, old) = (Arc::clone(&crowds[n % 2]), old[n % 2].clone());
        let (over, mut random) = (Arc::clone(&over), random.fork());
        writers.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                crowd.turn(&old, &mut random).await?;
                tokio::time::sleep(random.within(REST)).await;
            }
            Ok(())
        });
    }
    moving.kill(order.kills[0]).await?;

    // What an application does before its instances begin to use the other store.
    let [_, on_the_way] = &crowds;
    on_the_way.settle().await?;
    moving.whole().await?;
    let new = instances(&crowds, migration, true).await?;
    for _ in 0..WRITERS {
        let (crowd, new) = (Arc::clone(on_the_way), new[1].clone());
        let (over, mut random) = (Arc::clone(&over), random.fork());
        writers.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                crowd.turn_elsewhere(&new, &mut random).await?;
                tokio::time::sleep(random.within(REST)).await;
            }
            Ok(())
        });
    }
    moving.kill(order.kills[1]).await?;

    over.store(true, Ordering::Relaxed);
    for writer in writers.join_all().await {
        let ended: Result<(), String> = writer;
        ended?;
    }
    let instances: Vec<_> = old.into_iter().chain(new).flatten().collect();
    for instance in &instances {
        insist("shut down", || instance.shutdown()).await?;
    }
    moving.finish().await?;
    let store = migration.to.open().await?;
    for crowd in &crowds {
        crowd.judge(&store).await?;
    }
    Ok(())
}

/// Two for each crowd, on the old store or the new one. Each of the two has a handle of its own.
async fn instances(crowds: &[Arc<Crowd>; 2], migration: &Migration, new: bool) -> Result<Vec<Pair>, String> {
    let side = if new { &migration.to } else { &migration.from };
    let (one, two) = (side.open().await?, side.open().await?);
    crowds.iter().map(|crowd| Ok([crowd.instance(&one)?, crowd.instance(&two)?])).collect()
}

impl Move<'_> {
    /// Begins runs and kills each at a random moment, until so many were killed.
    async fn kill(&mut self, times: u32) -> Result<(), String> {
        let (mut killed, mut missed) = (0, 0);
        while killed < times {
            let moment = self.random.within(self.takes);
            let ended = self.migration.killed_at(moment).await?;
            if !matches!(ended, Ended::Killed) {
                missed += 1;
                if missed > MISSES {
                    return Err("runs end before they can be killed".into());
                }
                if let Ended::Told(told) = ended {
                    // There is less to do each time.
                    self.takes = told.took;
                    self.note(told.copied, told.updated);
                } else {
                    self.tally.lock().gave_up += 1;
                }
                continue;
            }
            (killed, missed) = (killed + 1, 0);
            let there = count(&*self.seen).await?;
            let mut tally = self.tally.lock();
            tally.kills += 1;
            tally.halfway += u32::from(there > 0 && there < self.visitors);
        }
        Ok(())
    }

    async fn whole(&self) -> Result<(), String> {
        let told = self.migration.whole(self.tally).await?;
        self.note(told.copied, told.updated);
        Ok(())
    }

    /// Once nobody writes any more.
    async fn finish(&self) -> Result<(), String> {
        self.whole().await?;
        let told = self.migration.whole(self.tally).await?;
        let all = count(&*self.migration.from.place.open().await?).await?;
        if !told.verified || (told.copied, told.updated) != (0, 0) || told.there != all as u64 {
            self.tally.find(format!("of {all} records in the old store, the last run says: {told:?}"));
        }
        Ok(())
    }

    fn note(&self, copied: u64, updated: u64) {
        let mut tally = self.tally.lock();
        tally.ended += 1;
        tally.copied += copied;
        tally.updated += updated;
    }
}

/// How many records a store has.
async fn count(store: &dyn TokenStore) -> Result<usize, String> {
    let (mut keys, mut from) = (std::collections::HashSet::new(), None);
    loop {
        let list = async || Ok(store.list(None, from.as_ref(), 1000).await?);
        let page = insist("list", list).await?;
        keys.extend(page.keys);
        from = page.next;
        if from.is_none() {
            return Ok(keys.len());
        }
    }
}
