//! `start`: `wix-visitor token` with a valid token in SQLite, from the start of the process to its end, and `sqlite3` that reads the
//! same row.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Result,
    endpoint::{Answers, Endpoint},
    program::{root, stdout_of},
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
};

pub(crate) fn row() -> Row {
    Row {
        id: "start",
        work: "`wix-visitor token`, valid token in SQLite",
        unit: Unit::Milliseconds,
        goals: vec![Goal(Of::Peer, Bound::Most(1.5))],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let program = built()?;
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("visitors.db");
    let endpoint = Endpoint::start()?;
    let ours = || {
        let mut command = Command::new(&program);
        command
            .args(["--client-id", "00000000-0000-4000-8000-000000000000"])
            .args(["--api-url", &endpoint.url("start", Answers::AT_ONCE)])
            .args(["--store", &format!("sqlite:{}", database.display())])
            .arg("token");
        command
    };
    let sqlite = || {
        let mut command = Command::new("sqlite3");
        command
            .arg(&database)
            .arg("SELECT etag, bytes, keep_until, crc FROM records WHERE key = (SELECT key FROM records)");
        command
    };
    // The first one makes the visitor.
    let token = stdout_of(&mut ours())?;
    if !stdout_of(&mut sqlite())?.contains(token.trim()) {
        return Err("sqlite3 does not see the token".into());
    }
    let times = if rounds.quick { 20 } else { 50 };
    let sides = vec![Side::ours(|| milliseconds(times, ours)), Side::peer("sqlite3", || milliseconds(times, sqlite))];
    Ok(rounds.alternate(sides)?.into())
}

/// The command, with its default features, as it is released.
fn built() -> Result<std::path::PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--locked", "--package", "wix-visitor-cli"]).current_dir(root());
    stdout_of(&mut command)?;
    Ok(root().join("target/release/wix-visitor"))
}

/// Of one run, on average.
fn milliseconds(times: u32, command: impl Fn() -> Command) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..times {
        let status = command().stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("{:?} failed ({status})", Path::new(command().get_program())).into());
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(times))
}
