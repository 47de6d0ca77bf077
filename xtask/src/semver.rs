//! `cargo xtask semver`: whether the version says what changed in public since a release.

use crate::{
    Result,
    run::{cargo, program, run},
    tools::{self, first_line},
    workspace::Workspace,
};

/// Compares the published libraries with those of an earlier commit: the latest release, unless told which.
pub(crate) fn check(workspace: &Workspace, baseline: Option<&str>) -> Result {
    let baseline = match baseline {
        Some(baseline) => baseline.to_owned(),
        None => first_line(program("git").args(["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]))
            .ok_or("no tag `v…` is an ancestor of this commit: say with what to compare, by `--baseline REV`")?,
    };
    tools::cargo_semver_checks()?;
    let mut checking = cargo("semver-checks");
    checking.args(["--baseline-rev", &baseline, "--all-features"]);
    for package in workspace.published().into_iter().filter(|package| package.is_library()) {
        checking.args(["--package", &package.name]);
    }
    run(&mut checking)
}
