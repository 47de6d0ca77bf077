//! `wix-visitor-proof`: explores the fleet under every fault and every pair, and tells what was met.

#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use wix_visitor_proof::campaign::{Done, Extent, breaches, configs, failures, run};
use wix_visitor_proof::model::{Behaviour, Call, Config, Fault, Finding, MOST_OF_ONE, Start, explore, replay};
use wix_visitor_proof::promise::forbidden;
use wix_visitor_proof::{report::report, rules};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often progress is told.
const TELL: Duration = Duration::from_secs(10);

/// Explores every interleaving of a small fleet, with core's own decisions. Exit code 0 only if all is as promised.
#[derive(Debug, Parser)]
#[command(name = "wix-visitor-proof", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only what every change can be held against.
    #[arg(long)]
    quick: bool,
    /// Where the report goes, if all is as promised.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the shortest execution that was met of all that one exploration found.
    Trace(Trace),
}

#[derive(Debug, Args)]
struct Trace {
    /// static, grace, reuse or single.
    #[arg(value_parser = endpoint)]
    endpoint: Behaviour,
    /// Faults by the beginning of their names in the tables.
    #[arg(value_parser = fault)]
    faults: Vec<Fault>,
    /// How many instances share the store.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
    instances: u8,
    /// With nothing in the store at first.
    #[arg(long)]
    absent: bool,
    /// How many rounds of callers who wait.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
}

fn endpoint(text: &str) -> Result<Behaviour, String> {
    let named = |behaviour: &Behaviour| format!("{behaviour:?}").eq_ignore_ascii_case(text);
    Behaviour::ALL.into_iter().find(named).ok_or_else(|| "it is one of static, grace, reuse and single".to_owned())
}

fn fault(text: &str) -> Result<Fault, String> {
    let mut all = Fault::ALL.into_iter().chain([Fault::Call]);
    let names: Vec<_> = all.clone().map(Fault::name).collect();
    all.find(|fault| fault.name().starts_with(text)).ok_or_else(|| format!("it is one of {}", names.join("; ")))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Trace(trace)) => tell(trace),
        None => prove(&arguments),
    }
}

fn tell(trace: &Trace) -> ExitCode {
    let start = if trace.absent { Start::Absent } else { Start::Visitor };
    let rounds = vec![Call::Serve; trace.rounds.into()];
    let config = Config::new(trace.endpoint, &trace.faults).among(trace.instances.into()).from(start).over(&rounds);
    if let Some(fault) = config.overfull() {
        eprintln!("error: {} is given more than {MOST_OF_ONE} times", fault.name());
        return ExitCode::from(2);
    }
    let explored = explore(&config, usize::MAX);
    println!("{}: {} states", config.title(), explored.states);
    for (finding, (count, path)) in &explored.found {
        println!("\n{finding:?}, {count} times; the shortest that was met:");
        replay(&config, path).iter().for_each(|line| println!("  {line}"));
    }
    ExitCode::SUCCESS
}

fn prove(arguments: &Arguments) -> ExitCode {
    let start = Instant::now();
    let extent = if arguments.quick { Extent::Quick } else { Extent::Full };
    let configs = configs(extent);
    let told = Mutex::new((start, 0));
    let all = run(&configs, |done, count| {
        show(done);
        let Ok(mut told) = told.lock() else { return };
        told.1 += done.explored.states;
        if told.0.elapsed() > TELL {
            told.0 = Instant::now();
            println!("{count} of {} explorations, {} states, {} s", configs.len(), told.1, start.elapsed().as_secs());
        }
    });
    let rules: Vec<_> = rules::cases().into_iter().map(|case| (case.clone(), case.compare())).collect();
    let mut failures = failures(&all, extent);
    failures.extend(rules.iter().flat_map(|(case, compared)| case.failures(compared)));
    let text = report(&all, &rules, start.elapsed());
    println!("\n{text}");
    failures.iter().for_each(|failure| println!("NOT AS PROMISED: {failure}"));
    if !failures.is_empty() {
        return ExitCode::FAILURE;
    }
    if let Some(path) = &arguments.report
        && let Err(error) = std::fs::write(path, text)
    {
        eprintln!("error: the report cannot be written to {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    println!("all is as promised");
    ExitCode::SUCCESS
}

/// What must not be, and the shortest way there.
fn show(done: &Done) {
    let lines = breaches(done);
    lines.iter().for_each(|line| println!("NOT AS PROMISED: {line}"));
    let Done { config, explored } = done;
    for (finding, (_, path)) in explored.found.iter().filter(|_| !lines.is_empty()) {
        if forbidden(config, *finding) || matches!(finding, Finding::Lost | Finding::Replaced) {
            println!("  {finding:?}; the shortest way there that was met:");
            replay(config, path).iter().for_each(|line| println!("    {line}"));
        }
    }
}
