//! `cargo xtask fuzz`: feeds what reads untrusted input with what libFuzzer makes up, and notes what came of it in
//! docs/guarantees.md.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Command,
    time::Instant,
};

use clap::Args;

use crate::{
    Result, nightly,
    prove::GUARANTEES,
    run::{program, root, run, shown},
    section::{note, noted, version_now},
    tools,
    workspace::Workspace,
};

/// Without other words, each target is run for so long or so often, whichever comes first.
const MINUTES: u64 = 10;
const RUNS: i64 = 10_000_000;
const QUICK_SECONDS: u64 = 30;
/// A single run that takes so many seconds is a finding.
const HANGS: u64 = 20;

/// How much is fuzzed, and what.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// So many minutes for each target, in place of 10 minutes or 10,000,000 runs.
    #[arg(long, value_name = "N")]
    minutes: Option<u32>,
    /// So many runs of each target, in place of 10 minutes or 10,000,000 runs.
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    runs: Option<u32>,
    /// 30 seconds for each target, without a report.
    #[arg(long, conflicts_with_all = ["minutes", "runs"])]
    quick: bool,
    /// Only these, and of the report their rows; else all.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

impl Fuzz {
    /// How long and how often at most, as libFuzzer wants it: seconds, of which 0 are without end, and runs, of which -1 are.
    fn most(&self) -> [String; 2] {
        let most = |seconds: u64, runs: i64| [format!("-max_total_time={seconds}"), format!("-runs={runs}")];
        match (self.quick, self.minutes, self.runs) {
            (true, ..) => most(QUICK_SECONDS, -1),
            (_, Some(minutes), _) => most(60 * u64::from(minutes), -1),
            (_, _, Some(runs)) => most(0, i64::from(runs)),
            (false, None, None) => most(60 * MINUTES, RUNS),
        }
    }

    /// The same in words.
    fn in_words(&self) -> String {
        match (self.minutes, self.runs) {
            (Some(minutes), _) => format!("{minutes} minutes"),
            (_, Some(runs)) => format!("{runs} runs"),
            (None, None) => format!("{MINUTES} minutes or {RUNS} runs"),
        }
    }
}

/// What came of one target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fuzzed {
    runs: u64,
    seconds: u64,
    edges: u64,
    features: u64,
    /// Inputs that led where none had led before.
    inputs: u64,
    found: bool,
}

/// Fuzzes; an error if anything was found.
pub(crate) fn fuzz(what: &Fuzz) -> Result {
    tools::cargo_fuzz()?;
    let all = targets()?;
    if let Some(unknown) = what.targets.iter().find(|name| !all.contains(name)) {
        return Err(format!("there is no target {unknown}; known: {}", all.join(", ")).into());
    }
    let chosen = if what.targets.is_empty() { &all } else { &what.targets };
    let version = version_now(GUARANTEES)?;
    let folder = Workspace::load()?.target_directory;
    run(&mut cargo_fuzz("build", &folder))?;
    let mut done = Vec::new();
    for target in chosen {
        let fuzzed = fuzz_one(target, &folder, &what.most())?;
        done.push((target.as_str(), fuzzed));
    }
    let new: BTreeMap<_, _> =
        done.iter().map(|(target, fuzzed)| ((*target).to_owned(), fuzzed.row(target, &version, what))).collect();
    println!("\n{}", table(&new));
    if !what.quick {
        let mut rows = rows_of(&noted(GUARANTEES, "fuzz")?);
        rows.retain(|target, _| all.contains(target));
        rows.extend(new);
        note(GUARANTEES, "fuzz", &table(&rows))?;
    }
    let found: Vec<_> = done.iter().filter(|(_, fuzzed)| fuzzed.found).map(|(target, _)| *target).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("something was found in {}: the inputs are in fuzz/artifacts", found.join(", ")).into())
}

/// The targets, by their programs.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// cargo-fuzz, by nightly Rust. Without sanitizers: they look for what only unsafe code can do wrong, and make everything slower.
fn cargo_fuzz(subcommand: &str, folder: &Path) -> Command {
    let mut command = program("rustup");
    command.args(["run", nightly::name(), "cargo", "fuzz", subcommand, "--sanitizer=none", "--target-dir"]);
    command.arg(folder.join("fuzz"));
    command
}

fn fuzz_one(target: &str, folder: &Path, most: &[String]) -> Result<Fuzzed> {
    // What it keeps goes to a folder of its own, and stays there for the next time; the corpus in the repository is read alone.
    let kept = folder.join("xtask/fuzz").join(target);
    fs::create_dir_all(&kept)?;
    let mut command = cargo_fuzz("run", folder);
    command.arg(target).args([&kept, &root().join("fuzz/corpus").join(target)]);
    command.args(["--", "-print_final_stats=1", "-print_funcs=0", &format!("-timeout={HANGS}")]);
    command.args(most);
    let words = root().join("fuzz/dictionaries").join(target).with_extension("dict");
    if words.exists() {
        command.arg(format!("-dict={}", words.display()));
    }
    println!("\n=== {target}\n$ {}", shown(&command));
    let start = Instant::now();
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // It holds the writing ends: while it lives, the reading end never ends.
    drop(command);
    let log = kept.with_extension("log");
    let mut fuzzed = follow(BufReader::new(reader), File::create(&log)?, std::io::stdout())?;
    fuzzed.found = !child.wait()?.success();
    fuzzed.seconds = start.elapsed().as_secs();
    if fuzzed.runs == 0 {
        return Err(format!("{target} did not run; all that it said is in {}", log.display()).into());
    }
    Ok(fuzzed)
}

