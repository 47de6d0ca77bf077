//! A dead endpoint: hours without one grant, and very many visitors.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{sleep, sleep_until};
use wix_visitor_core::Policy;
use wix_visitor_core::record::decode;

use crate::plan::chance::Chance;
use crate::plan::{Behaviour, Call, Campaign, HOUR, MINUTE, Millis, Node, Plan, SECOND, Site, Wish};
use crate::world::{State, World, as_u64};

/// What an outage came to.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// Visitors.
    pub visitors: usize,
    /// For how long the endpoint was dead.
    pub dead: Millis,
    /// Calls that were made meanwhile.
    pub calls: u64,
    /// Grants that were asked for meanwhile.
    pub grants: u64,
    /// The most that one visitor asked for.
    pub most: u64,
    /// The most that the pauses allow one visitor: see [`bound`].
    pub bound: u64,
    /// Visitors that are served with their own identity after it.
    pub well: usize,
    /// How often a visitor was found lost, or not served again by itself.
    pub breaches: u64,
}

impl Outage {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.breaches == 0 && self.well == self.visitors && self.most <= self.bound
    }
}

/// How many grants for one visitor the pauses leave room for: each follows the one before after a pause that doubles from the
/// first to the longest, and the whole fleet shares it. One more each for a grant under way when the endpoint dies, and at the
/// end.
pub fn bound(dead: Millis) -> u64 {
    let policy = Policy::default();
    let (mut at, mut pause, mut grants) = (Duration::ZERO, policy.backoff_first, 2);
    while at <= Duration::from_millis(dead) {
        at += pause;
        pause = (pause * 2).min(policy.backoff_most);
        grants += 1;
    }
    grants
}

/// So many visitors on four instances; callers of all of them every half hour, of some every few seconds, everywhere.
///
/// # Panics
/// If the machine that simulates has no room for a runtime.
pub fn outage(visitors: usize, dead: Millis, seed: u64) -> Outage {
    let site = Site { behaviour: Behaviour::Grace, life: 4 * HOUR, grace: 10 * MINUTE, silent: false, dated: true };
    let plan = Arc::new(Plan {
        seed,
        campaign: Campaign::Ok,
        site,
        nodes: vec![Node { skew: 0, used: true }; 4],
        visitors: vec![true; visitors],
        episodes: Vec::new(),
        flaw: None,
    });
    #[allow(clippy::expect_used)] // without a runtime there is nothing to simulate
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("no runtime");
    runtime.block_on(async {
        #[allow(clippy::expect_used)] // a fixed client id
        let world = World::new(&plan, false, false).expect("no world");
        (0..plan.nodes.len()).for_each(|node| world.start_node(node));
        traffic(&world, 0, HOUR, 2 * HOUR, false).await;
        sleep_until(world.at(2 * HOUR)).await;
        world.state().endpoint_down = (2 * HOUR + dead, seed);
        world.state().grants.fill(0);
        let before = answered(&world);
        traffic(&world, 2 * HOUR, 2 * HOUR + dead, 30 * MINUTE, true).await;
        let calls = answered(&world) - before;
        let (grants, most) = {
            let state = world.state();
            (state.grants.iter().sum(), state.grants.iter().copied().max().unwrap_or(0))
        };
        let over = 2 * HOUR + dead;
        traffic(&world, over, over + HOUR, 30 * MINUTE, false).await;
        everybody(&world).await;
        let now = world.now();
        let mut state = world.state();
        state.stations.clear();
        let mut well = 0;
        for visitor in 0..visitors {
            let kept = state.shelf.load(visitor).and_then(|stored| decode(&stored.bytes).ok());
            let State { judge, issuer, .. } = &mut *state;
            let called = std::iter::once(visitor % plan.nodes.len());
            well += usize::from(judge.close(visitor, called, kept.as_ref(), issuer, now));
        }
        let breaches = state.judge.broken.iter().sum();
        Outage { visitors, dead, calls, grants, most, bound: bound(dead), well, breaches }
    })
}

fn answered(world: &World) -> u64 {
    let told = world.state().told;
    told.served + told.errors
}

/// Calls for every visitor, each at its own moments, so far apart; for one in five hundred also every five seconds, everywhere.
async fn traffic(world: &Arc<World>, from: Millis, until: Millis, apart: Millis, eager: bool) {
    const SLICE: Millis = 5 * SECOND;
    let visitors = world.plan.visitors.len();
    let nodes = world.plan.nodes.len();
    let slices = apart.min(until - from) / SLICE;
    let mut due: Vec<Vec<usize>> = vec![Vec::new(); usize::try_from(slices).unwrap_or(1)];
    for visitor in 0..visitors {
        let mut chance = Chance::of(&[world.plan.seed, as_u64(visitor)]);
        let slice = chance.index(due.len());
        due[slice].push(visitor);
    }
    let call = |node, visitor| Call { at: 0, node, visitor, wish: Wish::Authorization, dropped_after: None };
    for slice in 0..(until - from) / SLICE {
        sleep_until(world.at(from + slice * SLICE)).await;
        for visitor in &due[usize::try_from(slice % slices).unwrap_or(0)] {
            world.call(call(visitor % nodes, *visitor), false);
        }
        for visitor in (0..visitors).step_by(500).filter(|_| eager) {
            (0..nodes).for_each(|node| world.call(call(node, visitor), false));
        }
    }
    sleep_until(world.at(until)).await;
}

async fn everybody(world: &Arc<World>) {
    for visitor in 0..world.plan.visitors.len() {
        let node = visitor % world.plan.nodes.len();
        world.call(Call { at: 0, node, visitor, wish: Wish::Authorization, dropped_after: None }, true);
        if visitor % 100 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    sleep(Duration::from_secs(60)).await;
}
