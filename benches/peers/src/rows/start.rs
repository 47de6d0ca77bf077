//! `start`: `wix-visitor token` with a valid token in SQLite, from the start of the process to its end, and `sqlite3` that reads the
//! same row. The limit is the same program, which prints its version and no more.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Result,
    endpoint::{Answers, Endpoint},
    processors::{ON_ONE, OneProcessor},
    program::{root, stdout_of},
    rounds::{Rounds, Side, middle, ratio},
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
    let version = || {
        let mut command = Command::new(&program);
        command.arg("--version");
        command
    };
    let sqlite = |query: &str| {
        let mut command = Command::new("sqlite3");
        command.arg(&database).arg(query);
        command
    };
    // The first one makes the visitor, whose row is the only one.
    let token = stdout_of(&mut ours())?;
    let key = stdout_of(&mut sqlite("SELECT key FROM records"))?;
    let row = format!("SELECT hex(etag), bytes, keep_until, crc FROM records WHERE key = '{}'", key.trim());
    if !stdout_of(&mut sqlite(&row))?.contains(token.trim()) {
        return Err("sqlite3 does not see the token".into());
    }
    let times = if rounds.quick { 20 } else { 50 };
    let measured = || {
        let peer = Side::peer("sqlite3", || milliseconds(times, || sqlite(&row)));
        let alone = Side::limit("our program, which prints its version and no more", || milliseconds(times, version));
        rounds.alternate(vec![Side::ours(|| milliseconds(times, ours)), alone, peer])
    };
    let sides = measured()?;
    let _held = OneProcessor::hold()?;
    Ok(Outcome { counted: vec![(ON_ONE, ratio(&measured()?))], sides, ..Outcome::default() })
}

/// The command, with its default features, as it is released.
fn built() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--locked", "--package", "wix-visitor-cli"]).current_dir(root());
    stdout_of(&mut command)?;
    Ok(root().join("target/release/wix-visitor"))
}

/// Of the middle one of several runs.
fn milliseconds(times: usize, command: impl Fn() -> Command) -> Result<f64> {
    let mut runs = Vec::with_capacity(times);
    for _ in 0..times {
        let mut command = command();
        let start = Instant::now();
        let status = command.stdout(Stdio::null()).status()?;
        runs.push(start.elapsed().as_secs_f64() * 1e3);
        if !status.success() {
            return Err(format!("{} failed ({status})", command.get_program().to_string_lossy()).into());
        }
    }
    Ok(middle(runs))
}
