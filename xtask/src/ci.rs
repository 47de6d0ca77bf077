//! `cargo xtask ci`: all that a change must pass. What is quick comes first.

use std::process::ExitCode;

use crate::{
    Result, advisories, api, arrows, features, instructions, msrv, prove, readme,
    run::{cargo, run, stdout_of},
    setup::setup,
    steps::Steps,
    test,
    workspace::Workspace,
};

/// Runs every step and tells how each went.
pub(crate) fn ci() -> ExitCode {
    let workspace = match Workspace::load() {
        Ok(workspace) => workspace,
        Err(error) => {
            println!("the workspace cannot be read: {error}\n0 passed, 1 failed");
            return ExitCode::FAILURE;
        }
    };
    let mut steps = Steps::default();
    steps.run("setup", setup);
    steps.run("lock files", lock_files);
    steps.run("formatting", || run(cargo("fmt").args(["--all", "--check"])));
    steps.run("README", readme::check);
    steps.run("arrows between crates", || arrows::check(&workspace));
    steps.run("rust-version", || msrv::check(&workspace));
    steps.run("bans, licences, sources", || {
        run(cargo("deny").args(["--locked", "--all-features", "check", "bans", "licenses", "sources"]))
    });
    steps.try_to_run("advisories", advisories::check);
    steps.run("clippy", || {
        run(cargo("clippy").args([
            "--locked",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]))
    });
    steps.run("features", || features::check(&workspace));
    steps.run("documentation", || {
        run(cargo("doc")
            .args(["--locked", "--workspace", "--all-features", "--no-deps", "--lib"])
            .env("RUSTDOCFLAGS", "-D warnings"))
    });
    // As docs.rs makes it, too.
    steps.run("public API", || api::check(&workspace, false));
    steps.run("tests", || {
        readme::run_test_command().map_err(|error| test::failures(&workspace).map_or(error, Into::into))
    });
    steps.run("model check", || prove::model(true));
    steps.run("simulation", || prove::simulate(&["--quick".into()]));
    steps.try_to_run("instructions", || instructions::check(&workspace, false));
    steps.run("fleet", || prove::fleet(true));
    steps.run("README's first command", || readme::run_main_command(&workspace.target_directory.join("xtask/readme")));
    steps.finish()
}

/// Of the workspaces that nothing here builds: what they depend on changes with ours.
fn lock_files() -> Result {
    for workspace in ["fuzz", "benches/peers", "benches/peers/sqlx"] {
        let manifest = format!("{workspace}/Cargo.toml");
        stdout_of(cargo("metadata").args(["--locked", "--format-version", "1", "--manifest-path", &manifest]))
            .map_err(|error| format!("{error}: run `cargo update --workspace --manifest-path {manifest}`"))?;
    }
    Ok(())
}
