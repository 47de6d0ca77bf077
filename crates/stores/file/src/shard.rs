//! Where a record's files are: in one of 4096 sub-directories, so that none holds too many, under names that say the key.

use std::fs::{self, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wix_visitor_core::{StoreError, StoreKey};
use wix_visitor_local::{FileId, fill, has_one_name, open_to_change, open_to_read, open_to_write};

use crate::error::BACKEND;
use crate::halves::{self, HALF};

/// How many there are: three hexadecimal digits.
pub(crate) const SHARDS: usize = 4096;

/// Which of them is a key's: evenly spread, whatever the keys look like.
pub(crate) fn number(key: &StoreKey) -> usize {
    let hash = Sha256::digest(key.as_str());
    usize::from(hash[0]) << 4 | usize::from(hash[1]) >> 4
}

/// The places of one record.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) directory: PathBuf,
    /// What is read.
    pub(crate) record: PathBuf,
    /// A new file, written by the holder of the lock alone, before it becomes the record; or room for one. Always the same name: so a
    /// crash leaves one at the most, and the next write takes it.
    pub(crate) staged: PathBuf,
}

impl Places {
    pub(crate) fn of(root: &Path, key: &StoreKey) -> Self {
        let directory = root.join(format!("{:03x}", number(key)));
        // No key has an underscore. The first letters are for the systems on which no file may be called `con` or `nul`.
        let name = key.as_str().replace('/', "_");
        let (record, staged) = (format!("v-{name}.json"), format!("v-{name}.new"));
        Self { record: directory.join(record), staged: directory.join(staged), directory }
    }

    /// Whose record a file of this name is, if it is one.
    pub(crate) fn key_of(name: &str) -> Option<StoreKey> {
        let key = name.strip_prefix("v-")?.strip_suffix(".json")?;
        StoreKey::parse(&key.replace('_', "/")).ok()
    }

    /// What is in the file, for whoever has no lock: of two halves the one that is blank was looked at last. `None` if there is no file.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(Standing { mut file, mut content, .. }) = Standing::open(&self.record, open_to_read)? else {
            return Ok(None);
        };
        if let Some(first) = halves::first_if_blank(&mut content) {
            let looked = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(first));
            looked.map_err(|e| BACKEND.from_io("read", &self.record, e))?;
        }
        Ok(Some(content))
    }

    /// The file, for the holder of the lock; `None` if there is none.
    pub(crate) fn open(&self) -> Result<Option<Standing>, StoreError> {
        let mut may_write = true;
        let standing = Standing::open(&self.record, |path| {
            open_to_change(path).or_else(|e| {
                may_write = false;
                if e.kind() == io::ErrorKind::PermissionDenied { open_to_read(path) } else { Err(e) }
            })
        });
        Ok(standing?.map(|standing| Standing { may_change: may_write && standing.may_change, ..standing }))
    }

    /// Takes up room on the disk for the next write, unless it is taken up already.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), StoreError> {
        Staged::reserve(&self.staged, bytes).map(drop)
    }

    /// Gives back what was taken up for a write that needed none.
    pub(crate) fn give_up_room(&self) {
        // What stays is no harm: a later write takes it.
        let _ = fs::remove_file(&self.staged);
    }

    /// Writes what is to become the record over whatever the last crash or [`reserve`](Self::reserve) left in its place.
    pub(crate) fn stage(&self, content: &[u8], synced: bool) -> Result<Staged<'_>, StoreError> {
        Staged::write(&self.staged, content, synced)
    }
}

/// The file of a record that is there.
#[derive(Debug)]
pub(crate) struct Standing {
    file: fs::File,
    /// Cut where it is longer than any can be.
    pub(crate) content: Vec<u8>,
    /// Not if it may only be read, nor if it has another name too: that may be somebody's copy.
    pub(crate) may_change: bool,
    id: FileId,
}

impl Standing {
    pub(crate) fn open(
        path: &Path,
        open: impl FnOnce(&Path) -> io::Result<(fs::File, Metadata)>,
    ) -> Result<Option<Self>, StoreError> {
        let fail = |e| BACKEND.from_io("read", path, e);
        let (file, found) = match open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(fail)?,
        };
        BACKEND.check_open(path, &file, &found)?;
        // Room for it and one more, so that its end is seen at once.
        let room = usize::try_from(found.len()).unwrap_or(usize::MAX).min(halves::MAX_BYTES) + 1;
        let mut content = Vec::with_capacity(room);
        (&file).take(halves::MAX_BYTES as u64 + 1).read_to_end(&mut content).map_err(fail)?;
        Ok(Some(Self { file, content, may_change: has_one_name(&found), id: FileId::from(&found) }))
    }

    /// Whether it is still what has this name.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        FileId::of(path).is_ok_and(|found| found == self.id)
    }

    /// Writes a line into a half.
    pub(crate) fn write(&self, half: usize, line: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start((half * HALF) as u64))?;
        file.write_all(&halves::half(line))
    }

    /// Waits for the disk, and then makes the other half blank.
    pub(crate) fn settle(&self, half: usize, synced: bool) -> io::Result<()> {
        if synced {
            self.file.sync_data()?;
        }
        // Where that fails, the line counts as the later one, and is written once more by whoever comes next.
        let _ = self.write(1 - half, &[]);
        Ok(())
    }
}

