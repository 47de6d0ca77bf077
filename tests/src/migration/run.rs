//! One run of `wix-visitor migrate`, until it ends or is ended.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinHandle;
use wix_visitor_core::housekeeping::{Housekeeper, Migrated};
use wix_visitor_core::{KeyRing, PlainRecords, SealedStore, TokenStore};
use wix_visitor_testkit::ledger::note_secret;

use super::place::Place;
use super::tally::Shared;
use crate::command::wix_visitor;
use crate::process::Process;

/// How often a run is looked at.
const EVERY: Duration = Duration::from_millis(1);
/// A run that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(120);
/// How many runs in a row may find that a store does not answer.
const TRIES: u32 = 5;
/// How that is said.
const NO_ANSWER: &str = " store is unavailable: ";

/// How many letters a sealing key has.
const KEY: usize = 43;

/// A ring of sealing keys, in its file.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    file: PathBuf,
    ring: KeyRing,
}

impl Ring {
    /// A new one, in this file.
    pub(super) fn generate(file: PathBuf) -> Result<Self, String> {
        let made = command().arg("--keys").arg(&file).args(["keys", "generate"]).output();
        let made = made.map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("keys generate: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        text.split_whitespace().filter(|word| word.len() == KEY).for_each(note_secret);
        let ring = KeyRing::from_text(&text).map_err(|error| error.to_string())?;
        Ok(Self { file, ring })
    }
}

/// A store that is moved from or to, plain or sealed.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) place: Place,
    pub(super) ring: Option<Ring>,
}

impl Side {
    /// As an instance has it.
    pub(super) async fn open(&self) -> Result<Arc<dyn TokenStore>, String> {
        let store = self.place.open().await?;
        Ok(match &self.ring {
            Some(Ring { ring, .. }) => Arc::new(SealedStore::new(store, ring.clone())),
            None => store,
        })
    }

    async fn housekeeper(&self) -> Result<Housekeeper, String> {
        let housekeeper = Housekeeper::new(self.place.open().await?);
        Ok(match &self.ring {
            Some(Ring { ring, .. }) => housekeeper.sealed(ring.clone(), PlainRecords::Read),
            None => housekeeper,
        })
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// As it was to.
    Killed,
    /// By itself, with everything done.
    Told(Told),
    /// By itself: a store did not answer.
    GaveUp,
}

/// What a run that came to its end says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) copied: u64,
    pub(super) updated: u64,
    pub(super) there: u64,
    pub(super) verified: bool,
    pub(super) took: Duration,
}

/// From one store to another.
#[derive(Clone, Debug)]
pub(super) struct Migration {
    pub(super) from: Side,
    pub(super) to: Side,
    /// For what a run has to say.
    pub(super) directory: PathBuf,
}

impl Migration {
    /// A run that may take its time. Where it gives up, it is begun again, as it says itself.
    pub(super) async fn whole(&self, tally: &Shared) -> Result<Told, String> {
        for _ in 0..TRIES {
            match self.start()?.until(LONGEST).await? {
                Ended::Told(told) => return Ok(told),
                Ended::GaveUp => tally.lock().gave_up += 1,
                Ended::Killed => return Err(format!("a run took more than {LONGEST:?}")),
            }
        }
        Err(format!("{TRIES} runs in a row gave up"))
    }

    /// A run that is killed at this moment, if it has not ended before.
    pub(super) async fn killed_at(&self, moment: Duration) -> Result<Ended, String> {
        self.start()?.until(moment).await
    }

    fn start(&self) -> Result<Run, String> {
        let begun = Instant::now();
        let stderr = self.directory.join("stderr");
        let what = if self.from.place.is_in_memory() || self.to.place.is_in_memory() {
            let (from, to) = (self.from.clone(), self.to.clone());
            What::Task(tokio::spawn(async move {
                let (housekeeper, to) = (from.housekeeper().await?, to.open().await?);
                housekeeper.migrate(to).await.map_err(|error| error.to_string())
            }))
        } else {
            let mut command = command();
            if let Some(Ring { file, .. }) = &self.to.ring {
                command.arg("--keys").arg(file);
                if self.from.ring.is_none() {
                    command.args(["--plain-records", "read"]);
                }
            }
            command.args(["--json", "migrate", "--from", &self.from.place.url, "--to", &self.to.place.url]);
            if let Some(Ring { file, .. }) = &self.from.ring {
                command.arg("--from-keys").arg(file);
            }
            command.stdout(Stdio::piped()).stderr(File::create(&stderr).map_err(|error| error.to_string())?);
            What::Process(Process::spawn(&mut command, &self.directory))
        };
        Ok(Run { begun, what, stderr })
    }
}

