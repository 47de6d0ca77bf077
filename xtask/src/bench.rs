//! `cargo xtask bench crowd` and `waiters`: what many at once cost, held against their limits.

use std::fs;

use clap::Subcommand;

use crate::{
    Result,
    run::{cargo, stdout_of},
    section::{note, version_now},
    setup,
};

const BENCHMARKS: &str = "docs/benchmarks.md";

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
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
    fn the_processor_is_named_by_its_model() {
        assert_eq!(processor("processor : 0\nmodel name\t: Some CPU 9\n").as_deref(), Some("Some CPU 9"));
        assert_eq!(processor("Hardware: none"), None);
    }
}
