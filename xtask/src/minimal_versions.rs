//! `cargo xtask minimal-versions`: whether the versions that our manifests ask for are honest. Users may have any from there on; the lock
//! file shows the newest ones alone.

use std::fs;

use crate::{Result, nightly, run::run, workspace::Workspace};

/// Builds the published crates with the lowest versions of their direct dependencies that they say are enough.
pub(crate) fn check(workspace: &Workspace) -> Result {
    nightly::install()?;
    let folder = workspace.target_directory.join("xtask/minimal-versions");
    fs::create_dir_all(&folder)?;
    // Beside the committed lock file, never in its place.
    let lock_file = folder.join("Cargo.lock");
    let _ = fs::remove_file(&lock_file);
    let cargo = |subcommand| {
        let mut command = nightly::cargo(subcommand, workspace);
        command.env("CARGO_RESOLVER_LOCKFILE_PATH", &lock_file);
        command
    };
    let mut checking = cargo("check");
    checking.args(["--locked", "--all-features"]);
    checking.args(workspace.published().iter().flat_map(|package| ["--package", &package.name]));
    run(cargo("generate-lockfile").args(["-Z", "direct-minimal-versions"])).and_then(|()| run(&mut checking)).map_err(
        |error| {
            format!(
                "{error}: raise what the workspace's Cargo.toml asks for, to the version that has what we use and others ask for"
            )
            .into()
        },
    )
}
