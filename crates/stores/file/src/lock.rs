//! Turns among processes: a lock on a file that stands beside what it guards and is never renamed or removed.
//!
//! Two files, `turn` and `lock`. Who wants the lock first takes the turn, waits with it for the lock, and gives the turn back once
//! it has the lock. So who has just let go and wants the lock again stands behind whoever has the turn: of two busy processes
//! none gets more than its half, however short the moment in which the lock is free.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Instant;

use wix_visitor_core::StoreError;
use wix_visitor_local::{FileId, Pause, open_to_write};

use crate::error::{BACKEND, not_in_time};

/// Names of the two; nothing else in a directory has them.
pub(crate) const LOCK: &str = "lock";
pub(crate) const TURN: &str = "turn";

/// Held until it is dropped, or its process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "its drop is what it is for")] File);

impl Lock {
    /// Of this directory, waiting for others until `until` at the longest.
    pub(crate) fn take(directory: &Path, until: Instant) -> Result<Self, StoreError> {
        let _turn = wait_for(&directory.join(TURN), until)?;
        wait_for(&directory.join(LOCK), until).map(Self)
    }
}

fn wait_for(path: &Path, until: Instant) -> Result<File, StoreError> {
    let mut pause = Pause::default();
    let fail = |e| BACKEND.from_io("lock", path, e);
    let open = || {
        let (file, found) = open_to_write(path).map_err(fail)?;
        BACKEND.check_open(path, &file, &found).map(|()| (file, FileId::from(&found)))
    };
    let (mut file, mut opened) = open()?;
    loop {
        match file.try_lock() {
            Ok(()) => {
                // One that is no longer there guards nothing: others may have the one in its place.
                if FileId::of(path).is_ok_and(|found| found == opened) {
                    return Ok(file);
                }
                (file, opened) = open()?;
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
            Err(TryLockError::WouldBlock) => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(not_in_time());
        }
        thread::sleep(pause.draw().min(left));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(5)
    }

    #[test]
    fn one_has_it_and_the_next_one_when_it_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path(), soon()).unwrap();
        assert!(Lock::take(directory.path(), soon()).unwrap_err().is_transient());
        drop(first);
        Lock::take(directory.path(), soon()).unwrap();
    }

    #[test]
    fn who_just_had_it_stands_behind_whoever_waits() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path(), soon()).unwrap();
        let waiting = wait_for(&directory.path().join(TURN), soon()).unwrap();
        drop(first);
        assert!(Lock::take(directory.path(), soon()).is_err(), "the lock is free, but it is another's turn");
        drop(waiting);
        Lock::take(directory.path(), soon()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_was_removed_guards_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOCK);
        let (gone, _) = open_to_write(&path).unwrap();
        gone.try_lock().unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Lock::take(directory.path(), soon()).unwrap();
        assert!(Lock::take(directory.path(), soon()).is_err());
        drop(second);
    }
}
