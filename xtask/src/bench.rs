//! `cargo xtask bench ratios`, `growth`, `crowd` and `waiters`: what a token costs, as ratios within one run, held against their limits.

use std::{fmt::Write, fs, path::Path};

use clap::Subcommand;
use serde::Deserialize;

use crate::{
    Result,
    run::{cargo, run, stdout_of},
    section::{note, version_now},
    setup,
    workspace::Workspace,
};

const BENCHMARKS: &str = "docs/benchmarks.md";

/// What is measured: the benchmark group, what that is to a reader, and how many times its floor it may take.
const MEASURED: &[(&str, &str, f64)] = &[
    ("hot_path", "a valid token through a visitor, to an atomic pointer load, a clock read and a header clone", 1.5),
    ("lookup", "a visitor by key among 1,000,000 in memory, to a bare concurrent map's look-up", 1.5),
];

/// What criterion estimates of one benchmark, in nanoseconds.
#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
}

#[derive(Debug, PartialEq)]
struct Row {
    what: &'static str,
    ratio: f64,
    limit: f64,
    allocations: u64,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// What a hit and a look-up by key cost, to the least that they could.
    Ratios,
    /// How long a load takes among more and more visitors, up to a million. Takes 5 GB of the temporary directory, and a while.
    Growth {
        /// Up to so many: 1,000, or ten times that, and so on.
        #[arg(long, default_value_t = 1_000_000)]
        most: usize,
    },
    /// What a crowd of visitors who come once does to memory, and to those who come again and again.
    Crowd {
        /// How many come.
        #[arg(long, default_value_t = 1_000_000)]
        visitors: usize,
    },
    /// How long ten thousand callers wait for one grant, in the instance that asks for it and in another one on Redis.
    Waiters,
}

/// Measures it; notes it in `docs/benchmarks.md`, and fails if a limit is exceeded.
pub(crate) fn bench(what: &Bench) -> Result {
    match what {
        Bench::Ratios => ratios(),
        Bench::Growth { most } => {
            setup::redis()?;
            tabled("growth", "wix-visitor-benches", &[], &[&most.to_string()])
        }
        Bench::Crowd { visitors } => tabled("crowd", "wix-visitor-benches", &[], &[&visitors.to_string()]),
        Bench::Waiters => {
            setup::redis()?;
            tabled("waiters", "wix-visitor-tests", &["--features=redis"], &[])
        }
    }
}

/// A program of its own, which prints a table.
fn tabled(name: &str, package: &str, features: &[&str], arguments: &[&str]) -> Result {
    let version = version_now(BENCHMARKS)?;
    let mut measuring = cargo("run");
    measuring
        .args(["--locked", "--release", "--package", package, "--bin", name])
        .args(features)
        .arg("--")
        .args(arguments);
    let table = stdout_of(&mut measuring)?;
    println!("{table}");
    report(name, &version, &table)?;
    if table.contains("FAIL") { Err("a limit is exceeded".into()) } else { Ok(()) }
}