struct Run {
    begun: Instant,
    what: What,
    stderr: PathBuf,
}

enum What {
    Process(Process),
    Task(JoinHandle<Result<Migrated, String>>),
}

impl Run {
    async fn until(mut self, moment: Duration) -> Result<Ended, String> {
        while !self.has_ended() {
            match moment.checked_sub(self.begun.elapsed()) {
                Some(left) => tokio::time::sleep(left.min(EVERY)).await,
                None => return self.kill().await,
            }
        }
        self.told().await
    }

    fn has_ended(&mut self) -> bool {
        match &mut self.what {
            What::Process(process) => process.has_ended(),
            What::Task(task) => task.is_finished(),
        }
    }

    /// It may have ended between our look and this.
    async fn kill(mut self) -> Result<Ended, String> {
        match &mut self.what {
            What::Process(process) => {
                process.signal(Signal::KILL);
                let status = loop {
                    match process.status() {
                        Some(status) => break status,
                        None => tokio::time::sleep(EVERY).await,
                    }
                };
                if status.signal() == Some(Signal::KILL.as_raw()) { Ok(Ended::Killed) } else { self.told().await }
            }
            What::Task(task) => {
                task.abort();
                match task.await {
                    Err(error) if error.is_cancelled() => Ok(Ended::Killed),
                    ended => told(ended, self.begun.elapsed()),
                }
            }
        }
    }

    async fn told(self) -> Result<Ended, String> {
        let took = self.begun.elapsed();
        match self.what {
            What::Process(process) => said(process, &self.stderr, took),
            What::Task(task) => told(task.await, took),
        }
    }
}

fn told(ended: Result<Result<Migrated, String>, tokio::task::JoinError>, took: Duration) -> Result<Ended, String> {
    let done = match ended.map_err(|error| error.to_string())? {
        Err(error) if error.contains(NO_ANSWER) => return Ok(Ended::GaveUp),
        done => done?,
    };
    if let Some((visitor, error)) = done.failed.first.first() {
        return Err(format!("a run passed {} records over; visitor {visitor}: {error}", done.failed.count));
    }
    let Migrated { copied, updated, there, .. } = done;
    Ok(Ended::Told(Told { copied, updated, there, verified: done.is_settled(), took }))
}

fn said(mut process: Process, stderr: &Path, took: Duration) -> Result<Ended, String> {
    let status = process.status().ok_or("it runs")?;
    let mut text = String::new();
    let mut stdout = process.stdout().ok_or("its stdout was read before")?;
    stdout.read_to_string(&mut text).map_err(|error| error.to_string())?;
    // Eight: all was brought over, and writers went on.
    if !matches!(status.code(), Some(0 | 8)) {
        let stderr = std::fs::read_to_string(stderr).unwrap_or_default();
        // Not so where it passed records over: those were tried for long.
        if stderr.lines().any(is_of_no_answer) {
            return Ok(Ended::GaveUp);
        }
        return Err(format!("a run failed ({status}): {stderr}"));
    }
    let said: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let number = |name: &str| said[name].as_u64().ok_or_else(|| format!("no {name} in {text}"));
    let verified = said["verified"] == true;
    let (copied, updated, there) = (number("copied")?, number("updated")?, number("there")?);
    Ok(Ended::Told(Told { copied, updated, there, verified, took }))
}

/// Whether this line is the error of a run that could not reach a store.
fn is_of_no_answer(line: &str) -> bool {
    let said: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    said["error"]["kind"] == "store" && said["error"]["message"].as_str().is_some_and(|text| text.contains(NO_ANSWER))
}

/// The command, with nothing said to it but by its arguments.
fn command() -> Command {
    let mut command = Command::new(wix_visitor());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WIX_")) {
        command.env_remove(name);
    }
    command
}
