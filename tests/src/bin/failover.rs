//! Everything that befalls Redis, so many times, for `cargo xtask prove failover`:
//!
//! ```text
//! failover TIMES [REPORT]     REPORT: the file for the table
//! ```
#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]

use std::process::ExitCode;
use std::time::Instant;

use wix_visitor_tests::redis::faults::{Tally, campaign, report};

// Servers are started, killed and spoken to by calls that block: nobody else is to wait for that.
#[tokio::main(flavor = "multi_thread", worker_threads = 16)]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(times) = arguments.next().and_then(|times| times.parse().ok()) else {
        eprintln!("see the source for how to call this");
        return ExitCode::FAILURE;
    };
    let begun = Instant::now();
    let tallies = campaign(times, move |name: &str, tally: &Tally| {
        eprintln!(
            "{:5.0} s  {name}: {} of {times}, back after {:.1} s{}",
            begun.elapsed().as_secs_f64(),
            tally.rounds,
            tally.recoveries.last().map_or(0.0, std::time::Duration::as_secs_f64),
            if tally.holds() { String::new() } else { format!("; NOT AS PROMISED: {:?}", tally.findings.last()) }
        );
    })
    .await;
    let text = format!("{}\n{}\n", report::table(&tallies), report::notes(begun.elapsed()));
    println!("{text}\n{}{}", report::failures(&tallies), report::findings(&tallies));
    let holds = tallies.iter().all(|(_, tally)| tally.holds() && tally.rounds == times);
    if let Some(file) = arguments.next().filter(|_| holds)
        && let Err(error) = std::fs::write(&file, text)
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
