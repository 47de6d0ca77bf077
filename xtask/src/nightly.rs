//! The one nightly Rust that some checks need: what they ask of the compiler is not stable yet.

use std::{path::PathBuf, process::Command};

use crate::{
    Result,
    run::{program, run},
    tools::first_line,
    workspace::Workspace,
};

/// Pinned, so that a new one cannot turn a green change red. Its rustdoc writes the JSON that our version of `public-api` reads.
const NIGHTLY: &str = "nightly-2026-05-20";

/// The commits in it end on the day before.
const UP_TO: &str = "2026-05-19";

/// By which name rustup knows it.
pub(crate) fn name() -> &'static str {
    installed().unwrap_or(NIGHTLY)
}

/// By which name it is installed: its own, or that of the newest nightly of a machine where that is the same.
fn installed() -> Option<&'static str> {
    let is_it = |name: &str| {
        let version = first_line(program("rustup").args(["run", name, "rustc", "--version"]));
        version.is_some_and(|version| version.contains(UP_TO))
    };
    [NIGHTLY, "nightly"].into_iter().find(|name| is_it(name))
}

/// Makes sure that it is installed.
pub(crate) fn install() -> Result {
    if let Some(name) = installed() {
        println!("{NIGHTLY}: installed (as {name})");
        return Ok(());
    }
    println!("{NIGHTLY}: missing; installing it takes about a minute");
    run(program("rustup").args(["toolchain", "install", NIGHTLY, "--profile", "minimal"])).map_err(|error| {
        format!(
            "a nightly Rust is needed ({error}); with rustup, from https://rustup.rs, it is installed by: \
             rustup toolchain install {NIGHTLY} --profile minimal"
        )
        .into()
    })
}

/// Its cargo, with a target folder of its own, so that it and the Rust in use do not undo each other's work.
pub(crate) fn cargo(subcommand: &str, workspace: &Workspace) -> Command {
    let mut command = program("rustup");
    command.args(["run", name(), "cargo", subcommand]).env("CARGO_TARGET_DIR", target_directory(workspace));
    command
}

/// Where that is.
pub(crate) fn target_directory(workspace: &Workspace) -> PathBuf {
    workspace.target_directory.join("xtask/nightly")
}
