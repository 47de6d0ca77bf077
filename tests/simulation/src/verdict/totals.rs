//! What many runs came to, together.

use std::collections::BTreeMap;

use wix_visitor_proof::model::Start;
use wix_visitor_proof::promise::Cause;

use crate::plan::fault::Fault;
use crate::plan::{Behaviour, Millis, Plan};
use crate::run::Outcome;
use crate::verdict::judge::{Breach, Finding, Ordeals};

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
            _ => 32,
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

/// Why a visitor was lost, as the tables explain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// As the tables have it for any visitor; or, if its first record was taken, for one that is new.
    Table(Cause),
    /// A failover took back what the application did, and nobody who was told of it put that back.
    Deed,
    /// At most two faults met that some endpoint makes cost something, and the tables call them ok.
    Unexplained,
    /// More faults met than the tables speak of.
    Many,
}

impl Why {
    /// Of a visitor that was lost.
    fn of(behaviour: Behaviour, ordeals: &Ordeals) -> Self {
        let faults = ordeals.faults();
        let cause = |start| behaviour.cause(start, &faults);
        if ordeals.first_record {
            return cause(Start::Absent).map_or(Self::Unexplained, Self::Table);
        }
        match cause(Start::Visitor) {
            Some(cause) => Self::Table(cause),
            None if ordeals.deed => Self::Deed,
            None if faults.iter().filter(|fault| fault.is_costly()).count() > 2 => Self::Many,
            None => Self::Unexplained,
        }
    }

    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table(cause) => cause.name(),
            Self::Deed => "a sign-in or forget forgotten",
            Self::Many => "more than two faults",
            Self::Unexplained => "not explained",
        }
    }
}

/// Visitors that met the same.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// All of them.
    pub judged: u64,
    /// Those that were lost.
    pub lost: BTreeMap<Why, u64>,
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
    /// Visitors that were to be judged: each at the end of each episode.
    pub to_judge: u64,
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
    /// For each set of kinds and behaviour: visitors judged, and lost.
    pub losses: BTreeMap<(usize, Behaviour), Share>,
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
            to_judge: 0,
            largest: (0, 0),
            injected: [0; Fault::ALL.len()],
            asked: [0; 5],
            told: [0; 4],
            traced: 0,
            given_up: 0,
            losses: BTreeMap::new(),
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
        let visitors = plan.visitors.iter().filter(|used| **used).count() * plan.episodes.len();
        self.to_judge += u64::try_from(visitors).unwrap_or(0);
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
        let behaviour = plan.site.behaviour;
        for ordeals in outcome.losses {
            let share = self.losses.entry((kinds(ordeals.once), behaviour)).or_default();
            share.judged += 1;
            if ordeals.lost {
                *share.lost.entry(Why::of(behaviour, &ordeals)).or_default() += 1;
            }
        }
        self.broken.iter_mut().zip(outcome.broken).for_each(|(sum, count)| *sum += count);
        if outcome.findings.is_empty() {
            self.clean += 1;
        } else if self.failures.len() < 20 {
            self.failures.push(Failure { seed: plan.seed, findings: outcome.findings });
        }
    }

    /// How many were lost for each reason, at each kind of endpoint.
    pub fn reasons(&self) -> BTreeMap<Why, [u64; Behaviour::ALL.len()]> {
        let mut reasons: BTreeMap<Why, [u64; Behaviour::ALL.len()]> = BTreeMap::new();
        for ((_, behaviour), share) in &self.losses {
            for (why, count) in &share.lost {
                reasons.entry(*why).or_default()[*behaviour as usize] += count;
            }
        }
        reasons
    }

    /// Whether every visitor was judged at the end of every episode, and what is promised whatever the faults holds.
    pub fn is_sound(&self) -> bool {
        let never = [Breach::Mixed, Breach::Leaked].iter().all(|breach| self.broken[*breach as usize] == 0);
        never && self.judged == self.to_judge && !self.reasons().contains_key(&Why::Unexplained)
    }

    /// Those of another thread.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.clean += other.clean;
        self.time += other.time;
        self.judged += other.judged;
        self.to_judge += other.to_judge;
        self.traced += other.traced;
        self.given_up += other.given_up;
        self.largest = self.largest.max(other.largest);
        self.injected.iter_mut().zip(other.injected).for_each(|(sum, count)| *sum += count);
        self.asked.iter_mut().zip(other.asked).for_each(|(sum, count)| *sum += count);
        self.told.iter_mut().zip(other.told).for_each(|(sum, count)| *sum += count);
        for (row, counts) in other.losses {
            let share = self.losses.entry(row).or_default();
            share.judged += counts.judged;
            counts.lost.into_iter().for_each(|(why, count)| *share.lost.entry(why).or_default() += count);
        }
        self.broken.iter_mut().zip(other.broken).for_each(|(sum, count)| *sum += count);
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|failure| failure.seed);
        self.failures.truncate(20);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(behaviour: Behaviour, faults: &[Fault], ordeals: Ordeals) -> Why {
        let once = faults.iter().fold(0, |bits, fault| bits | fault.bit());
        Why::of(behaviour, &Ordeals { once, lost: true, ..ordeals })
    }

    #[test]
    fn a_loss_is_put_down_to_what_the_tables_say_of_the_faults_that_met() {
        use Fault::{Crash, FailoverOne, Pause, ReplyLost, Transient};
        let plain = Ordeals::default();
        let twice = Ordeals { twice: Pause.bit(), ..plain };
        let first = Ordeals { first_record: true, ..plain };
        let deed = Ordeals { deed: true, ..plain };
        assert_eq!(why(Behaviour::Single, &[Crash], plain), Why::Table(Cause::OnlyReply));
        assert_eq!(why(Behaviour::Single, &[Pause], plain), Why::Unexplained);
        assert_eq!(why(Behaviour::Single, &[Pause], twice), Why::Table(Cause::ReplacedTwice));
        assert_eq!(why(Behaviour::Grace, &[Crash, Pause, Transient], plain), Why::Table(Cause::GraceEnds));
        assert_eq!(why(Behaviour::Grace, &[ReplyLost, FailoverOne], plain), Why::Unexplained);
        assert_eq!(why(Behaviour::Grace, &[ReplyLost, FailoverOne], deed), Why::Deed);
        assert_eq!(why(Behaviour::Static, &[FailoverOne], first), Why::Table(Cause::FirstRecord));
        assert_eq!(why(Behaviour::Static, &[Crash, ReplyLost, Pause], plain), Why::Many);
    }

    #[test]
    fn what_is_not_explained_or_not_judged_is_not_sound() {
        let sound = Totals { judged: 2, to_judge: 2, ..Totals::default() };
        assert!(sound.is_sound());
        assert!(!Totals { judged: 1, ..sound.clone() }.is_sound());
        let lost = BTreeMap::from([(Why::Unexplained, 1)]);
        let losses = BTreeMap::from([((0, Behaviour::Grace), Share { judged: 1, lost })]);
        assert!(!Totals { losses, ..sound }.is_sound());
    }
}
