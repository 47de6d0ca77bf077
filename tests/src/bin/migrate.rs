//! Moves visitors from store to store while they are used, and kills that so many times on each route, for `cargo xtask prove migrate`:
//!
//! ```text
//! migrate KILLS [REPORT [SEED]]     REPORT: the file for the table
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it finds out is what it is for")]

use std::process::ExitCode;
use std::time::Instant;

use wix_visitor_tests::migration::{Extent, FAILING_OVER, IN_MEMORY, SHARED, Tally, campaign, findings, notes, table};

// Servers are started and spoken to, and processes waited for, by calls that block: nobody else is to wait for that.
#[tokio::main(flavor = "multi_thread", worker_threads = 16)]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(kills) = arguments.next().and_then(|kills| kills.parse().ok()) else {
        eprintln!("see the source for how to call this");
        return ExitCode::FAILURE;
    };
    let (report, seed) = (arguments.next(), arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(7));
    let extent = match kills {
        0..50 => Extent { kills, visitors: 60, at_first: 60, seed },
        _ => Extent { kills, visitors: 200, at_first: 1200, seed },
    };
    println!("seed {seed}");
    let begun = Instant::now();
    let tell = move |name: &str, tally: &Tally| {
        eprintln!(
            "{:5.0} s  {name}: {} of {kills} kills, {} halfway; {} visitors judged{}",
            begun.elapsed().as_secs_f64(),
            tally.kills,
            tally.halfway,
            tally.visitors,
            if tally.holds() { String::new() } else { format!("; NOT AS PROMISED: {:?}", tally.findings.last()) }
        );
    };
    let tallies = campaign(SHARED.into_iter().chain(FAILING_OVER).chain(IN_MEMORY), extent, tell).await;
    let text = format!("{}\n{}\n", table(&tallies), notes(&tallies, seed, begun.elapsed()));
    println!("{text}\n{}", findings(&tallies));
    let holds = tallies.iter().all(|(_, tally)| tally.holds() && tally.kills >= kills);
    if let Some(file) = report.filter(|_| holds)
        && let Err(error) = std::fs::write(&file, text)
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
