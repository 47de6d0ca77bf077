//! One run of a plan, from the first call to the last verdict.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{sleep, sleep_until};
use wix_visitor_core::record::decode;

use crate::plan::chance::{Chance, mix};
use crate::plan::fault::Fault;
use crate::plan::{Call, Disturbance, Episode, MINUTE, Millis, Plan, Wish};
use crate::verdict::judge::{Breach, Finding, Ordeals};
use crate::world::issuer::Asked;
use crate::world::{Station, Told, World, as_u64, leaks};

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// What was broken.
    pub findings: Vec<Finding>,
    /// What was injected.
    pub injected: [u64; Fault::ALL.len()],
    /// What was asked of the endpoint.
    pub asked: Asked,
    /// What callers were told.
    pub told: Told,
    /// Visitors judged.
    pub judged: u64,
    /// Visitors that were served before their first record could be saved, and are others now.
    pub given_up: u64,
    /// How often each promise was broken.
    pub broken: [u64; Breach::ALL.len()],
    /// For each judged: the faults that struck, and whether it was lost.
    pub losses: Vec<Ordeals>,
    /// How much time went by.
    pub time: Millis,
    /// One number for all that happened.
    pub trace: u64,
    /// What happened, if that was asked for.
    pub log: Vec<String>,
}

/// How closely a run is watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scrutiny {
    /// What happened is told in words.
    pub log: bool,
    /// What errors and events print is searched for secrets.
    pub search: bool,
    /// So is all that the flow traces.
    pub trace: bool,
}

/// Where the flow's own words go.
#[derive(Clone, Default)]
struct Pages(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a plan.
///
/// # Panics
/// If the machine that simulates has no room for a runtime.
pub fn run(plan: &Arc<Plan>, scrutiny: Scrutiny) -> Outcome {
    if !scrutiny.trace {
        return perform(plan, scrutiny);
    }
    let pages = Pages::default();
    let writer = pages.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let mut outcome = tracing::subscriber::with_default(subscriber, || perform(plan, scrutiny));
    let pages = pages.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&pages);
    outcome.told.searched += u64::try_from(text.lines().count()).unwrap_or(0);
    if leaks(&text) {
        let text = "in a trace".to_owned();
        outcome.broken[Breach::Leaked as usize] += 1;
        outcome.findings.push(Finding { breach: Breach::Leaked, visitor: 0, at: outcome.time, text });
    }
    outcome
}

fn perform(plan: &Arc<Plan>, scrutiny: Scrutiny) -> Outcome {
    #[allow(clippy::expect_used)] // without a runtime there is nothing to simulate
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("no runtime");
    runtime.block_on(async {
        #[allow(clippy::expect_used)] // a fixed client id
        let world = World::new(plan, scrutiny.log, scrutiny.search).expect("no world");
        for (node, described) in plan.nodes.iter().enumerate() {
            if described.used {
                world.start_node(node);
            }
        }
        for episode in &plan.episodes {
            live(&world, episode).await;
        }
        let mut state = world.state();
        // Instances hold the world, and the world holds them.
        state.stations.clear();
        Outcome {
            findings: std::mem::take(&mut state.judge.findings),
            injected: state.injected,
            asked: state.issuer.asked,
            told: state.told,
            judged: state.judge.judged,
            given_up: state.judge.given_up,
            broken: state.judge.broken,
            losses: std::mem::take(&mut state.judge.losses),
            time: world.now(),
            trace: mix(&[state.trace, state.answers]),
            log: state.log.take().unwrap_or_default(),
        }
    })
}

enum Step {
    Call(Call),
    Disturb(Disturbance),
}

async fn live(world: &Arc<World>, episode: &Episode) {
    {
        let mut state = world.state();
        state.armed.clone_from(&episode.strikes);
        state.deed_lost.clear();
    }
    let calls = episode.calls.iter().map(|call| (call.at, Step::Call(*call)));
    let disturbances = episode.disturbances.iter().map(|one| (one.at, Step::Disturb(*one)));
    let mut steps: Vec<(Millis, Step)> = disturbances.chain(calls).collect();
    steps.sort_by_key(|(at, _)| *at);
    for (at, step) in steps {
        sleep_until(world.at(at)).await;
        match step {
            Step::Call(call) => world.call(call, false),
            Step::Disturb(disturbance) => world.disturb(disturbance),
        }
    }
    sleep_until(world.at(episode.calm)).await;
    heal(world);
    let length = episode.ends - episode.calm;
    let long = [(5, 14), (40, 50), (75, 80), (92, 97)];
    let short = [(5, 14), (48, 62), (92, 97)];
    for (first, last) in if length > 3 * world.plan.site.life { long.as_slice() } else { short.as_slice() } {
        everybody(world, episode.calm + length * first / 100, length * (last - first) / 100, false).await;
    }
    sleep_until(world.at(episode.ends)).await;
    everybody(world, episode.ends, MINUTE, true).await;
    sleep(Duration::from_millis(2 * MINUTE)).await;
    judge(world);
}

/// Every visitor is called on every instance that serves it, spread over some time.
async fn everybody(world: &Arc<World>, from: Millis, spread: Millis, last: bool) {
    let mut calls = Vec::new();
    for visitor in (0..world.plan.visitors.len()).filter(|visitor| world.plan.visitors[*visitor]) {
        for node in world.plan.homes(visitor) {
            let mut chance = Chance::of(&[world.plan.seed, as_u64(visitor), as_u64(node), from]);
            let at = from + chance.below(spread);
            calls.push(Call { at, node, visitor, wish: Wish::Authorization, dropped_after: None });
        }
    }
    calls.sort_by_key(|call| call.at);
    for call in calls {
        sleep_until(world.at(call.at)).await;
        world.call(call, last);
    }
}

/// Faults end.
fn heal(world: &Arc<World>) {
    const BAND: i64 = 10 * 60 * 1_000;
    let mut dead = Vec::new();
    {
        let mut state = world.state();
        state.armed.clear();
        state.store_down = 0;
        state.endpoint_down = (0, 0);
        state.cut_off.fill(0);
        for (station, node) in state.stations.iter().zip(&world.plan.nodes) {
            let Some(Station { machine, .. }) = station else { continue };
            if machine.skew().abs() > BAND {
                machine.jump(node.skew - machine.skew());
            }
            if machine.is_dead() {
                dead.push((machine.node, machine.life));
            }
        }
    }
    for (node, life) in dead {
        world.revive(node, life);
    }
}

fn judge(world: &Arc<World>) {
    let now = world.now();
    let stations: Vec<_> = world.state().stations.iter().flatten().cloned().collect();
    for station in stations {
        world.hear(&station);
    }
    let mut state = world.state();
    for visitor in (0..world.plan.visitors.len()).filter(|visitor| world.plan.visitors[*visitor]) {
        let kept = state.shelf.load(visitor).and_then(|stored| decode(&stored.bytes).ok());
        let crate::world::State { judge, issuer, .. } = &mut *state;
        judge.close(visitor, world.plan.homes(visitor), kept.as_ref(), issuer, now);
    }
}
