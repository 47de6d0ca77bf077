//! `cargo xtask prove`: holds the protocol against every interleaving of a small fleet, against long simulated ones, and against
//! real servers that fail.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;

use crate::{
    Result,
    run::{cargo, program, root, run, stdout_of},
    setup,
    workspace::Workspace,
};

/// What is proven, and how.
#[derive(Debug, Subcommand)]
pub(crate) enum Prove {
    /// Explore every interleaving of two and three instances under each fault and each pair, and note it in docs/guarantees.md.
    Model {
        /// Only what fits into a minute, without a report.
        #[arg(long)]
        quick: bool,
    },
    /// Let all that can befall Redis befall it a hundred times, and note in docs/guarantees.md what became of visitors.
    Failover {
        /// Three times each, without a report.
        #[arg(long)]
        quick: bool,
    },
    /// Run fleets in simulated time, with faults at random.
    Simulate {
        /// Handed on as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Proves it.
pub(crate) fn prove(what: &Prove) -> Result {
    match what {
        Prove::Model { quick } => model(*quick),
        Prove::Failover { quick } => failover(*quick),
        Prove::Simulate { arguments } => simulate(arguments),
    }
}

/// Redis' servers, alone, with Sentinels and as a Cluster, that fail. The report is written only where nobody was harmed.
fn failover(quick: bool) -> Result {
    setup::redis()?;
    let mut command = cargo("run");
    command.args(["--locked", "--release", "--package=wix-visitor-tests", "--features=redis", "--bin=failover", "--"]);
    if quick {
        return run(command.arg("3"));
    }
    let section = section("failover")?;
    let proven = proven()?;
    run(command.arg("100").arg(&section))?;
    note("failover", &proven, &section)
}

/// The simulation, which writes its own report.
pub(crate) fn simulate(arguments: &[OsString]) -> Result {
    release("wix-visitor-simulation", arguments)
}

/// The model check. Its report is written only where all is as promised.
pub(crate) fn model(quick: bool) -> Result {
    const PROOF: &str = "wix-visitor-proof";
    if quick {
        return release(PROOF, &["--quick".into()]);
    }
    let section = section("model")?;
    let proven = proven()?;
    release(PROOF, &["--report".into(), section.clone().into()])?;
    note("model", &proven, &section)
}

/// The file that a proof writes its report to.
fn section(name: &str) -> Result<PathBuf> {
    let folder = Workspace::load()?.target_directory.join("xtask");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{name}.md")))
}

/// Puts that report into the document.
fn note(name: &str, proven: &str, section: &Path) -> Result {
    let text = format!("{proven}\n\n{}", fs::read_to_string(section)?);
    write_section(&root().join("docs/guarantees.md"), name, &text)
}

fn release(package: &str, arguments: &[OsString]) -> Result {
    run(cargo("run").args(["--locked", "--release", "--package", package, "--"]).args(arguments))
}

/// Which version is being proven, and when.
fn proven() -> Result<String> {
    let date = stdout_of(program("date").args(["-u", "+%F"]))?;
    let commit = stdout_of(program("git").args(["rev-parse", "--short=12", "HEAD"]))?;
    let changed = stdout_of(program("git").args(["status", "--porcelain", "--", ":!docs/guarantees.md"]))?;
    let changed = if changed.is_empty() { "" } else { ", with changes not committed" };
    Ok(format!("{} · commit {}{changed}", date.trim(), commit.trim()))
}

/// Puts a text between the marks of this name.
fn write_section(file: &Path, name: &str, text: &str) -> Result {
    let old = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let around = old.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = around.ok_or_else(|| format!("{} has no {begin} and {end}", file.display()))?;
    fs::write(file, format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_nothing_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.md");
        fs::write(&file, "# A\n<!-- model:begin -->\nold\n<!-- model:end -->\nB\n<!-- other:begin -->\n").unwrap();
        for text in ["new\n", "newer"] {
            write_section(&file, "model", text).unwrap();
            let expected = format!(
                "# A\n<!-- model:begin -->\n\n{}\n\n<!-- model:end -->\nB\n<!-- other:begin -->\n",
                text.trim()
            );
            assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_without_the_marks_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.md");
        fs::write(&file, "<!-- model:end --> <!-- model:begin -->").unwrap();
        assert!(write_section(&file, "model", "new").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "<!-- model:end --> <!-- model:begin -->");
    }

    #[test]
    fn the_committed_file_has_the_marks() {
        let text = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
        for name in ["model", "failover"] {
            let [begin, end] = ["begin", "end"].map(|mark| text.find(&format!("<!-- {name}:{mark} -->")));
            assert!(begin.zip(end).is_some_and(|(begin, end)| begin < end), "{name}");
        }
    }
}
