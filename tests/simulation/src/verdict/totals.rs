//! What many runs came to, together.

use crate::plan::fault::{Class, Fault};
use crate::plan::{Behaviour, Millis, Plan};
use crate::run::Outcome;
use crate::verdict::judge::{Breach, Finding};

/// Kinds of faults, as a loss is put down to them.
pub const KINDS: [&str; 6] =
    ["crash", "reply lost", "request acts late", "pause or sleep", "failover", "harmless ones"];

/// Which kinds are in a set of faults.
fn kinds(faults: u32) -> usize {
    let mut kinds = 0;
    for fault in Fault::ALL.into_iter().filter(|fault| faults & fault.bit() != 0) {
        kinds |= match fault {
            Fault::Crash => 1,
            Fault::ReplyLost => 2,
            Fault::Late => 4,
            Fault::Pause | Fault::Sleep => 8,
            Fault::FailoverOne | Fault::FailoverTwo => 16,
            Fault::SignIn | Fault::Forget | Fault::DroppedCaller | Fault::Jump | Fault::Restart => 0,
            _ if fault.class() == Class::Harmless => 32,
            _ => 0,
        };
    }
    kinds
}

/// The names of these kinds.
pub fn named(kinds: usize) -> String {
    let names: Vec<_> =
        KINDS.iter().enumerate().filter(|(bit, _)| kinds >> bit & 1 == 1).map(|(_, name)| *name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" + ") }
}

/// A seed that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What it broke.
    pub findings: Vec<Finding>,
}

/// The sum of many runs.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Runs in which nothing was broken.
    pub clean: u64,
    /// Time that went by in them.
    pub time: u128,
    /// Visitors judged.
    pub judged: u64,
    /// Instances and visitors of the largest.
    pub largest: (usize, usize),
    /// What was injected.
    pub injected: [u64; Fault::ALL.len()],
    /// Mints, renewals, of these with a spent token, refusals, errors and lost requests.
    pub asked: [u64; 5],
    /// Calls served, calls that ended in an error, events of a loss, texts searched for secrets.
    pub told: [u64; 4],
    /// Runs of which every trace was searched.
    pub traced: u64,
    /// Mints that could not be saved and gave way.
    pub given_up: u64,
    /// For each behaviour and set of kinds: visitors judged, and lost.
    pub losses: [[(u64, u64); 64]; 4],
    /// How often each promise was broken.
    pub broken: [u64; Breach::ALL.len()],
    /// The first failures.
    pub failures: Vec<Failure>,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            runs: 0,
            clean: 0,
            time: 0,
            judged: 0,
            largest: (0, 0),
            injected: [0; Fault::ALL.len()],
            asked: [0; 5],
            told: [0; 4],
            traced: 0,
            given_up: 0,
            losses: [[(0, 0); 64]; 4],
            broken: [0; Breach::ALL.len()],
            failures: Vec::new(),
        }
    }
}

impl Totals {
    /// One more run.
    pub fn add(&mut self, plan: &Plan, outcome: Outcome, traced: bool) {
        let time: Millis = outcome.time;
        self.runs += 1;
        self.time += u128::from(time);
        self.judged += outcome.judged;
        self.given_up += outcome.given_up;
        self.traced += u64::from(traced);
        self.largest = self.largest.max((plan.nodes.len(), plan.visitors.len()));
        for (sum, count) in self.injected.iter_mut().zip(outcome.injected) {
            *sum += count;
        }
        let asked = outcome.asked;
        let asked = [asked.mints, asked.renewals, asked.again, asked.refused, asked.failed];
        for (sum, count) in self.asked.iter_mut().zip(asked) {
            *sum += count;
        }
        let told = outcome.told;
        for (sum, count) in self.told.iter_mut().zip([told.served, told.errors, told.lost, told.searched]) {
            *sum += count;
        }
        let behaviour = Behaviour::ALL.iter().position(|one| *one == plan.site.behaviour).unwrap_or(0);
        for (faults, lost) in outcome.losses {
            let (judged, gone) = &mut self.losses[behaviour][kinds(faults)];
            (*judged, *gone) = (*judged + 1, *gone + u64::from(lost));
        }
        for finding in &outcome.findings {
            self.broken[finding.breach as usize] += 1;
        }
        if outcome.findings.is_empty() {
            self.clean += 1;
        } else if self.failures.len() < 20 {
            self.failures.push(Failure { seed: plan.seed, findings: outcome.findings });
        }
    }

    /// Those of another thread.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.clean += other.clean;
        self.time += other.time;
        self.judged += other.judged;
        self.traced += other.traced;
        self.given_up += other.given_up;
        self.largest = self.largest.max(other.largest);
        self.injected.iter_mut().zip(other.injected).for_each(|(sum, count)| *sum += count);
        self.asked.iter_mut().zip(other.asked).for_each(|(sum, count)| *sum += count);
        self.told.iter_mut().zip(other.told).for_each(|(sum, count)| *sum += count);
        for (sums, counts) in self.losses.iter_mut().zip(other.losses) {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum = (sum.0 + count.0, sum.1 + count.1);
            }
        }
        self.broken.iter_mut().zip(other.broken).for_each(|(sum, count)| *sum += count);
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|failure| failure.seed);
        self.failures.truncate(20);
    }
}
