//! What came of moving from one store to another, again and again.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts, and everything that is not as promised.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs that were killed before they ended.
    pub kills: u32,
    /// Those after which some visitors were there and others not.
    pub halfway: u32,
    /// Runs that came to their end.
    pub ended: u32,
    /// Runs that said that a store did not answer, and were begun again.
    pub gave_up: u32,
    /// Visitors that were judged.
    pub visitors: u64,
    /// Renewals that were acknowledged, in either store.
    pub renewed: u64,
    /// Sign-ins, likewise.
    pub signed_in: u64,
    /// Visitors forgotten, likewise.
    pub forgotten: u64,
    /// Visitors minted while runs were under way.
    pub minted: u64,
    /// How many of these calls were of instances on the other store.
    pub elsewhere: u64,
    /// Records that runs which came to their end had copied.
    pub copied: u64,
    /// And those that they had brought up to date.
    pub updated: u64,
    /// Visitors that are another, or none, or whose refresh token is dead.
    pub lost: u64,
    /// Visitors with the tokens of another one.
    pub mixed: u64,
    /// Visitors that were forgotten, and are back.
    pub back: u64,
    /// What is not as promised.
    pub findings: Vec<String>,
}

impl Tally {
    /// Whether everything is as promised, and something was shown by it.
    pub fn holds(&self) -> bool {
        self.findings.is_empty() && (self.lost, self.mixed, self.back) == (0, 0, 0) && self.visitors > 0
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

/// As Markdown.
pub fn table(tallies: &[(String, Tally)]) -> String {
    let mut out = String::from(
        "| from → to | killed | halfway | came to the end | copied, updated by then | visitors | renewed | signed in | \
         forgotten | minted | lost | mixed | back |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (name, tally) in tallies {
        let Tally { kills, halfway, ended, copied, updated, visitors, renewed, signed_in, forgotten, minted, .. } =
            tally;
        let Tally { lost, mixed, back, .. } = tally;
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| {name} | {kills} | {halfway} | {ended} | {copied}, {updated} | {visitors} | {renewed} | {signed_in} | \
             {forgotten} | {minted} | {lost} | {mixed} | {back} |"
        );
    }
    out
}

/// How to read it.
pub fn notes(tallies: &[(String, Tally)], seed: u64, took: Duration) -> String {
    let gave_up: u32 = tallies.iter().map(|(_, tally)| tally.gave_up).sum();
    format!(
        "*Killed*: runs that were alive when they were ended with `kill -9`; what only one process has, a store in memory, is \
         migrated by a task of that process, which is aborted instead. *Halfway*: those that left some of the visitors in the \
         other store and others not. *Copied, updated*: by runs that came to their end, as they say themselves. *Renewed*, \
         *signed in*, *forgotten*, *minted*: what instances did meanwhile. *Mixed*: with the tokens of another visitor; *back*: \
         after it was forgotten. {gave_up} more runs said that a store did not answer in time, and were begun again. Seed {seed}, {:.0} min.",
        took.as_secs_f64() / 60.0
    )
}

/// What is not as promised; nothing where all is.
pub fn findings(tallies: &[(String, Tally)]) -> String {
    let mut out = String::new();
    for (name, tally) in tallies.iter().filter(|(_, tally)| !tally.holds()) {
        let _ = writeln!(out, "{name}: {} lost, {} mixed, {} back", tally.lost, tally.mixed, tally.back);
        for finding in &tally.findings {
            let _ = writeln!(out, "  {finding}");
        }
    }
    out
}
