//! The project's own commands: `cargo xtask <command>`.
//!
//! `setup` installs what is missing, `test` runs every suite and searches its output for secrets, `ci` runs all that a change
//! must pass, `bench` holds what a token costs against its limits, `fuzz` what reads untrusted input against what a fuzzer makes up, and
//! `prove` the protocol against every interleaving of a small fleet and against very large ones, and the stores against `kill -9`.

#![allow(clippy::print_stdout, reason = "what these commands find out is read on stdout")]

mod advisories;
mod arrows;
mod bench;
mod ci;
mod features;
mod fuzz;
mod leaks;
mod msrv;
mod prove;
mod readme;
mod recorded;
mod run;
mod section;
mod servers;
mod setup;
mod steps;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Why a command of ours failed, for a person to read.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what the suites and the checks need and this machine lacks.
    Setup,
    /// Run all suites, then search their whole trace-level output for secrets.
    Test,
    /// Run all that a change must pass, the tests among it.
    Ci,
    /// Measure what a token costs, check the ratios against their limits, and note them in docs/benchmarks.md.
    Bench {
        /// Another thing to measure.
        #[command(subcommand)]
        what: Option<bench::Bench>,
    },
    /// Feed what reads untrusted input with what a fuzzer makes up, and note in docs/guarantees.md what came of it.
    Fuzz(fuzz::Fuzz),
    /// Prove that no visitor is lost by accident, as far as a machine can.
    #[command(subcommand)]
    Prove(prove::Prove),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Setup => setup::setup(),
        Command::Test => test::test(),
        Command::Bench { what } => bench::bench(what.as_ref()),
        Command::Fuzz(what) => fuzz::fuzz(&what),
        Command::Prove(what) => prove::prove(&what),
        // Its last line is the sums, with nothing after them.
        Command::Ci => return ci::ci(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
