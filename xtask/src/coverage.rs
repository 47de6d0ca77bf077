//! `cargo xtask coverage`: whether the unit tests of core's decisions take every branch of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    Result, argued, nightly,
    run::{root, run},
    section::{note, version_now},
    tools,
    workspace::Workspace,
};

const GUARANTEES: &str = "docs/guarantees.md";

/// Where core decides.
const DECISIONS: &str = "crates/core/src/protocol";

/// The heading of what is argued.
const ARGUED: &str = "Branches that no test takes";

/// What llvm-cov exports, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Export {
    data: Vec<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    functions: Vec<Function>,
}

#[derive(Debug, Deserialize)]
struct Function {
    filenames: Vec<PathBuf>,
    /// First line and column, last line and column, how often, index of the file, of that of an expansion, kind.
    regions: Vec<[u64; 8]>,
    /// The same with two counts: how often it was true, and how often it was not.
    branches: Vec<[u64; 9]>,
}

/// Of the kinds of regions, the one that is code.
const CODE: u64 = 0;

type Span = [u64; 4];

/// What was run of one file, how often.
#[derive(Debug, Default)]
struct Module {
    regions: BTreeMap<Span, u64>,
    branches: BTreeMap<Span, [u64; 2]>,
}

/// How much of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share(usize, usize);

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.0, self.1)
    }
}

/// Runs the unit tests of core and looks at what they ran of its decisions. The report is written only where all is as promised.
pub(crate) fn coverage(check: bool) -> Result {
    nightly::install()?;
    tools::cargo_llvm_cov()?;
    let workspace = Workspace::load()?;
    let version = version_now(GUARANTEES)?;
    let file = workspace.target_directory.join("xtask/coverage.json");
    let mut command = nightly::cargo("llvm-cov", &workspace);
    command.args(["--locked", "--branch", "--package=wix-visitor-core", "--lib", "--json", "--output-path"]).arg(&file);
    // It installs LLVM's tools beside the compiler, where they are missing, without a question.
    run(command.env("CARGO_LLVM_COV_SETUP", "yes").env("CARGO_PROFILE_TEST_DEBUG", "0"))?;

    let export: Export = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let mut table = "| module | lines | branches | regions |\n| --- | ---: | ---: | ---: |\n".to_owned();
    let mut gaps = Vec::new();
    for (file, module) in modules(&export, &root().join(DECISIONS))? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let [lines, branches, regions] = module.shares();
        table += &format!("| `{name}` | {lines} | {branches} | {regions} |\n");
        gaps.extend(module.gaps(&file, &fs::read_to_string(&file)?));
    }
    println!("\n{table}");
    gaps.iter().for_each(|gap| println!("{gap}"));
    argued::check(ARGUED, &gaps)?;
    if check {
        return Ok(());
    }
    let argued = format!("Lines on which something is missing, each of them argued: {}.", gaps.len());
    note(GUARANTEES, "coverage", &format!("{version}\n\n{table}\n{argued}"))
}

/// What was run of each file right in this folder, without tests.
fn modules(export: &Export, folder: &Path) -> Result<BTreeMap<PathBuf, Module>> {
    let mut ends = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "rs") && !file.ends_with("testing.rs") {
            let end = tests_begin(&fs::read_to_string(&file)?);
            ends.insert(file, end);
        }
    }
    let mut modules: BTreeMap<PathBuf, Module> = BTreeMap::new();
    for function in export.data.iter().flat_map(|data| &data.functions) {
        let file = |index: u64, line: u64| {
            let file = usize::try_from(index).ok().and_then(|index| function.filenames.get(index))?;
            ends.get(file).is_some_and(|end| line < *end).then(|| file.clone())
        };
        // A function that was compiled for several types is there several times: one of them is enough.
        for [line, column, to_line, to_column, count, index, _, kind] in &function.regions {
            if let (Some(file), CODE) = (file(*index, *line), *kind) {
                let regions = &mut modules.entry(file).or_default().regions;
                *regions.entry([*line, *column, *to_line, *to_column]).or_default() += count;
            }
        }
        for [line, column, to_line, to_column, yes, no, index, ..] in &function.branches {
            if let Some(file) = file(*index, *line) {
                let branches = &mut modules.entry(file).or_default().branches;
                let counts = branches.entry([*line, *column, *to_line, *to_column]).or_default();
                *counts = [counts[0] + yes, counts[1] + no];
            }
        }
    }
    // A file of which nothing is known would look like one of which nothing is missing.
    match ends.keys().find(|file| !modules.contains_key(*file)) {
        Some(file) => Err(format!("nothing was measured of {}", file.display()).into()),
        None => Ok(modules),
    }
}

