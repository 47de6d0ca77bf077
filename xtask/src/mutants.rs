//! `cargo xtask mutants`: whether the unit tests of core's decisions notice every change to them. Which changes, and which tests,
//! is in `.cargo/mutants.toml`.

use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf};

use serde::Deserialize;

use crate::{
    Result, argued,
    run::{cargo, root, shown},
    section::{note, version_now},
    tools,
    workspace::Workspace,
};

const GUARANTEES: &str = "docs/guarantees.md";

/// The heading of what is argued.
const ARGUED: &str = "Mutants that no test tells";

/// How cargo-mutants ends, besides well: some mutants were not caught, or ran for ever.
const NOT_ALL_CAUGHT: [i32; 2] = [2, 3];

#[derive(Debug, Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: Summary,
}

#[derive(Debug, Deserialize)]
enum Scenario {
    /// The code as it is.
    Baseline,
    Mutant(Mutant),
}

#[derive(Debug, Deserialize)]
struct Mutant {
    file: PathBuf,
    /// With file, line and column before it.
    name: String,
    span: Span,
}

#[derive(Debug, Deserialize)]
struct Span {
    start: Start,
}

#[derive(Debug, Deserialize)]
struct Start {
    line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Summary {
    Success,
    CaughtMutant,
    MissedMutant,
    Timeout,
    /// It does not compile.
    Unviable,
    Failure,
}

/// Makes all mutants and tests each. With arguments only those that they name, and then nothing is compared nor written.
pub(crate) fn mutants(arguments: &[OsString]) -> Result {
    tools::cargo_mutants()?;
    let folder = Workspace::load()?.target_directory.join("xtask/mutants");
    fs::create_dir_all(&folder)?;
    let version = version_now(GUARANTEES)?;
    let mut command = cargo("mutants");
    command.args(["--jobs=2", "--output"]).arg(&folder).args(arguments);
    // Each mutant is the last one but for a line. The two jobs must not share a folder: each has a copy of the repository.
    command.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_TEST_DEBUG", "0").env_remove("CARGO_TARGET_DIR");
    let line = shown(&command);
    println!("$ {line}");
    let status = command.status().map_err(|error| format!("cannot start `{line}`: {error}"))?;
    if !status.success() && !status.code().is_some_and(|code| NOT_ALL_CAUGHT.contains(&code)) {
        return Err(format!("`{line}` failed ({status})").into());
    }
    if !arguments.is_empty() {
        return if status.success() { Ok(()) } else { Err("not all of these mutants were caught".into()) };
    }

    let outcomes = fs::read_to_string(folder.join("mutants.out/outcomes.json"))?;
    let (counts, survivors) = sorted(&serde_json::from_str(&outcomes)?)?;
    argued::check(ARGUED, &survivors)?;
    note(GUARANTEES, "mutants", &format!("{version}\n\n{}", table(&counts)?))
}

/// How many came to what, and those that no test noticed: also those that ran for ever, for a machine may just have been slow.
fn sorted(outcomes: &Outcomes) -> Result<(BTreeMap<Summary, usize>, Vec<String>)> {
    let (mut counts, mut survivors) = (BTreeMap::new(), Vec::new());
    for Outcome { scenario, summary } in &outcomes.outcomes {
        let Scenario::Mutant(mutant) = scenario else { continue };
        *counts.entry(*summary).or_default() += 1;
        if matches!(summary, Summary::MissedMutant | Summary::Timeout) {
            let text = fs::read_to_string(root().join(&mutant.file))?;
            let what = mutant.name.split_once(": ").map_or(mutant.name.as_str(), |(_, what)| what);
            survivors.push(format!("{}: {what}", argued::place(&mutant.file, &text, mutant.span.start.line)));
        }
    }
    Ok((counts, survivors))
}

fn table(counts: &BTreeMap<Summary, usize>) -> Result<String> {
    let count = |summary| counts.get(&summary).copied().unwrap_or(0);
    if count(Summary::CaughtMutant) == 0 {
        return Err("no mutant was caught: that proves nothing".into());
    }
    Ok(format!(
        "| mutants | do not compile | caught | ran for ever | not caught, argued |\n| ---: | ---: | ---: | ---: | ---: |\n\
         | {} | {} | {} | {} | {} |\n",
        counts.values().sum::<usize>(),
        count(Summary::Unviable),
        count(Summary::CaughtMutant),
        count(Summary::Timeout),
        count(Summary::MissedMutant),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(summaries: &[&str]) -> Outcomes {
        let mutant = |summary: &&str| {
            serde_json::json!({
                "scenario": { "Mutant": {
                    "file": "xtask/src/mutants.rs", "name": "xtask/src/mutants.rs:1:1: replace a with b in c::d",
                    "span": { "start": { "line": 4, "column": 1 }, "end": { "line": 4, "column": 2 } },
                } },
                "summary": summary,
            })
        };
        let mut all = vec![serde_json::json!({ "scenario": "Baseline", "summary": "Success" })];
        all.extend(summaries.iter().map(mutant));
        serde_json::from_value(serde_json::json!({ "outcomes": all })).unwrap()
    }

    #[test]
    fn a_mutant_that_no_test_noticed_or_ended_is_named_by_its_line_and_its_change() {
        let all = outcomes(&["CaughtMutant", "MissedMutant", "Unviable", "Timeout", "CaughtMutant"]);
        let (counts, survivors) = sorted(&all).unwrap();
        let named = "`mutants.rs`: `use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf};`: replace a with b in c::d";
        assert_eq!(survivors, [named, named]);
        assert!(table(&counts).unwrap().ends_with("| 5 | 1 | 2 | 1 | 1 |\n"));
    }

    #[test]
    fn a_run_that_caught_nothing_is_no_proof() {
        let (counts, _) = sorted(&outcomes(&["Unviable"])).unwrap();
        assert!(table(&counts).is_err());
    }
}
