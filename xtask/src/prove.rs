//! `cargo xtask prove`: holds the protocol against every interleaving of a small fleet and against long simulated ones, and the
//! stores against `kill -9`.

use std::{ffi::OsString, fs, path::Path};

use clap::Subcommand;

use crate::{
    Result,
    run::{cargo, program, root, run, stdout_of},
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
    /// Kill processes that write to a file or an SQLite store 1,000 times each, and note it in docs/guarantees.md.
    Kill {
        /// Only 50 times each, without a report.
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
        Prove::Kill { quick } => kill(*quick),
        Prove::Simulate { arguments } => simulate(arguments),
    }
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
    reported("model", |section| release(PROOF, &["--report".into(), section.into()]))
}

/// The kills, in the suite that also makes a few of them at every run.
fn kill(quick: bool) -> Result {
    let mut killing = cargo("test");
    killing.args(["--locked", "--release", "--package=wix-visitor-tests", "--test=store_processes"]);
    // One store after the other, and what comes of it while it does.
    killing.args(["--", "killed_at_any_moment", "--nocapture", "--test-threads=1"]);
    if quick {
        return run(&mut killing);
    }
    reported("kill", |section| {
        fs::write(section, "| store | kills | acknowledged writes | torn | lost |\n| --- | --- | --- | --- | --- |\n")?;
        run(killing.env("WIX_VISITOR_KILLS", "1000").env("WIX_VISITOR_KILLS_REPORT", section))?;
        all_are_there(&fs::read_to_string(section)?)
    })
}

/// A suite that ran nothing, since its tests have other names by now, is no proof.
fn all_are_there(table: &str) -> Result {
    match ["file", "sqlite"].iter().find(|store| !table.contains(&format!("| {store} |"))) {
        Some(store) => Err(format!("nothing was noted of the {store} store").into()),
        None => Ok(()),
    }
}

/// Proves something that writes its report to a file, and puts that into the guarantees.
fn reported(name: &str, prove: impl FnOnce(&Path) -> Result) -> Result {
    let folder = Workspace::load()?.target_directory.join("xtask");
    fs::create_dir_all(&folder)?;
    let section = folder.join(name).with_extension("md");
    let proven = proven()?;
    prove(&section)?;
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
        for name in ["model", "kill"] {
            assert!(text.contains(&format!("<!-- {name}:begin -->")) && text.contains(&format!("<!-- {name}:end -->")));
        }
    }

    #[test]
    fn a_store_of_which_nothing_was_noted_is_an_error() {
        assert!(all_are_there("| sqlite | 1 |\n| file | 1 |").is_ok());
        assert!(all_are_there("| file | 1 |").unwrap_err().to_string().contains("sqlite"));
    }
}
