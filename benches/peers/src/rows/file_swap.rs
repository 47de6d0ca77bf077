//! `file-swap`: durable swaps in files, one at a time. The peer compares nothing, keeps one visitor, and is not durable: it does not wait
//! for the disk.
//!
//! The limit is the system calls that a durable compare-and-exchange is made of, and nothing between them: a lock, a look at what
//! stands, a file that is written and waited for, its new name, and the wait for its folder.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
};

use wix_visitor_file::FileOptions;

use crate::{
    Result,
    peers::yup_on_disk,
    processors::{ON_ONE, OneProcessor},
    rounds::{Rounds, Side, ratio},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    scratch,
    tasks::{Tasks, server_runtime},
    visitors::{Kept, PATIENCE},
};

/// Each has a folder of its own, as nearly all of a thousand have.
const VISITORS: usize = 100;

pub(crate) fn row() -> Row {
    Row {
        id: "file-swap",
        work: "files: durable compare and exchange, one at a time (the peer is not durable)",
        unit: Unit::PerSecond,
        goals: vec![Goal(Of::Limit, Bound::Least(0.85))],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let rounds = &rounds.finer();
    let (runtime, folder) = (server_runtime()?, scratch::folder()?);
    let tasks = Tasks { in_flight: 1, visitors: VISITORS, batch: 1, time: rounds.time };
    let ours = runtime.block_on(async {
        let store = FileOptions::new(folder.path().join("ours")).timeout(PATIENCE).open().await?;
        // Made by the round that warms up, one at a time too: many at once would leave many threads behind, who take turns ever after.
        Kept::new(store, VISITORS).await
    })?;
    let token = "x".repeat(ours.record.len());
    let peer = runtime.block_on(yup_on_disk::authenticator(&folder.path().join("theirs.json"), token))?;
    let folders: Vec<_> = (0..VISITORS).map(|n| folder.path().join("limit").join(n.to_string())).collect();
    folders.iter().try_for_each(fs::create_dir_all)?;
    let sides = || {
        vec![
            Side::ours(|| tasks.per_second(&runtime, ours.swapping())),
            Side::peer("yup-oauth2, on disk", || {
                tasks.per_second(&runtime, |mut turns| {
                    let peer = peer.clone();
                    async move {
                        while turns.next().await.is_some() {
                            yup_on_disk::keep(&peer).await?;
                        }
                        Ok(())
                    }
                })
            }),
            Side::limit("the system calls alone", || {
                tasks.per_second(&runtime, |mut turns| {
                    let (folders, record) = (folders.clone(), ours.record.clone());
                    async move {
                        while let Some(n) = turns.next().await {
                            swap(&folders[n], &record)?;
                        }
                        Ok(())
                    }
                })
            }),
        ]
    };
    let measured = rounds.alternate(sides())?;
    let _held = OneProcessor::hold()?;
    let on_one = ratio(&rounds.alternate(sides())?);
    Ok(Outcome { sides: measured, counted: vec![(ON_ONE, on_one)], ..Outcome::default() })
}

fn swap(folder: &Path, record: &[u8]) -> Result {
    let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    lock.try_lock()?;
    let name = folder.join("record.json");
    let standing =
        fs::read(&name).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(Vec::new()) } else { Err(e) })?;
    if ![0, record.len()].contains(&standing.len()) {
        return Err("what was written is not there".into());
    }
    let staged = folder.join("record.new");
    let mut file = File::create(&staged)?;
    file.write_all(record)?;
    file.sync_all()?;
    fs::rename(&staged, name)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}
