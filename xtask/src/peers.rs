//! `cargo xtask bench`: ours, what users would pick instead, and the limit, measured in turns by the program in `benches/peers`.
//! `cargo xtask plots`: pictures of what it wrote.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use clap::Args;

use crate::{
    Result,
    bench::machine,
    run::{cargo, program, root, run, shown, stdout_of},
    section::{note, version_now},
    setup,
    tools::first_line,
};

const PERFORMANCE: &str = "docs/performance.md";
/// All that was measured in a full run, and where the pictures of it are.
pub(crate) const MEASURED: &str = "docs/performance.json";
const PICTURES: &str = "docs";
const WORKSPACE: &str = "benches/peers";
/// How the program ends where a goal is not met.
const MISSED: i32 = 3;

#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// Fewer and shorter rounds; nothing is written down.
    #[arg(long)]
    quick: bool,
    /// Where to write the same as JSON, one object to a line; a full run writes it to docs/performance.json unless another is named.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these rows, and nothing is written down; else all.
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
}

/// Measures; notes a full run in `docs/performance.md` and draws it, and fails if a goal is not met.
pub(crate) fn peers(Peers { quick, json, rows }: &Peers) -> Result {
    setup::peers()?;
    let version = version_now(PERFORMANCE)?;
    let folder = root().join(WORKSPACE);
    run(cargo("build").args(["--release", "--locked"]).current_dir(&folder))?;
    let full = !quick && rows.is_empty();
    let json = json.as_deref().or(full.then_some(Path::new(MEASURED)));
    let mut measuring = program(folder.join("target/release/wix-visitor-peers"));
    if *quick {
        measuring.arg("--quick");
    }
    if let Some(file) = json {
        measuring.arg("--json").arg(file);
    }
    measuring.args(rows).stderr(Stdio::inherit());
    println!("$ {}", shown(&measuring));
    let output = measuring.output()?;
    let table = String::from_utf8(output.stdout)?;
    println!("\n{table}");
    let missed = output.status.code() == Some(MISSED);
    if !output.status.success() && !missed {
        return Err(format!("it could not be measured ({})", output.status).into());
    }
    if let Some(json) = json.filter(|_| full) {
        note(PERFORMANCE, "table", &format!("{}\n\n{table}", measured(&version, &folder)?))?;
        plots(json)?;
    }
    if missed { Err("a goal is not met".into()) } else { Ok(()) }
}

/// Draws what a full run has measured.
pub(crate) fn plots(json: &Path) -> Result {
    let mut drawing = cargo("run");
    drawing
        .args(["--release", "--locked", "--bin=plots", "--manifest-path"])
        .arg(root().join(WORKSPACE).join("Cargo.toml"));
    run(drawing.arg("--").arg(json).arg(root().join(PICTURES)))
}

/// What was measured, and on what.
fn measured(version: &str, folder: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| gibibytes(&text));
    let memory = memory.map_or("memory unknown".to_owned(), |gibibytes| format!("{gibibytes} GiB"));
    let kernel = first_line(program("uname").arg("-sr")).unwrap_or_default();
    let rust = stdout_of(program("rustc").arg("--version"))?;
    let mut tree = cargo("tree");
    tree.args(["--locked", "--quiet", "--depth=1", "--edges=normal", "--prefix=none", "--format={p}"]);
    let mut versions = direct(&stdout_of(tree.current_dir(folder))?);
    versions.push(format!("@wix/sdk {}", sdk_version(&root().join("tests/sdk"))?));
    for name in ["node", "sqlite3", "redis-server"] {
        if let Some(version) = first_line(program(name).arg("--version")).as_deref().and_then(version_in) {
            versions.push(format!("{name} {version}"));
        }
    }
    Ok(format!(
        "{version} · {}, {cores} cores, {memory} · {kernel} · {}\n\nWith {}.",
        machine(),
        rust.trim(),
        versions.join(", ")
    ))
}

/// What the program depends on, apart from ours: `name version` each.
fn direct(tree: &str) -> Vec<String> {
    let lines = tree.lines().skip(1).filter(|line| !line.starts_with("wix-visitor"));
    lines.map(|line| line.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)").replace(" v", " ")).collect()
}

/// The first word that is a version: `3.40.1`, `v20.20.2` or `v=7.0.15`.
fn version_in(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().map(|word| word.trim_start_matches(['v', '=']));
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

fn sdk_version(folder: &Path) -> Result<String> {
    let file = folder.join("node_modules/@wix/sdk/package.json");
    let text = fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let package: serde_json::Value = serde_json::from_slice(&text)?;
    Ok(package["version"].as_str().unwrap_or("unknown").to_owned())
}

/// All that the machine has, rounded.
fn gibibytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kibibytes + (1 << 19)) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_depends_on_is_listed_without_what_is_ours() {
        let tree = "wix-visitor-peers v0.1.0 (/x)\nasync-trait v0.1.92 (proc-macro)\nmoka v0.12.16\nvalue v2.0.0 (*)\n\
                    wix-visitor-core v0.1.0 (/y)\n";
        assert_eq!(direct(tree), ["async-trait 0.1.92", "moka 0.12.16", "value 2.0.0"]);
    }

    #[test]
    fn a_version_is_found_in_each_programs_manner() {
        assert_eq!(version_in("v20.20.2"), Some("20.20.2"));
        assert_eq!(version_in("3.40.1 2022-12-28 14:03:47 df5c"), Some("3.40.1"));
        assert_eq!(version_in("Redis server v=7.0.15 sha=00000000:0"), Some("7.0.15"));
        assert_eq!(version_in("no version"), None);
    }

    #[test]
    fn memory_is_rounded_to_what_is_on_the_label() {
        assert_eq!(gibibytes("MemTotal:       24688292 kB\nMemFree: 1 kB\n"), Some(24));
        assert_eq!(gibibytes("MemFree: 1 kB"), None);
    }
}
