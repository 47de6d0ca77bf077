//! Room on the disk, set aside before a grant is sent and given up when what it brought finds none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wix_visitor_local::{fill, open_to_write};

/// A file beside the database that only takes up room.
#[derive(Debug)]
pub(crate) struct Room(PathBuf);

impl Room {
    /// Enough for the log of a whole batch of usual records.
    const BYTES: usize = 1024 * 1024;

    pub(crate) fn beside(database: &Path) -> Self {
        let mut path = database.to_owned().into_os_string();
        path.push("-reserve");
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Sets the room aside, unless it is.
    pub(crate) fn keep(&self) -> io::Result<()> {
        if self.is_kept() {
            return Ok(());
        }
        let (mut file, _) = open_to_write(&self.0)?;
        fill(&mut file, Self::BYTES).inspect_err(|_| {
            // Half of it is of no use to us and may be to others.
            let _ = file.set_len(0);
        })
    }

    /// Gives it up; whether there was any.
    pub(crate) fn give_up(&self) -> bool {
        self.is_kept() && open_to_write(&self.0).and_then(|(file, _)| file.set_len(0)).is_ok()
    }

    fn is_kept(&self) -> bool {
        fs::symlink_metadata(&self.0).is_ok_and(|found| found.is_file() && found.len() == Self::BYTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_given_up_once_and_kept_again() {
        let directory = tempfile::tempdir().unwrap();
        let room = Room::beside(&directory.path().join("v.db"));
        assert!(!room.give_up());
        for _ in 0..2 {
            room.keep().unwrap();
            room.keep().unwrap();
            assert_eq!(fs::metadata(room.path()).unwrap().len(), 1024 * 1024);
            assert!(room.give_up());
            assert!(!room.give_up(), "nothing is left to give up");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_its_place_is_never_followed() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("other");
        fs::write(&other, "theirs").unwrap();
        let room = Room::beside(&directory.path().join("v.db"));
        std::os::unix::fs::symlink(&other, room.path()).unwrap();
        room.keep().unwrap_err();
        assert!(!room.give_up());
        assert_eq!(fs::read_to_string(other).unwrap(), "theirs");
    }
}
