//! `wix-visitor-fleet`: simulates a day and an outage, draws both, and says whether what is promised holds.

#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use wix_visitor_fleet::day::{Fleet, day};
use wix_visitor_fleet::outage::outage;
use wix_visitor_fleet::{picture, report};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates a day of a fleet, and an hour without an endpoint. Exit code 0 only if all is as promised.
#[derive(Debug, Parser)]
#[command(name = "wix-visitor-fleet")]
struct Arguments {
    /// Only one instance's part of the day, and half the outage.
    #[arg(long)]
    quick: bool,
    /// How many visitors there are on the day.
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "quick", value_parser = clap::value_parser!(u32).range(1..))]
    visitors: u32,
    /// How many instances share them. With too few, their limits make shoppers wait, which is told and counts as a failure.
    #[arg(long, default_value_t = 20, conflicts_with = "quick", value_parser = clap::value_parser!(u32).range(1..))]
    instances: u32,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the report goes, if all is as promised.
    #[arg(long, requires = "pictures")]
    report: Option<PathBuf>,
    /// The folder into which the pictures go, whether or not all is as promised.
    #[arg(long)]
    pictures: Option<PathBuf>,
}

fn main() -> ExitCode {
    match simulate(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as promised.
fn simulate(arguments: &Arguments) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let (visitors, instances) = if arguments.quick { (50_000, 1) } else { (arguments.visitors, arguments.instances) };
    let fleet = Fleet { visitors, instances, seed: arguments.seed };
    let begun = Instant::now();
    let day = day(fleet, |done, all| {
        eprintln!("the day: {done} of {all} parts, {:.1} s", begun.elapsed().as_secs_f64());
    })?;
    let took = begun.elapsed();
    let outage = outage(if arguments.quick { 10_000 } else { 20_000 }, arguments.seed)?;
    eprintln!("the outage: done, {:.1} s", begun.elapsed().as_secs_f64());

    let text = format!("{}\n\n{}\n", report::day(&day, took), report::outage(&outage));
    println!("{text}");
    if let Some(folder) = &arguments.pictures {
        picture::renewals(&day, &folder.join(report::RENEWALS))?;
        picture::outage(&outage, &folder.join(report::OUTAGE))?;
    }
    let breaches: Vec<_> = day.breaches().into_iter().chain(outage.breaches()).collect();
    for breach in &breaches {
        println!("not as promised: {breach}");
    }
    if let (Some(file), true) = (&arguments.report, breaches.is_empty()) {
        std::fs::write(file, text)?;
    }
    Ok(breaches.is_empty())
}