/// Writes down all that libFuzzer says, shows how far it is, and keeps its numbers.
fn follow(mut from: impl BufRead, mut log: impl Write, mut screen: impl Write) -> Result<Fuzzed> {
    let (mut fuzzed, mut line) = (Fuzzed::default(), Vec::new());
    while from.read_until(b'\n', &mut line)? > 0 {
        log.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        let told = fuzzed.hear(&text);
        // Each input that is kept has a line of its own, which nobody wants to read.
        if !told || ["INITED", "pulse", "DONE"].iter().any(|word| text.contains(word)) {
            screen.write_all(&line)?;
        }
        line.clear();
    }
    Ok(fuzzed)
}

impl Fuzzed {
    fn row(&self, target: &str, version: &str, what: &Fuzz) -> String {
        let Self { runs, seconds, edges, features, inputs, found } = self;
        // libFuzzer ends at the first.
        let found = u8::from(*found);
        let most = what.in_words();
        format!("| {target} | {version} | {most} | {runs} | {seconds} | {edges} | {features} | {inputs} | {found} |")
    }

    /// Hears a line such as `#4096 pulse  cov: 936 ft: 3000 corp: 500/40Kb lim: 4096 exec/s: 2048 rss: 80Mb`; `false` for others.
    fn hear(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(runs) = words.first().and_then(|word| word.strip_prefix('#')?.parse().ok()) else { return false };
        self.runs = runs;
        for (slot, name) in [(&mut self.edges, "cov:"), (&mut self.features, "ft:"), (&mut self.inputs, "corp:")] {
            let value = words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
            let number = value.and_then(|value| value.split('/').next()?.parse().ok());
            *slot = number.unwrap_or(*slot);
        }
        true
    }
}

const HEAD: &str = "| target | of | at most | runs | seconds | edges | features | inputs kept | findings |\n\
                    | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";

fn table(rows: &BTreeMap<String, String>) -> String {
    rows.values().fold(HEAD.to_owned(), |table, row| table + row + "\n")
}

/// The rows of a table of ours, by target.
fn rows_of(table: &str) -> BTreeMap<String, String> {
    let row = |line: &str| Some((line.strip_prefix("| ")?.split(" |").next()?.to_owned(), line.to_owned()));
    table.lines().filter(|line| !HEAD.contains(line)).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "INFO: Seed: 1\n\
                        #2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                        #900\tNEW    cov: 12 ft: 20 corp: 2/9b lim: 11 exec/s: 0 rss: 41Mb L: 8/8 MS: 1 EraseBytes-\n\
                        #1024\tpulse  cov: 12 ft: 20 corp: 2/9b lim: 11 exec/s: 512 rss: 41Mb\n\
                        #5000\tREDUCE cov: 936 ft: 3000 corp: 500/40Kb lim: 99 exec/s: 512 rss: 41Mb\n\
                        thread panicked\n";

    #[test]
    fn the_last_numbers_count_and_what_is_not_progress_is_shown() {
        let (mut log, mut screen) = (Vec::new(), Vec::new());
        let fuzzed = follow(SAID.as_bytes(), &mut log, &mut screen).unwrap();
        let expected = Fuzzed { runs: 5000, edges: 936, features: 3000, inputs: 500, ..Fuzzed::default() };
        assert_eq!(fuzzed, expected);
        assert_eq!(log, SAID.as_bytes());
        let screen = String::from_utf8(screen).unwrap();
        assert!(screen.contains("pulse") && screen.contains("panicked"), "{screen}");
        assert!(!screen.contains("NEW") && !screen.contains("REDUCE"), "{screen}");
    }

    #[test]
    fn a_finding_is_in_the_table() {
        let what = Fuzz { minutes: Some(2), runs: None, quick: false, targets: Vec::new() };
        let row = Fuzzed { runs: 7, found: true, ..Fuzzed::default() }.row("cookie", "today", &what);
        assert_eq!(row, "| cookie | today | 2 minutes | 7 | 0 | 0 | 0 | 0 | 1 |");
        let rows = BTreeMap::from([("cookie".to_owned(), row), ("a".to_owned(), "| a | b |".to_owned())]);
        assert_eq!(rows_of(&table(&rows)), rows, "the rows of targets that were not run stay");
    }

    #[test]
    fn one_limit_takes_the_place_of_both() {
        let fuzz = |minutes, runs, quick| Fuzz { minutes, runs, quick, targets: Vec::new() };
        let most = |minutes, runs, quick| fuzz(minutes, runs, quick).most();
        assert_eq!(fuzz(None, None, false).in_words(), "10 minutes or 10000000 runs");
        assert_eq!(fuzz(Some(2), None, false).in_words(), "2 minutes");
        assert_eq!(most(None, None, false), ["-max_total_time=600", "-runs=10000000"]);
        assert_eq!(most(Some(2), None, false), ["-max_total_time=120", "-runs=-1"]);
        assert_eq!(most(None, Some(5), false), ["-max_total_time=0", "-runs=5"]);
        assert_eq!(most(None, None, true), ["-max_total_time=30", "-runs=-1"]);
    }

    #[test]
    fn the_targets_are_those_that_are_built() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|target| manifest.contains(&format!("name = \"{target}\""))));
    }
}
