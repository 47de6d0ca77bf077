//! `build`: how long a build from nothing takes, once each; with `--quick`, nobody waits for it.

use crate::{
    Result,
    manifests::{ALL, Program},
    rounds::{Measured, Role, Rounds},
    row::{Outcome, Row, Unit},
};

pub(crate) fn row() -> Row {
    Row {
        id: "build",
        work: "build from nothing, default features",
        unit: Unit::Seconds,
        goals: Vec::new(),
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    if rounds.quick {
        return Ok(vec![Measured::counted(Role::Ours, "wix-visitor", f64::NAN)].into());
    }
    let mut sides = Vec::new();
    for library in ALL {
        eprintln!("  building {}", library.name);
        let seconds = Program::new(library)?.build()?;
        sides.push(Measured::counted(library.role, library.name, seconds));
    }
    Ok(sides.into())
}