/// The line on which a file's tests begin.
fn tests_begin(text: &str) -> u64 {
    let before = text.split_once("\n#[cfg(test)]\nmod tests").map_or(text, |(before, _)| before);
    before.lines().count() as u64 + 1
}

impl Module {
    /// Lines, branches (each may be true and may not be) and regions.
    fn shares(&self) -> [Share; 3] {
        let mut lines: BTreeMap<u64, bool> = BTreeMap::new();
        for ([line, ..], count) in &self.regions {
            *lines.entry(*line).or_insert(true) &= *count > 0;
        }
        let branches = || self.branches.values().flatten();
        [
            Share(lines.values().filter(|run| **run).count(), lines.len()),
            Share(branches().filter(|count| **count > 0).count(), branches().count()),
            Share(self.regions.values().filter(|count| **count > 0).count(), self.regions.len()),
        ]
    }

    /// What no test ran, line by line.
    fn gaps(&self, file: &Path, text: &str) -> Vec<String> {
        let mut lines: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
        let mut add = |line: u64, gap| {
            lines.entry(line).or_default().insert(gap);
        };
        for ([line, ..], count) in &self.regions {
            if *count == 0 {
                add(*line, "not run");
            }
        }
        for ([line, ..], [yes, no]) in &self.branches {
            if *yes == 0 {
                add(*line, "never true");
            }
            if *no == 0 {
                add(*line, "never false");
            }
        }
        let shown = |(line, gaps): (u64, BTreeSet<&str>)| {
            let place = argued::place(file, text, usize::try_from(line).unwrap_or(usize::MAX));
            format!("{place}: {}", Vec::from_iter(gaps).join(", "))
        };
        lines.into_iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "fn a(b: bool) {\n    if b {\n        c();\n    }\n}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";

    fn measured(folder: &Path, yes: u64) -> Result<BTreeMap<PathBuf, Module>> {
        let file = folder.join("a.rs");
        fs::write(&file, SOURCE).unwrap();
        fs::write(folder.join("testing.rs"), "").unwrap();
        let export = serde_json::json!({ "data": [{ "functions": [
            {
                "filenames": [file],
                "regions": [[2, 8, 2, 9, 1, 0, 0, 0], [3, 9, 3, 12, yes, 0, 0, 0], [4, 1, 4, 2, 0, 0, 0, 3]],
                "branches": [[2, 8, 2, 9, yes, 1, 0, 0, 4]],
            },
            { "filenames": ["/elsewhere.rs", file], "regions": [[9, 1, 9, 2, 0, 1, 0, 0], [1, 1, 1, 2, 0, 0, 0, 0]], "branches": [] },
        ] }] });
        modules(&serde_json::from_value(export).unwrap(), folder)
    }

    #[test]
    fn what_was_not_run_is_told_by_its_line_and_tests_and_other_files_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let modules = measured(folder.path(), 0).unwrap();
        let (file, module) = modules.iter().next().unwrap();
        assert_eq!(modules.len(), 1);
        assert_eq!(module.shares(), [Share(1, 2), Share(1, 2), Share(1, 2)]);
        assert_eq!(module.gaps(file, SOURCE), ["`a.rs`: `if b {`: never true", "`a.rs`: `c();`: not run"]);
        let modules = measured(folder.path(), 1).unwrap();
        assert!(modules.iter().all(|(file, module)| module.gaps(file, SOURCE).is_empty()));
    }

    #[test]
    fn a_file_of_which_nothing_was_measured_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.rs"), "fn b() {}\n").unwrap();
        assert!(measured(folder.path(), 1).unwrap_err().to_string().contains("b.rs"));
    }
}