fn ratios() -> Result {
    let version = version_now(BENCHMARKS)?;
    let criterion = Workspace::load()?.target_directory.join("criterion");
    for (group, ..) in MEASURED {
        // What an earlier run left must not pass for this one's.
        let folder = criterion.join(group);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    let mut counting = cargo("test");
    counting.args(["--locked", "--profile=bench", "--package=wix-visitor-benches", "--test=allocations"]);
    let counts = stdout_of(counting.args(["--", "--nocapture", "--test-threads=1"]))?;
    run(cargo("bench").args(["--locked", "--package=wix-visitor-benches"]))?;

    let mut rows = Vec::new();
    for &(group, what, limit) in MEASURED {
        let ratio = ratio(&criterion.join(group))?;
        rows.push(Row { what, ratio, limit, allocations: allocations(&counts, group)? });
    }
    let table = table(&rows);
    println!("\n{table}");
    report("ratios", &version, &table)?;
    if rows.iter().all(Row::holds) { Ok(()) } else { Err("a limit is exceeded".into()) }
}

impl Row {
    fn holds(&self) -> bool {
        self.ratio <= self.limit && self.allocations == 0
    }
}

/// The middle one of the rounds' ratios. The two sides of a round are measured one right after the other: what else the machine
/// does in a round slows both, and a round in which it slowed one alone is not in the middle.
fn ratio(group: &Path) -> Result<f64> {
    let mut ratios = Vec::new();
    for round in fs::read_dir(group.join("visitor"))? {
        let round = round?.file_name();
        // Beside the rounds lies criterion's own report.
        if group.join("visitor").join(&round).join("new").is_dir() {
            ratios.push(median(&group.join("visitor").join(&round))? / median(&group.join("floor").join(&round))?);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.get(ratios.len() / 2).copied();
    middle.ok_or_else(|| format!("nothing was measured in {}", group.display()).into())
}

fn median(round: &Path) -> Result<f64> {
    let file = round.join("new/estimates.json");
    let text = fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(serde_json::from_slice::<Estimates>(&text)?.median.point_estimate)
}

/// The count on the line that the test of this group printed.
fn allocations(printed: &str, group: &str) -> Result<u64> {
    let count =
        printed.lines().find_map(|line| line.strip_prefix("allocations ")?.strip_prefix(group)?.strip_prefix(' '));
    Ok(count.ok_or_else(|| format!("no count of allocations for {group}"))?.trim().parse()?)
}

fn table(rows: &[Row]) -> String {
    let mut table =
        String::from("| what, and to what | ratio | at most | allocations | |\n| --- | --- | --- | --- | --- |\n");
    for row in rows {
        let verdict = if row.holds() { "pass" } else { "FAIL" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {} | {:.2} | {:.1} | {} in 10,000 calls | {verdict} |",
            row.what, row.ratio, row.limit, row.allocations
        );
    }
    table
}

/// Writes down a table, with what it was measured of, and on.
fn report(name: &str, version: &str, table: &str) -> Result {
    note(BENCHMARKS, name, &format!("{version} · {}\n\n{table}", machine()))
}

/// Its processor, as the system names it.
pub(crate) fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text));
    processor.unwrap_or_else(|| "processor unknown".to_owned())
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_rounds_ratios_counts_and_none_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let put = |side: &str, round: usize, median: f64| {
            let new = folder.path().join(side).join(round.to_string()).join("new");
            fs::create_dir_all(&new).unwrap();
            let estimates = serde_json::json!({ "median": { "point_estimate": median }, "mean": {} });
            fs::write(new.join("estimates.json"), estimates.to_string()).unwrap();
        };
        fs::create_dir_all(folder.path().join("visitor/report")).unwrap();
        assert!(ratio(folder.path()).is_err(), "none measured is no pass");
        for (round, visitor, floor) in [(1, 90.0, 10.0), (2, 24.0, 20.0), (3, 10.0, 20.0)] {
            put("visitor", round, visitor);
            put("floor", round, floor);
        }
        assert_eq!(ratio(folder.path()).unwrap(), 1.2);
        put("visitor", 4, 1.0);
        assert!(ratio(folder.path()).is_err(), "a round without its floor");
    }

    #[test]
    fn a_count_is_read_from_the_line_of_its_group_and_a_missing_one_is_an_error() {
        let printed = "test x ... \nallocations lookup_all 3\nallocations lookup 12\nok";
        assert_eq!(allocations(printed, "lookup").unwrap(), 12);
        assert!(allocations(printed, "hot_path").is_err());
    }

    #[test]
    fn a_ratio_above_its_limit_or_one_allocation_fails() {
        let row = |ratio, allocations| Row { what: "x", ratio, limit: 1.5, allocations };
        assert!(row(1.5, 0).holds());
        assert!(!row(1.51, 0).holds() && !row(1.0, 1).holds() && !row(f64::NAN, 0).holds());
        assert!(table(&[row(1.51, 0)]).contains("| 1.51 | 1.5 | 0 in 10,000 calls | FAIL |"));
    }

    #[test]
    fn the_processor_is_named_by_its_model() {
        assert_eq!(processor("processor : 0\nmodel name\t: Some CPU 9\n").as_deref(), Some("Some CPU 9"));
        assert_eq!(processor("Hardware: none"), None);
    }
}
