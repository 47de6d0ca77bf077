//! `cargo xtask prove`: holds the protocol against every interleaving of a small fleet, against long simulated ones and against
//! very large ones, the stores against `kill -9`, moves and servers that fail, and the shop against all of that under load.

use std::{ffi::OsString, fs, path::Path};

use clap::Subcommand;

use crate::{
    Result,
    run::{cargo, root, run},
    section::{note, version_now},
    setup,
    test::load,
    workspace::Workspace,
};

pub(crate) const GUARANTEES: &str = "docs/guarantees.md";
/// Where its pictures are.
const PICTURES: &str = "docs";

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
    /// Let all that can befall Redis befall it a hundred times, and note in docs/guarantees.md what became of visitors.
    Failover {
        /// Three times each, without a report.
        #[arg(long)]
        quick: bool,
    },
    /// Let a million visitors have a day, and an endpoint an hour's outage; draw both, and note them in docs/guarantees.md.
    Fleet {
        /// 50,000 visitors, without a report.
        #[arg(long)]
        quick: bool,
    },
    /// Kill a primary a hundred times while visitors are minted, and note in docs/guarantees.md how many a failover replaces.
    Windows {
        /// Three times, without a report.
        #[arg(long)]
        quick: bool,
    },
    /// Move visitors from each store to each other while they are used, kill that a hundred times each, and note it in
    /// docs/guarantees.md.
    Migrate {
        /// Four times each, without a report.
        #[arg(long)]
        quick: bool,
    },
    /// Put two instances of the shop under load for ten minutes, kill one each minute, and note in docs/guarantees.md what became of
    /// 500 carts.
    Web {
        /// For 20 seconds, without a report.
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
        Prove::Failover { quick } => on_redis("failover", *quick, 3),
        Prove::Windows { quick } => on_redis("windows", *quick, 3),
        Prove::Migrate { quick } => on_redis("migrate", *quick, 4),
        Prove::Fleet { quick } => fleet(*quick),
        Prove::Web { quick } => web(*quick),
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
    killing.args(["--locked", "--package=wix-visitor-tests", "--test=store_processes"]);
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

/// What is done with real servers, by a program of that name: a hundred times, or so few.
fn on_redis(name: &str, quick: bool, few: u32) -> Result {
    setup::redis()?;
    let mut proving = cargo("run");
    proving.args(["--locked", "--package=wix-visitor-tests", "--features=redis", "--bin", name, "--"]);
    if quick {
        return run(proving.arg(few.to_string()));
    }
    reported(name, |section| run(proving.arg("100").arg(section)))
}

/// The shop under load, by real processes and a real load generator.
fn web(quick: bool) -> Result {
    setup::load()?;
    if quick {
        return run(&mut load(&["--seconds", "20"]));
    }
    reported("web", |section| run(load(&["--seconds", "600", "--report"]).arg(section)))
}

/// The day and the outage. The pictures are drawn at every full run, the report is written only where all is as promised.
pub(crate) fn fleet(quick: bool) -> Result {
    const FLEET: &str = "wix-visitor-fleet";
    if quick {
        return release(FLEET, &["--quick".into()]);
    }
    let pictures = root().join(PICTURES);
    reported("fleet", |section| {
        release(FLEET, &["--report".into(), section.into(), "--pictures".into(), pictures.into()])
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
    let version = version_now(GUARANTEES)?;
    prove(&section)?;
    note(GUARANTEES, name, &format!("{version}\n\n{}", fs::read_to_string(section)?))
}

fn release(package: &str, arguments: &[OsString]) -> Result {
    run(cargo("run").args(["--locked", "--release", "--package", package, "--"]).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_which_nothing_was_noted_is_an_error() {
        assert!(all_are_there("| sqlite | 1 |\n| file | 1 |").is_ok());
        assert!(all_are_there("| file | 1 |").unwrap_err().to_string().contains("sqlite"));
    }
}
