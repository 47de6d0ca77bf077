//! tower-sessions on SQLite: in a process of its own, since its SQLite and ours cannot be linked into one program.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use crate::{Result, rounds::Rounds};

/// The program `sqlx`, which measures when it is told to.
#[derive(Debug)]
pub(crate) struct Sqlx {
    child: Child,
    /// Its end ends the program.
    pipes: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Sqlx {
    /// As the documentation of the store says: with a pool as it comes. SQLite then waits for the disk at each save.
    pub(crate) fn as_it_comes(database: &Path, bytes: usize) -> Result<Self> {
        Self::start(database, "default", bytes)
    }

    /// As the documentation of sqlx says where durability is not a concern: a log, and no wait for the disk. What was saved last may be
    /// gone after a power loss.
    pub(crate) fn not_durable(database: &Path, bytes: usize) -> Result<Self> {
        Self::start(database, "wal", bytes)
    }

    fn start(database: &Path, how: &str, bytes: usize) -> Result<Self> {
        let mut child = Command::new(build()?)
            .arg(database)
            .args([how, &bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take().map(BufReader::new));
        Ok(Self { child, pipes: Mutex::new(pipes) })
    }

    fn ask(&self, line: &str) -> Result<f64> {
        let ended = "the program sqlx has ended";
        let mut pipes = self.pipes.lock().map_err(|_| ended)?;
        let (questions, answers) = pipes.as_mut().ok_or(ended)?;
        writeln!(questions, "{line}")?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        answer.trim().parse().map_err(|_| ended.into())
    }

    /// Makes the sessions from the one to the other.
    pub(crate) fn fill(&self, from: usize, to: usize) -> Result {
        self.ask(&format!("fill {from} {to}")).map(drop)
    }

    /// Loads a second.
    pub(crate) fn loads(&self, in_flight: usize, visitors: usize, rounds: &Rounds) -> Result<f64> {
        self.ask(&format!("load {in_flight} {visitors} {}", rounds.time.as_millis()))
    }

    /// Saves a second.
    pub(crate) fn saves(&self, in_flight: usize, visitors: usize, rounds: &Rounds) -> Result<f64> {
        self.ask(&format!("save {in_flight} {visitors} {}", rounds.time.as_millis()))
    }

    /// How long one load among so many takes, in nanoseconds.
    pub(crate) fn middle_load(&self, visitors: usize) -> Result<f64> {
        self.ask(&format!("middle {visitors}"))
    }
}

impl Drop for Sqlx {
    fn drop(&mut self) {
        // Nobody else is left who could have it; and one that has ended by itself is as good.
        if let Ok(pipes) = self.pipes.get_mut() {
            drop(pipes.take());
        }
        let _ = self.child.wait();
    }
}

/// Builds the program, if that was not done yet, and says where it is.
fn build() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("sqlx");
    let target = source.with_file_name("target").join("sqlx");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--release", "--manifest-path"]).arg(source.join("Cargo.toml"));
    let built = build.arg("--target-dir").arg(&target).stdout(Stdio::null()).status()?;
    if !built.success() {
        return Err("the peer in benches/peers/sqlx cannot be built".into());
    }
    Ok(target.join("release/wix-visitor-peers-sqlx"))
}
