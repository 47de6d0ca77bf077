//! `file-swap`: durable swaps in files, one at a time. The peer compares nothing, keeps one visitor, and is not durable: it does not wait
//! for the disk.
//!
//! The limit is the system calls by which a file is replaced for good, and nothing between them: a lock, a look at what stands, a new file
//! that is written and waited for, its new name, and the wait for its folder. Our store writes into the half of a file that is blank and
//! waits once, so it is held against the calls of that too, in rounds of their own: a lock, a look, a write, a wait, and a half made blank.
//! What is missing of them is the thread that is asked, a second lock, and what makes sure whose files they are. What the flow does before
//! a grant, taking up room, is in none of them.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
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
        work: "files: durable compare and exchange, one at a time (the peer is not durable; the limit makes a new file and renames it, \
               and waits for the disk twice, where ours writes in place and waits once)",
        unit: Unit::PerSecond,
        goals: vec![Goal(Of::Limit, Bound::Least(0.85))],
        run: Box::new(run),
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let rounds = &rounds.finer(3);
    let (runtime, folder) = (server_runtime()?, scratch::folder()?);
    let tasks = Tasks { in_flight: 1, visitors: VISITORS, batch: 1, time: rounds.time };
    let ours = runtime.block_on(async {
        let store = FileOptions::new(folder.path().join("ours")).timeout(PATIENCE).open().await?;
        // Made by the round that warms up, one at a time too: many at once would leave many threads behind, who take turns ever after.
        Kept::new(store, VISITORS).await
    })?;
    let token = "x".repeat(ours.record.len());
    let peer = runtime.block_on(yup_on_disk::authenticator(&folder.path().join("theirs.json"), token))?;
    let folders = |name: &str| -> Result<Vec<PathBuf>> {
        let folders: Vec<_> = (0..VISITORS).map(|n| folder.path().join(name).join(n.to_string())).collect();
        folders.iter().try_for_each(fs::create_dir_all)?;
        Ok(folders)
    };
    let (replacing, in_place) = (folders("replacing")?, folders("in place")?);
    let alone = |name, folders: &[PathBuf], swap: fn(&Path, &[u8]) -> Result| {
        let (folders, record) = (folders.to_vec(), ours.record.clone());
        let (tasks, runtime) = (&tasks, &runtime);
        Side::limit(name, move || {
            tasks.per_second(runtime, |mut turns| {
                let (folders, record) = (folders.clone(), record.clone());
                async move {
                    while let Some(n) = turns.next().await {
                        swap(&folders[n], &record)?;
                    }
                    Ok(())
                }
            })
        })
    };
    let ours_now = || Side::ours(|| tasks.per_second(&runtime, ours.swapping()));
    let sides = || {
        vec![
            ours_now(),
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
            alone("the system calls alone", &replacing, replace),
        ]
    };
    let measured = rounds.alternate(sides())?;
    let of_its_own = rounds.alternate(vec![ours_now(), alone("in place", &in_place, write_in_place)])?;
    let _held = OneProcessor::hold()?;
    let on_one = rounds.alternate(sides())?;
    let counted = vec![("× the limit, were that to write in place too", ratio(&of_its_own)), (ON_ONE, ratio(&on_one))];
    Ok(Outcome { sides: measured, counted, ..Outcome::default() })
}

fn replace(folder: &Path, record: &[u8]) -> Result {
    let lock = lock(folder)?;
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
    drop(lock);
    Ok(())
}

const HALF: usize = 4096;

fn write_in_place(folder: &Path, record: &[u8]) -> Result {
    let lock = lock(folder)?;
    let file = File::options().create(true).truncate(false).read(true).write(true).open(folder.join("record"))?;
    let mut standing = Vec::with_capacity(2 * HALF + 1);
    (&file).read_to_end(&mut standing)?;
    standing.resize(2 * HALF, 0);
    let [first, second] = [0, 1].map(|half| standing[half * HALF..][..record.len()] == *record);
    if first && second {
        return Err("what was written is in both halves".into());
    }
    let (next, last) = if first { (HALF, 0) } else { (0, HALF) };
    let write = |at: usize, bytes: &[u8]| {
        let mut half = bytes.to_vec();
        half.resize(HALF, 0);
        (&file).seek(SeekFrom::Start(at as u64))?;
        (&file).write_all(&half)
    };
    write(next, record)?;
    file.sync_data()?;
    write(last, &[])?;
    drop(lock);
    Ok(())
}

fn lock(folder: &Path) -> Result<File> {
    let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    lock.try_lock()?;
    Ok(lock)
}
