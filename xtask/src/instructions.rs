//! `cargo xtask instructions`: how many instructions each of a few things takes, counted by valgrind and held against the counts in
//! the repository. Unlike times, they are the same on a busy machine.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    run::{cargo, program, root, run, stdout_of},
    steps::Outcome,
    tools,
    workspace::Workspace,
};

/// By how much a count may grow before somebody has to say that it should.
const MOST: f64 = 1.05;

/// Each thing is done so often, and so often again: what it takes to begin goes out in the difference.
const FEW: u64 = 100;
const MANY: u64 = 1_100;

/// What was counted, and by which compiler: another one makes other instructions of the same code.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counts {
    rustc: String,
    /// Instructions of one time.
    instructions: BTreeMap<String, u64>,
}

/// Counts, and compares with what is in the repository; or with `bless` puts it there.
pub(crate) fn check(workspace: &Workspace, bless: bool) -> Result<Outcome> {
    let rustc = stdout_of(program("rustc").arg("--version"))?.trim().to_owned();
    let file = root().join("benches/instructions/baseline.json");
    let baseline = || -> Result<Counts> { Ok(serde_json::from_slice(&fs::read(&file)?)?) };
    if !bless && baseline()?.rustc != rustc {
        return Ok(Outcome::NotRun("the counts in benches/instructions/baseline.json are of another compiler"));
    }
    tools::valgrind()?;
    let counts = Counts { rustc, instructions: count_all(workspace)? };
    if bless {
        fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&counts)?))?;
        println!("written to {}", file.display());
        return Ok(Outcome::Passed);
    }
    let (table, grown) = compare(&baseline()?.instructions, &counts.instructions);
    println!("{table}");
    if grown.is_empty() {
        return Ok(Outcome::Passed);
    }
    Err(format!(
        "{} grew by more than 5 %: find out why; if it has to be, say so by `cargo xtask instructions --bless`",
        grown.join(", ")
    )
    .into())
}

fn count_all(workspace: &Workspace) -> Result<BTreeMap<String, u64>> {
    run(cargo("build").args(["--locked", "--release", "--package=wix-visitor-instructions"]))?;
    let counted = workspace.target_directory.join("release/wix-visitor-instructions");
    let mut counts = BTreeMap::new();
    for case in stdout_of(&mut program(counted.to_str().ok_or("a path that is no text")?))?.lines() {
        let of = |times| instructions(&counted, case, times, &workspace.target_directory.join("xtask/callgrind.out"));
        counts.insert(case.to_owned(), of(MANY)?.saturating_sub(of(FEW)?) / (MANY - FEW));
    }
    Ok(counts)
}

/// All instructions of one run.
fn instructions(counted: &std::path::Path, case: &str, times: u64, out: &PathBuf) -> Result<u64> {
    fs::create_dir_all(out.parent().ok_or("a file without a folder")?)?;
    let mut valgrind = program("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(counted).args([case, &times.to_string()]);
    stdout_of(&mut valgrind)?;
    total(&fs::read_to_string(out)?).ok_or_else(|| format!("{} has no sum", out.display()).into())
}

/// The sum that callgrind writes at the end of its file.
fn total(text: &str) -> Option<u64> {
    let sum = text.lines().rev().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?;
    sum.split_whitespace().next()?.parse().ok()
}

/// A table, and what grew by more than it may, or has nothing to be compared with.
fn compare(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> (String, Vec<String>) {
    let mut table = String::from("| | instructions | before | |\n| --- | ---: | ---: | --- |\n");
    let mut grown = Vec::new();
    for (case, count) in now {
        let old = before.get(case).copied();
        let fits = old.is_some_and(|old| *count as f64 <= old as f64 * MOST);
        if !fits {
            grown.push(case.clone());
        }
        let old = old.map_or("–".to_owned(), |old| old.to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {case} | {count} | {old} | {} |", if fits { "pass" } else { "FAIL" });
    }
    // What is not counted any more would never fail again.
    grown.extend(before.keys().filter(|case| !now.contains_key(*case)).cloned());
    (table, grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
        of.iter().map(|(case, count)| ((*case).to_owned(), *count)).collect()
    }

    #[test]
    fn what_grew_by_more_than_a_twentieth_fails_and_so_does_what_came_or_went() {
        let before = counts(&[("hit", 100), ("key", 1000), ("gone", 1)]);
        let (table, grown) = compare(&before, &counts(&[("hit", 105), ("key", 1051), ("new", 1)]));
        assert_eq!(grown, ["key", "new", "gone"]);
        assert!(table.contains("| hit | 105 | 100 | pass |") && table.contains("| key | 1051 | 1000 | FAIL |"));
        assert!(compare(&before, &before).1.is_empty());
        assert!(compare(&before, &counts(&[("hit", 1), ("key", 1), ("gone", 1)])).1.is_empty(), "less is better");
    }

    #[test]
    fn the_sum_is_read_from_the_end() {
        assert_eq!(total("events: Ir\n0 7\nsummary: 12\n"), Some(12));
        assert_eq!(total("events: Ir\n0 7\ntotals: 4047118\n\n"), Some(4_047_118));
        assert_eq!(total("events: Ir\n"), None);
    }
}
