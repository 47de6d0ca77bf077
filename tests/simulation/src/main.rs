//! `wix-visitor-simulation`: simulates fleets under faults, seed by seed, and prints what came of it.

#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use wix_visitor_simulation::campaign::campaign;
use wix_visitor_simulation::outage::outage;
use wix_visitor_simulation::plan::draft::draft;
use wix_visitor_simulation::plan::shrink::shrink;
use wix_visitor_simulation::plan::{Campaign, HOUR, Plan};
use wix_visitor_simulation::run::{Scrutiny, run};
use wix_visitor_simulation::verdict::report::{self, Run};

/// Where the report goes.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guarantees.md");

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many seeds a full run has.
const FULL: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    Ok,
    Rest,
    Both,
}

/// Simulates fleets under faults.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds of campaign ok; campaign rest runs a tenth of them. All million of both, and the dead endpoint after them, are
    /// the full run: if everything holds, it is noted in docs/guarantees.md.
    #[arg(long, default_value_t = FULL, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Which faults may meet: those that the tables call ok, or the rest.
    #[arg(long, value_enum, default_value_t = Choice::Both)]
    campaign: Choice,
    /// As many seeds as fit into two minutes.
    #[arg(long)]
    quick: bool,
    /// Runs one seed of campaign ok (or of the campaign given), tells all that happens, and shrinks it if it fails.
    #[arg(long, conflicts_with_all = ["outage", "quick"])]
    replay: Option<u64>,
    /// Runs the dead endpoint alone.
    #[arg(long)]
    outage: bool,
}

impl Arguments {
    fn is_full(&self) -> bool {
        !self.quick && !self.outage && self.campaign == Choice::Both && self.seeds >= FULL
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let which = if arguments.campaign == Choice::Rest { Campaign::Rest } else { Campaign::Ok };
    let holds = match arguments.replay {
        Some(seed) => replay(seed, which, true),
        None => simulate(&arguments),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn simulate(arguments: &Arguments) -> bool {
    let seeds = if arguments.quick { arguments.seeds.min(15_000) } else { arguments.seeds };
    let mut holds = true;
    let mut text = String::new();
    let mut say = |part: String| {
        println!("{part}");
        text.push_str(&part);
        text.push('\n');
    };
    if !arguments.outage {
        for (choice, which, seeds) in
            [(Choice::Ok, Campaign::Ok, seeds), (Choice::Rest, Campaign::Rest, seeds.div_ceil(10))]
        {
            if [choice, Choice::Both].contains(&arguments.campaign) {
                let begun = Instant::now();
                let totals = campaign(which, arguments.from, seeds, None, progress(which, seeds));
                let run = Run { campaign: which, from: arguments.from, totals, took: begun.elapsed() };
                say(run.told());
                holds &= run.totals.is_sound();
                if which == Campaign::Ok && run.totals.clean < run.totals.runs {
                    holds = false;
                    for failure in run.totals.failures.iter().take(3) {
                        replay(failure.seed, which, false);
                    }
                    println!("failing seeds: {:?}", run.totals.failures.iter().map(|f| f.seed).collect::<Vec<_>>());
                }
            }
        }
    }
    if arguments.outage || arguments.is_full() {
        let visitors = if arguments.quick { 10_000 } else { 100_000 };
        let outage = outage(visitors, 6 * HOUR, arguments.from);
        say(report::outage(&outage));
        holds &= outage.holds();
    }
    if holds && arguments.is_full() {
        let command = format!("cargo xtask prove simulate {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
        if let Err(error) = report::write(Path::new(DOCUMENT), &command, &text) {
            println!("cannot write {DOCUMENT}: {error}");
            return false;
        }
    }
    holds
}

fn progress(which: Campaign, seeds: u64) -> impl Fn(u64, u64, Duration) + Sync {
    move |done, failed, taken| {
        let left = taken.mul_f64(seeds.saturating_sub(done) as f64 / done.max(1) as f64);
        eprintln!(
            "campaign {}: {done} of {seeds} seeds, {failed} with a finding, {:.0} s, about {:.0} s to go",
            which.name(),
            taken.as_secs_f64(),
            left.as_secs_f64()
        );
    }
}

/// Runs a seed again; if it fails, the least of it that still does. Whether it holds.
fn replay(seed: u64, which: Campaign, always: bool) -> bool {
    let plan = Arc::new(draft(seed, which));
    let scrutiny = Scrutiny { log: true, search: true, trace: plan.visitors.len() <= 100 };
    let outcome = run(&plan, scrutiny);
    let Some(first) = outcome.findings.first() else {
        if always {
            outcome.log.iter().for_each(|line| println!("{line}"));
            println!("seed {seed} of campaign {}: everything holds", which.name());
        }
        return true;
    };
    let small = Arc::new(shrink(&plan, first.breach));
    let outcome = run(&small, scrutiny);
    println!("\nseed {seed} of campaign {}, shrunk to {}:", which.name(), size(&small));
    println!("{:?}", small.site);
    outcome.log.iter().for_each(|line| println!("{line}"));
    outcome.findings.iter().for_each(|finding| {
        println!("{:?}: visitor {}, at {} s: {}", finding.breach, finding.visitor, finding.at / 1_000, finding.text);
    });
    false
}

fn size(plan: &Plan) -> String {
    let sum =
        |count: fn(&wix_visitor_simulation::plan::Episode) -> usize| plan.episodes.iter().map(count).sum::<usize>();
    format!(
        "{} instances, {} visitors, {} episodes, {} faults, {} calls",
        plan.nodes.iter().filter(|node| node.used).count(),
        plan.visitors.iter().filter(|used| **used).count(),
        plan.episodes.len(),
        sum(|episode| episode.strikes.len() + episode.disturbances.len()),
        sum(|episode| episode.calls.len()),
    )
}
