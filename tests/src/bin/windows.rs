//! Prints how many new visitors a failover replaces, as a table: `windows TIMES [FILE]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it finds out is what it is for")]

use std::process::ExitCode;

use wix_visitor_tests::redis::window::{Window, window};

// Servers are started, killed and spoken to by calls that block: nobody else is to wait for that.
#[tokio::main(flavor = "multi_thread", worker_threads = 16)]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(times) = arguments.next().and_then(|times| times.parse().ok()) else {
        eprintln!("say how often");
        return ExitCode::FAILURE;
    };
    let tell = |what: &'static str| move |so_far: &Window| eprintln!("{what}: {so_far:?}");
    let (without, with) = tokio::join!(
        window(false, times, tell("acknowledged by the primary")),
        window(true, times, tell("wait_replicas=1"))
    );
    let (without, with) = match (without, with) {
        (Ok(without), Ok(with)) => (without, with),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut text = String::from(
        "| a new visitor is served once its record is | failovers | served before | replaced | the longest before |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    for (what, window) in [("acknowledged by the primary", without), ("on one replica, with `wait_replicas=1`", with)] {
        let Window { failovers, minted, replaced, longest } = window;
        text.push_str(&format!("| {what} | {failovers} | {minted} | {replaced} | {} ms |\n", longest.as_millis()));
    }
    println!("{text}");
    // With replicas that have it, there is no window; and where nobody was minted, nothing was measured.
    let holds = with.replaced == 0 && with.minted > 0 && without.minted > 0;
    if let Some(file) = arguments.next().filter(|_| holds)
        && let Err(error) = std::fs::write(&file, text)
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
