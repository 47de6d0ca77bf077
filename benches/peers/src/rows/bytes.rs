//! `bytes`: what each of many visitors takes in memory, its two tokens with it.

use std::process::Command;

use crate::{
    Result,
    program::{sibling, stdout_of},
    rounds::{Measured, Role, Rounds},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
};

pub(crate) fn row() -> Row {
    Row {
        id: "bytes",
        work: "memory of a cached visitor, both tokens as long as Wix's",
        unit: Unit::Bytes,
        goals: vec![Goal(Of::BeyondLimit, Bound::Most(300.0))],
        run: Box::new(run),
    }
}

/// How long both are together, in `bin/counts.rs`.
const TOKENS: f64 = 1000.0 + 700.0;

fn run(_: &Rounds) -> Result<Outcome> {
    let counted = stdout_of(Command::new(sibling("counts")?).args(["bytes", "100000"]))?;
    let (ours, moka) = counted.trim().split_once(' ').ok_or("two numbers were expected")?;
    let sides = vec![
        Measured::counted(Role::Ours, "wix-visitor", ours.parse()?),
        Measured::counted(Role::Peer, "moka", moka.parse()?),
        Measured::counted(Role::Limit, "both tokens", TOKENS),
    ];
    Ok(sides.into())
}
