//! What the rounds of one fault came to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts, times, and everything that is not as promised.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Rounds that are over.
    pub rounds: u32,
    /// How often somebody with a usable token asked for it.
    pub asked: u64,
    /// How many of them were served.
    pub served: u64,
    /// The longest that one of them waited.
    pub slowest_served: Duration,
    /// The longest that anybody waited.
    pub slowest_call: Duration,
    /// The longest operation of the store.
    pub slowest_operation: Duration,
    /// Renewals that worked, and calls that failed with a typed error, while the store was harmed or not.
    pub renewed: u64,
    /// See there.
    pub failed: BTreeMap<String, u64>,
    /// From the fault (or its end, where it does not heal) until everybody renewed and saved again, in each round.
    pub recoveries: Vec<Duration>,
    /// Visitors minted after the first of each.
    pub minted: u64,
    /// Visitors that are another now, or were reported as lost.
    pub lost: u64,
    /// What is not as promised.
    pub findings: Vec<String>,
}

impl Tally {
    /// The middle and the worst recovery.
    pub fn recovery(&self) -> Option<(Duration, Duration)> {
        let mut all = self.recoveries.clone();
        all.sort();
        Some((*all.get(all.len() / 2)?, *all.last()?))
    }

    /// Whether everything is as promised.
    pub fn holds(&self) -> bool {
        self.findings.is_empty() && self.minted == 0 && self.lost == 0 && self.asked == self.served
    }
}

/// A tally that many write to.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Tally>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, what: impl Into<String>) {
        let (mut tally, what) = (self.lock(), what.into());
        // One is enough to fail; more than a few hide the first.
        if tally.findings.len() < 20 && !tally.findings.contains(&what) {
            tally.findings.push(what);
        }
    }
}