/// What is to become a record.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    path: &'a Path,
    file: fs::File,
    /// Bytes that were there before.
    had: u64,
}

impl<'a> Staged<'a> {
    fn open(path: &'a Path) -> Result<Self, StoreError> {
        let fail = |e| BACKEND.from_io("write", path, e);
        let (file, found) = open_to_write(path).map_err(fail)?;
        BACKEND.check_open(path, &file, &found)?;
        Ok(Self { path, file, had: found.len() })
    }

    /// As large as that, whatever is in it.
    pub(crate) fn reserve(path: &'a Path, bytes: usize) -> Result<Self, StoreError> {
        let mut staged = Self::open(path)?;
        if staged.had < bytes as u64 {
            fill(&mut staged.file, bytes).map_err(|e| staged.fail("reserve room in", e))?;
        }
        Ok(staged)
    }

    pub(crate) fn write(path: &'a Path, content: &[u8], synced: bool) -> Result<Self, StoreError> {
        let mut staged = Self::open(path)?;
        let (file, length) = (&mut staged.file, content.len() as u64);
        // Cut only afterwards: what is given back first may be gone when it is needed.
        let written = file.write_all(content);
        let written = written.and_then(|()| if staged.had > length { file.set_len(length) } else { Ok(()) });
        let written = written.and_then(|()| if synced { file.sync_all() } else { Ok(()) });
        match written {
            Ok(()) => Ok(staged),
            Err(e) => Err(staged.fail("write", e)),
        }
    }

    /// Puts it in the place of another file, if there is one.
    pub(crate) fn put(&self, place: &Path) -> io::Result<()> {
        fs::rename(self.path, place).inspect_err(|_| self.discard())
    }

    /// Writes a little more into it, without waiting for the disk, and where that fails, not.
    pub(crate) fn mark(&mut self, at: usize, content: &[u8]) {
        let sought = self.file.seek(SeekFrom::Start(at as u64));
        let _ = sought.and_then(|_| self.file.write_all(content));
    }

    /// Gives its room back, unless that was taken up before.
    pub(crate) fn discard(&self) {
        if self.had == 0 {
            // What stays is no harm: the next write takes it.
            let _ = fs::remove_file(self.path);
        }
    }

    fn fail(&self, doing: &str, e: io::Error) -> StoreError {
        self.discard();
        BACKEND.from_io(doing, self.path, e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path, key: &str) -> Places {
        let places = Places::of(root, &StoreKey::parse(key).unwrap());
        fs::create_dir_all(&places.directory).unwrap();
        places
    }

    #[test]
    fn a_name_says_its_key_and_is_one_on_every_system() {
        let longest = "z".repeat(StoreKey::MAX_LEN);
        for key in ["0", "/", "-", "//-", "con", "nul", "com1", "site/1", "lock", "turn", &longest] {
            let places = Places::of(Path::new("root"), &StoreKey::parse(key).unwrap());
            let name = places.record.file_name().unwrap().to_str().unwrap();
            assert_eq!(Places::key_of(name).unwrap().as_str(), key);
            assert!(name.len() <= 255 && places.record.parent() == Some(&places.directory));
            let shard = places.directory.file_name().unwrap().to_str().unwrap();
            assert!(shard.len() == 3 && shard.bytes().all(|digit| digit.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn keys_are_spread_evenly() {
        let mut counts = vec![0; SHARDS];
        for n in 0..SHARDS * 16 {
            counts[number(&StoreKey::parse(&format!("site/{n}")).unwrap())] += 1;
        }
        assert!(counts.iter().all(|count| (1..=48).contains(count)));
    }

    #[test]
    fn room_that_was_set_aside_is_what_the_next_write_takes() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path(), "site/1");
        places.reserve(50_000).unwrap();
        let length = || fs::metadata(&places.staged).unwrap().len();
        assert!(length() >= 50_000);
        places.reserve(10).unwrap();
        assert!(length() >= 50_000);
        places.stage(b"given up", true).unwrap().discard();
        assert!(places.staged.exists(), "the room stays taken up");
        places.stage(b"new", true).unwrap().put(&places.record).unwrap();
        assert!(!places.staged.exists());
        assert_eq!(fs::read(&places.record).unwrap(), b"new");
        places.stage(b"given up", true).unwrap().discard();
        assert!(!places.staged.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_never_followed() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path(), "site/1");
        let other = root.path().join("other");
        fs::write(&other, "theirs").unwrap();
        for path in [&places.record, &places.staged] {
            std::os::unix::fs::symlink(&other, path).unwrap();
        }
        for error in [
            places.read().unwrap_err(),
            places.open().unwrap_err(),
            places.stage(b"x", true).unwrap_err(),
            places.reserve(9).unwrap_err(),
        ] {
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        assert_eq!(fs::read_to_string(other).unwrap(), "theirs");
    }
}
