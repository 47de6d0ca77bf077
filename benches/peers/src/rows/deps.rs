//! `deps`: how many crates each brings along, on this platform, at run time.

use crate::{
    Result,
    manifests::{ALL, CORE, Program},
    rounds::{Measured, Rounds},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
};

const IN_CORE: &str = "in core";

pub(crate) fn row() -> Row {
    Row {
        id: "deps",
        work: "crates in the tree, default features",
        unit: Unit::Count,
        goals: vec![Goal(Of::Counted(IN_CORE), Bound::Most(30.0)), Goal(Of::BeyondLimit, Bound::Most(25.0))],
        run: Box::new(run),
    }
}

fn run(_: &Rounds) -> Result<Outcome> {
    let mut sides = Vec::new();
    for library in ALL {
        let crates = Program::new(library)?.crates()?;
        sides.push(Measured::counted(library.role, library.name, crates as f64));
    }
    let core = Program::new(CORE)?.crates()?;
    Ok(Outcome { sides, counted: vec![(IN_CORE, core as f64)], ..Outcome::default() })
}
