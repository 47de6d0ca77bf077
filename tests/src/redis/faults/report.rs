//! The table of all faults.

use std::fmt::Write as _;
use std::time::Duration;

use super::tally::Tally;

/// As Markdown.
pub fn table(tallies: &[(String, Tally)]) -> String {
    let mut out = String::from(
        "| fault | times | served meanwhile | longest wait | back after, median | worst | minted | lost |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (name, tally) in tallies {
        let (median, worst) = tally.recovery().map_or(("-".into(), "-".into()), |(m, w)| (seconds(m), seconds(w)));
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| {name} | {} | {} of {} | {} ms | {median} | {worst} | {} | {} |",
            tally.rounds,
            tally.served,
            tally.asked,
            tally.slowest_served.as_millis(),
            tally.minted,
            tally.lost,
        );
    }
    out
}

/// How to read it.
pub fn notes(took: Duration) -> String {
    format!(
        "*Served meanwhile*: calls for a usable token, from the moment of the fault until all servers were well again; none of them \
         waits for the store. *Back after*: from the fault, or where it does not heal by itself from its end, until every visitor \
         that is being renewed was renewed on both instances and saved. Sentinels and Cluster take a primary for down after 1 s. \
         {:.0} min.",
        took.as_secs_f64() / 60.0
    )
}

/// What calls failed with, which is no harm: they say that the visitor is well.
pub fn failures(tallies: &[(String, Tally)]) -> String {
    let mut out = String::new();
    for (name, tally) in tallies {
        let failed: Vec<_> = tally.failed.iter().map(|(kind, times)| format!("{times} x {kind}")).collect();
        let _ = writeln!(
            out,
            "{name}: {} renewed; longest call {:?}, longest operation {:?}; failed: {}",
            tally.renewed,
            tally.slowest_call,
            tally.slowest_operation,
            failed.join(", ")
        );
    }
    out
}

/// What is not as promised; nothing where all is.
pub fn findings(tallies: &[(String, Tally)]) -> String {
    let mut out = String::new();
    for (name, tally) in tallies.iter().filter(|(_, tally)| !tally.holds()) {
        let _ = writeln!(
            out,
            "{name}: {} of {} served, {} minted, {} lost",
            tally.served, tally.asked, tally.minted, tally.lost
        );
        for finding in &tally.findings {
            let _ = writeln!(out, "  {finding}");
        }
    }
    out
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
