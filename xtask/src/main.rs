//! The project's own commands: `cargo xtask <command>`.
//!
//! `setup` installs what is missing, `test` runs every suite and searches its output for secrets, `ci` runs all that a change
//! must pass, `bench` holds what a token costs against its limits, and `prove` the protocol against every interleaving of a small
//! fleet and against very large ones, and the stores against `kill -9`. `coverage` and `mutants` hold the unit tests of core's
//! decisions against those.

#![allow(clippy::print_stdout, reason = "what these commands find out is read on stdout")]

mod advisories;
mod argued;
mod arrows;
mod bench;
mod ci;
mod coverage;
mod features;
mod leaks;
mod msrv;
mod mutants;
mod nightly;
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

use std::{ffi::OsString, process::ExitCode};

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
    /// Run the unit tests of core, see that they take every branch of its decisions, and note it in docs/guarantees.md.
    Coverage {
        /// Write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Change core's decisions in every way that a tool can think of, see that a unit test notices each, and note it in
    /// docs/guarantees.md. Takes half an hour.
    Mutants {
        /// Handed on to cargo-mutants, to look at some alone, without a report: `--re look --exclude-re 'delete field'`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Prove that no visitor is lost by accident, as far as a machine can.
    #[command(subcommand)]
    Prove(prove::Prove),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Setup => setup::setup(),
        Command::Test => test::test(),
        Command::Bench { what } => bench::bench(what.as_ref()),
        Command::Coverage { check } => coverage::coverage(check),
        Command::Mutants { arguments } => mutants::mutants(&arguments),
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
