//! Two instances of the shop under load, for `cargo xtask test` and `cargo xtask prove web`:
//!
//! ```text
//! load [--seconds N] [--shoppers N] [--think MILLISECONDS] [--report FILE]
//! ```

#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use wix_visitor_tests::load::{Load, report, run};

// Servers are started and killed by calls that block: nobody else is to wait for that.
#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> ExitCode {
    let mut load = Load { shoppers: 500, time: Duration::from_secs(20), think: Duration::from_millis(2000) };
    let mut file = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next();
        let number = value.as_deref().and_then(|value| value.parse::<u32>().ok()).filter(|number| *number > 0);
        match (name.as_str(), number, value) {
            ("--seconds", Some(seconds), _) => load.time = Duration::from_secs(seconds.into()),
            ("--shoppers", Some(shoppers), _) if shoppers <= 728 => load.shoppers = shoppers,
            ("--think", Some(millis), _) => load.think = Duration::from_millis(millis.into()),
            ("--report", _, Some(path)) => file = Some(path),
            _ => {
                eprintln!("see the source for how to call this");
                return ExitCode::FAILURE;
            }
        }
    }
    let begun = Instant::now();
    let outcome = run(load, |what| eprintln!("{:5.0} s  {what}", begun.elapsed().as_secs_f64())).await;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let table = report::table(&outcome);
    println!("{table}");
    for finding in outcome.findings.iter().take(20) {
        eprintln!("NOT AS PROMISED: {finding}");
    }
    if let Some(file) = file.filter(|_| outcome.holds())
        && let Err(error) = std::fs::write(&file, table)
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    if outcome.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
