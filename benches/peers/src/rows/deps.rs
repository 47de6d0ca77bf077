//! `deps`: how many crates each brings into a program, on this platform. What only helps the compiler is counted beside.

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
    let (mut sides, mut counted) = (Vec::new(), Vec::new());
    for library in ALL {
        let program = Program::new(library)?;
        sides.push(Measured::counted(library.role, library.name, program.crates()? as f64));
        // Of a handful of names, once.
        counted.push((&*format!("with macros: {}", library.name).leak(), program.crates_and_macros()? as f64));
    }
    let core = Program::new(CORE)?;
    counted.push((IN_CORE, core.crates()? as f64));
    counted.push(("with macros: in core", core.crates_and_macros()? as f64));
    Ok(Outcome { sides, counted, ..Outcome::default() })
}
