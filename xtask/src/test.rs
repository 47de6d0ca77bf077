//! `cargo xtask test`: all suites, and a search of their whole output for secrets.

use std::{
    fs,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use crate::{
    Result, leaks,
    recorded::{Logged, Recorded, run_recorded},
    run::cargo,
    setup, tools,
    workspace::Workspace,
};

/// The suites that need more than Rust and a C compiler, as features of `wix-visitor-tests`.
fn suites() -> String {
    let mut suites = vec![
        "wix-visitor-tests/sdk",
        "wix-visitor-tests/redis",
        "wix-visitor-tests/browser",
        // Of the load, what tests itself; the load is run after the suites, with the machine to itself.
        "wix-visitor-tests/load",
    ];
    if tools::small_disk() {
        suites.push("wix-visitor-tests/full-disk");
    } else {
        println!("NOT RUN: the suite of the full disk; it needs Linux and the right to mount in a user namespace");
    }
    suites.join(",")
}

/// The folder in which each test process notes the secrets that it makes and uses.
const LEDGER_VARIABLE: &str = "WIX_VISITOR_SECRETS_LEDGER";

/// Has every suite seal its records, by the ring that it holds.
const SEALED_VARIABLE: &str = "WIX_VISITOR_TESTS_SEALED";

/// The file that says what failed.
const FAILURES: &str = "failures";

/// By which programs are told of a ring.
const RING_VARIABLE: &str = "WIX_VISITOR_KEYS";

/// It seals nothing but what suites made up.
const RING: &str = "d2hhdCB0aGUgc3VpdGVzIGhhdmUgbWFkZSB1cCAuLi4";

/// Sets up what the suites need, runs them all, and searches what they printed; with the records of all stores `sealed`, or plain.
pub(crate) fn test(sealed: bool) -> Result {
    let seal = |command: &mut Command| {
        for name in [SEALED_VARIABLE, RING_VARIABLE] {
            if sealed {
                command.env(name, RING)
            } else {
                command.env_remove(name)
            };
        }
    };
    setup::suites()?;
    let folder = folder(&Workspace::load()?);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (ledger, output) = (folder.join("secrets"), folder.join("output.log"));
    fs::create_dir_all(&ledger)?;

    let mut tests = cargo("test");
    tests
        .args(["--locked", "--workspace", "--no-fail-fast", "--features", &suites()])
        // Also of tests that pass: a secret is leaked whether or not somebody looks.
        .args(["--", "--nocapture"])
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        // Colours inside a line would hide it from the search.
        .env("NO_COLOR", "1")
        .env(LEDGER_VARIABLE, &ledger);
    seal(&mut tests);
    let recorded = run_recorded(tests, &output)?;

    let under_load = folder.join("load.log");
    let mut load = load(&["--seconds", "20"]);
    load.env("NO_COLOR", "1").env(LEDGER_VARIABLE, &ledger);
    seal(&mut load);
    let loaded = run_recorded(load, &under_load)?;

    // Searched also when tests failed: what a failing test prints must hold no secret either.
    let leaks = search(&ledger, &output).and_then(|()| shows_all(recorded.logged));
    let outcomes = [
        succeeded("tests", &recorded, &output),
        succeeded("the load test", &loaded, &under_load),
        leaks,
        search(&ledger, &under_load),
    ];
    let failures: Vec<_> = outcomes.into_iter().filter_map(|outcome| Some(outcome.err()?.to_string())).collect();
    if failures.is_empty() {
        return Ok(());
    }
    let failures = failures.join("\n");
    fs::write(folder.join(FAILURES), &failures)?;
    Err(failures.into())
}

/// What failed when the tests were run last, as far as they came.
pub(crate) fn failures(workspace: &Workspace) -> Option<String> {
    fs::read_to_string(folder(workspace).join(FAILURES)).ok()
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target_directory.join("xtask/test")
}

/// The program that puts two instances of the shop under load.
pub(crate) fn load(arguments: &[&str]) -> Command {
    let mut load = cargo("run");
    load.args(["--locked", "--package=wix-visitor-tests", "--features", "load", "--bin=load", "--"]).args(arguments);
    load
}

fn succeeded(what: &str, Recorded { status, failed, .. }: &Recorded, output: &Path) -> Result {
    if status.success() {
        return Ok(());
    }
    Err(format!("{}\n{what} failed; all output is in {}", failed.join("\n"), output.display()).into())
}

/// A search of a log that does not show what may hold a secret would pass for the wrong reason.
fn shows_all(Logged { trace, spans, metrics }: Logged) -> Result {
    let missing = [(trace, "lines at the trace level"), (spans, "spans"), (metrics, "metrics")];
    match missing.iter().find(|(count, _)| *count == 0) {
        Some((_, what)) => Err(format!("no suite logged any {what}, so the search for leaks proves nothing").into()),
        None => Ok(()),
    }
}

fn search(ledger: &Path, output: &Path) -> Result {
    let start = Instant::now();
    let (secrets, found) = leaks::search_output(ledger, BufReader::new(File::open(output)?))?;
    println!(
        "searched {} lines ({:.1} MB) for {secrets} secrets in {:.1} s",
        found.lines,
        fs::metadata(output)?.len() as f64 / 1e6,
        start.elapsed().as_secs_f64()
    );
    if found.leaking.is_empty() {
        return Ok(());
    }
    // Where, never what: this output is kept by others.
    let places: Vec<_> = found.leaking.iter().take(20).map(|line| format!("  {}:{line}", output.display())).collect();
    Err(format!("{} lines of the output hold part of a secret:\n{}", found.leaking.len(), places.join("\n")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_spans_or_metrics_proves_nothing() {
        let all = Logged { trace: 1, spans: 1, metrics: 1 };
        shows_all(all).unwrap();
        for lacking in [Logged { trace: 0, ..all }, Logged { spans: 0, ..all }, Logged { metrics: 0, ..all }] {
            assert!(shows_all(lacking).unwrap_err().to_string().contains("proves nothing"));
        }
    }
}
