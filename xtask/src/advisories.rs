//! Known vulnerabilities, where their database can be had.

use crate::{
    Result,
    run::{cargo, run},
    steps::Outcome,
};

/// Checks the advisories. A machine that cannot reach the database says so and goes on: it is no fault of the change.
pub(crate) fn check() -> Result<Outcome> {
    if run(cargo("deny").args(["--locked", "fetch", "db"])).is_err() {
        return Ok(Outcome::NotRun(
            "the advisory database cannot be had from here; run it where it can: `cargo deny check advisories`",
        ));
    }
    run(cargo("deny").args(["--locked", "check", "advisories"]))?;
    Ok(Outcome::Passed)
}
