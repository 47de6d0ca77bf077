//! What a single fault may cost, as a table: expected, and explored.

use std::fmt;

use crate::model::{Behaviour, Config, Fault, Finding, explore};

/// The worst that some execution comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is lost, and no token is redeemed twice.
    Ok,
    /// Nothing is lost; a token is redeemed twice.
    Dup,
    /// No refresh token that still works is left anywhere.
    Lost,
}

/// One row: a fault that strikes once, or none, and what it costs at each kind of endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The fault.
    pub fault: Option<Fault>,
    /// The verdicts, in the order of [`Behaviour::ALL`].
    pub expected: [Verdict; 4],
}

impl Row {
    /// The row's head.
    pub fn name(&self) -> &'static str {
        self.fault.map_or("none", Fault::name)
    }
}

const OK: [Verdict; 4] = [Verdict::Ok; 4];
/// The reply, or whoever held it, is gone: only a token that works once is lost by that.
const REPLY: [Verdict; 4] = [Verdict::Dup, Verdict::Dup, Verdict::Dup, Verdict::Lost];
/// An older token is redeemed while a newer one exists: only an endpoint that punishes this loses the visitor.
const OVERLAP: [Verdict; 4] = [Verdict::Dup, Verdict::Dup, Verdict::Lost, Verdict::Ok];

const fn row(fault: Fault, expected: [Verdict; 4]) -> Row {
    Row { fault: Some(fault), expected }
}

/// What is promised for single faults.
pub const SINGLE_FAULTS: [Row; 13] = [
    Row { fault: None, expected: OK },
    row(Fault::Transient, OK),
    row(Fault::StoreUnknown, OK),
    row(Fault::RequestLost, OK),
    row(Fault::ReplyLost, REPLY),
    row(Fault::Late, REPLY),
    row(Fault::Crash, REPLY),
    row(Fault::Pause, OVERLAP),
    row(Fault::Sleep, OVERLAP),
    row(Fault::FailoverOne, OVERLAP),
    row(Fault::FailoverTwo, OVERLAP),
    row(Fault::Set, OK),
    row(Fault::Forget, OK),
];

/// Findings that no single fault excuses.
const BREACHES: [Finding; 10] = [
    Finding::Mixed,
    Finding::Returned,
    Finding::Backwards,
    Finding::Broken,
    Finding::Overdue,
    Finding::Overlap,
    Finding::ManyMints,
    Finding::ManyGrants,
    Finding::Livelock,
    Finding::Stuck,
];

/// What was met at one kind of endpoint.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The worst.
    pub verdict: Verdict,
    /// Rules that were broken.
    pub breaches: Vec<Finding>,
    /// How many different states there were.
    pub states: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Dup => "ok dup",
            Verdict::Lost => "lost",
        })?;
        if self.breaches.is_empty() { Ok(()) } else { write!(f, " {:?}", self.breaches) }
    }
}

/// Explores one row: two instances that both need a token, twice, with the fault at any step.
///
/// # Panics
/// If an exploration grows beyond any size it should have: it would prove nothing.
pub fn explore_row(row: Row) -> Vec<Cell> {
    let faults: Vec<_> = row.fault.into_iter().collect();
    Behaviour::ALL
        .into_iter()
        .map(|behaviour| {
            let explored = explore(&Config::new(behaviour, &faults), 4_000_000);
            assert!(!explored.cut, "{}: given up after {} states", row.name(), explored.states);
            let verdict = if explored.has(Finding::Lost) {
                Verdict::Lost
            } else if explored.has(Finding::Twice) {
                Verdict::Dup
            } else {
                Verdict::Ok
            };
            let breaches = BREACHES.into_iter().filter(|breach| explored.has(*breach)).collect();
            Cell { verdict, breaches, states: explored.states }
        })
        .collect()
}
