//! The project's own commands: `cargo xtask <command>`.
//!
//! `setup` installs what is missing, `test` runs every suite and searches its output for secrets, `ci` runs all that a change
//! must pass, `bench` holds what it costs against its goals and draws it, as `plots` does alone, `fuzz` holds what reads untrusted input
//! against what a fuzzer makes up, and `prove` the protocol against every interleaving of a small fleet and against very large ones, and
//! the stores against `kill -9`. `coverage` and `mutants` hold the unit tests of core's decisions against those. `api`, `semver`,
//! `minimal-versions` and `sbom` are parts of `release`, which checks that all is ready to be published.

#![allow(clippy::print_stdout, reason = "what these commands find out is read on stdout")]

mod advisories;
mod api;
mod argued;
mod arrows;
mod bench;
mod ci;
mod coverage;
mod features;
mod fuzz;
mod instructions;
mod leaks;
mod minimal_versions;
mod msrv;
mod mutants;
mod nightly;
mod peers;
mod prove;
mod readme;
mod recorded;
mod release;
mod run;
mod sbom;
mod section;
mod semver;
mod servers;
mod setup;
mod steps;
mod test;
mod tools;
mod workspace;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

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
    Test {
        /// With the records of all stores sealed.
        #[arg(long)]
        sealed: bool,
    },
    /// Run all that a change must pass, the tests among it.
    Ci,
    /// Measure ours, what users would pick instead, and the limit of the part below, in turns; hold the ratios against their goals,
    /// note them in docs/performance.md, and draw its plots.
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        #[command(flatten)]
        peers: peers::Peers,
        /// Another thing to measure.
        #[command(subcommand)]
        what: Option<bench::Bench>,
    },
    /// Draw the plots of docs/performance.md once more.
    Plots {
        /// What a full `bench` wrote as JSON.
        #[arg(value_name = "FILE", default_value = peers::MEASURED)]
        json: PathBuf,
    },
    /// Count the instructions of what is done most, and compare with benches/instructions/baseline.json.
    Instructions {
        /// Write them down there instead.
        #[arg(long)]
        bless: bool,
    },
    /// Compare what each published library offers with docs/api.
    Api {
        /// Write it down there instead.
        #[arg(long)]
        bless: bool,
    },
    /// Compare what the published libraries offer with a release: does the version say what changed?
    Semver {
        /// A commit, a branch or a tag; the latest tag `v…` unless given.
        #[arg(long, value_name = "REV")]
        baseline: Option<String>,
    },
    /// Build the published crates with the lowest versions of their dependencies that the manifests ask for.
    MinimalVersions,
    /// Write down what the command and the library are made of, as CycloneDX.
    Sbom,
    /// Check that all is ready to be published, and print by which commands it is; nothing is published.
    Release {
        /// Forgive what is done last: a version's name in the changelog, say.
        #[arg(long)]
        dry_run: bool,
    },
    /// Feed what reads untrusted input with what a fuzzer makes up, and note in docs/guarantees.md what came of it.
    Fuzz(fuzz::Fuzz),
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
        Command::Test { sealed } => test::test(sealed),
        Command::Bench { what: Some(what), .. } => bench::bench(&what),
        Command::Bench { what: None, peers } => peers::peers(&peers),
        Command::Plots { json } => peers::plots(&json),
        Command::Fuzz(what) => fuzz::fuzz(&what),
        Command::Coverage { check } => coverage::coverage(check),
        Command::Mutants { arguments } => mutants::mutants(&arguments),
        Command::Prove(what) => prove::prove(&what),
        Command::Api { bless } => Workspace::load().and_then(|workspace| api::check(&workspace, bless)),
        Command::Instructions { bless } => {
            Workspace::load().and_then(|workspace| instructions::check(&workspace, bless)).map(|outcome| {
                if let steps::Outcome::NotRun(why) = outcome {
                    println!("NOT RUN: {why}");
                }
            })
        }
        Command::Semver { baseline } => {
            Workspace::load().and_then(|workspace| semver::check(&workspace, baseline.as_deref()))
        }
        Command::MinimalVersions => Workspace::load().and_then(|workspace| minimal_versions::check(&workspace)),
        Command::Sbom => Workspace::load().and_then(|workspace| sbom::write(&workspace)),
        Command::Release { dry_run } => return release::release(dry_run),
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
