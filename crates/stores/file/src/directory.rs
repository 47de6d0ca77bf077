//! The directory: found or made, known again at each operation, and what is read and written in it.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use wix_visitor_core::{Etag, Exchange, StoreError, StoreErrorKind, StoreKey, Stored};
use wix_visitor_local::{Fate, FileId, create_directory, may_write, open_to_read, sync_directory};

use crate::error::{BACKEND, not_in_time};
use crate::halves::{self, Found, Other, Place};
use crate::lock::Lock;
use crate::marker;
use crate::record::{Draft, Record};
use crate::shard::{Places, SHARDS, Staged, Standing, number};

pub(crate) struct Directory {
    path: PathBuf,
    /// The file that marks it as ours. Held open, so that no other can get its number.
    marker: FileId,
    _open: File,
    shards: Box<[Known]>,
    synced: bool,
}

/// What is known of a sub-directory.
#[derive(Default)]
struct Known {
    /// It was there. If it is no longer, its visitors are lost.
    seen: AtomicBool,
    /// Its name is on the disk.
    saved: AtomicBool,
}

/// The file of a record, for the holder of the lock, and what is in it.
type Stood = (Standing, Result<Found, StoreError>);

/// A swap that is asked for.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(crate) key: StoreKey,
    pub(crate) expected: Option<Etag>,
    pub(crate) new: Stored,
    /// Milliseconds since 1970.
    pub(crate) keep_until: i64,
    pub(crate) until: Instant,
}

impl Directory {
    /// Checks the path, and makes it a directory of visitors if there is nothing there yet.
    pub(crate) fn prepare(path: &Path, synced: bool, until: Instant) -> Result<Self, StoreError> {
        if path.as_os_str().is_empty() {
            return Err(BACKEND.misconfigured("the path of the directory is empty"));
        }
        // What it names itself, also where a slash at its end would have a link followed.
        let path = BACKEND.resolve(&path.components().collect::<PathBuf>())?;
        BACKEND.check_directory(&path)?;
        BACKEND.create_directories(&path)?;
        if !may_write(&path) {
            return Err(BACKEND.read_only(path.display()));
        }
        if !marker::is_there(&path)? {
            // Others may be about to do the same: whatever else they make, the marker is there first.
            if let Err(e) = marker::check_empty(&path)
                && !marker::is_there(&path)?
            {
                return Err(e);
            }
            let _lock = Lock::take(&path, until)?;
            if !marker::is_there(&path)? {
                marker::put(&path)?;
            }
        }
        BACKEND.make_private(&path)?;
        let name = path.join(marker::NAME);
        let (open, found) = open_to_read(&name).map_err(|e| BACKEND.from_io("open", &name, e))?;
        let shards = (0..SHARDS).map(|_| Known::default()).collect();
        Ok(Self { path, marker: FileId::from(&found), _open: open, shards, synced })
    }

    /// Absolute, and without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to what was opened: a directory that was removed is not begun anew.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        BACKEND.check_same(&self.path.join(marker::NAME), self.marker, &self.path)
    }

    /// The record of a key.
    pub(crate) fn load(&self, key: &StoreKey, until: Instant) -> Result<Option<Stored>, StoreError> {
        self.check()?;
        let places = Places::of(&self.path, key);
        let found = if self.has(key, &places)? { self.read(key, &places, until)? } else { None };
        Ok(found.map(|record| record.stored))
    }

    /// Whether a key's sub-directory is there: ours alone, and still there if it ever was.
    fn has(&self, key: &StoreKey, places: &Places) -> Result<bool, StoreError> {
        let (shard, seen) = (&places.directory, &self.shards[number(key)].seen);
        let there = BACKEND.check_private_directory(shard)?;
        if there {
            seen.store(true, Ordering::Relaxed);
        } else if seen.load(Ordering::Relaxed) {
            return Err(BACKEND.misconfigured(format!(
                "{} was removed while in use, with all visitors in it; put it back, or start again with what is there now",
                shard.display()
            )));
        }
        Ok(there)
    }

    /// Makes sure that the sub-directory is there, and takes its lock.
    fn enter(&self, key: &StoreKey, places: &Places, until: Instant) -> Result<Lock, StoreError> {
        self.check()?;
        let (shard, saved) = (&places.directory, &self.shards[number(key)].saved);
        if !self.has(key, places)? {
            match create_directory(shard) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => BACKEND.check_directory(shard)?,
                other => other.map_err(|e| BACKEND.from_io("create the directory", shard, e))?,
            }
        }
        if !saved.load(Ordering::Relaxed) {
            // Also if another process made it: that one may not have come so far.
            self.save(&self.path)?;
            saved.store(true, Ordering::Relaxed);
        }
        Lock::take(shard, until)
    }

    pub(crate) fn save(&self, directory: &Path) -> Result<(), StoreError> {
        if !self.synced {
            return Ok(());
        }
        sync_directory(directory).map_err(|e| BACKEND.from_io("save the directory", directory, e))
    }

    /// Swaps, if the version that is expected stands.
    pub(crate) fn exchange(&self, swap: &Swap, fate: &Fate) -> Result<Exchange, StoreError> {
        let Swap { key, expected, new, keep_until, until } = swap;
        let draft = Draft::new(key, new, *keep_until)?;
        let places = Places::of(&self.path, key);
        let _lock = self.enter(key, &places, *until)?;
        let (standing, found) = match self.stand(key, &places)? {
            Some((standing, Ok(found))) if Some(found.record.stored.etag) == *expected => (Some(standing), Some(found)),
            // Who names what is damaged means to write over it.
            Some((_, Err(e))) if expected.is_some() && e.standing() == *expected => (None, None),
            Some((_, found)) => {
                let stored = found?.record.stored;
                if stored == *new {
                    // This very write, tried again: it is taken for done, so its name is to have reached the disk as well.
                    self.save(&places.directory)?;
                }
                return Ok(Exchange::Conflict(Some(stored)));
            }
            None if expected.is_some() => return Ok(Exchange::Conflict(None)),
            None => (None, None),
        };
        let line = draft.line(found.as_ref().map_or(0, |found| found.record.write).wrapping_add(1));
        match standing.zip(found).map(|(standing, found)| (standing, found.place)) {
            Some((standing, Place::Half(half, Other::Blank))) if standing.may_change && halves::fits(&line) => {
                self.write_into(&standing, 1 - half, line, &places, fate)
            }
            standing => {
                drop(standing);
                self.replace(halves::new_file(line), &places, fate)
            }
        }
    }

    /// For the holder of the lock: the record's file, and what is in it. What an earlier write left undone is done.
    fn stand(&self, key: &StoreKey, places: &Places) -> Result<Option<Stood>, StoreError> {
        let Some(standing) = places.open()? else { return Ok(None) };
        let mut found = halves::read(key, &standing.content);
        let Ok(Found { place: Place::Half(half, other), .. }) = &mut found else { return Ok(Some((standing, found))) };
        match other {
            Other::Blank => {}
            Other::Torn => {
                self.save(&places.directory)?;
                if standing.may_change && standing.write(1 - *half, &[]).is_ok() {
                    *other = Other::Blank;
                }
            }
            // Written once more: where the system failed to write it, a second wait alone would say nothing.
            Other::Earlier => {
                let line = &standing.content[*half * halves::HALF..][..halves::HALF];
                let again = || standing.write(*half, line).and_then(|()| standing.settle(*half, self.synced));
                if !standing.may_change || again().is_err() {
                    let content = halves::new_file([line.trim_ascii_end(), b"\n"].concat());
                    drop(standing);
                    self.replace(content, places, &Fate::default())?;
                    return self.stand(key, places);
                }
                *other = Other::Blank;
            }
        }
        Ok(Some((standing, found)))
    }

    /// The record in a sub-directory that is there. It takes no lock, unless a write passes, was left undone, or the record seems damaged.
    pub(crate) fn read(&self, key: &StoreKey, places: &Places, until: Instant) -> Result<Option<Record>, StoreError> {
        match places.read()?.map(|file| halves::read(key, &file)) {
            None => return Ok(None),
            Some(Ok(found)) if found.place.is_settled() => return Ok(Some(found.record)),
            Some(Err(e)) if e.kind() != StoreErrorKind::Corrupt => return Err(e),
            Some(_) => {}
        }
        let _lock = Lock::take(&places.directory, until)?;
        self.look(key, places)
    }

    /// The same for the holder of the lock.
    pub(crate) fn look(&self, key: &StoreKey, places: &Places) -> Result<Option<Record>, StoreError> {
        self.stand(key, places)?.map(|(_, found)| found.map(|found| found.record)).transpose()
    }

    /// Writes a record into the file that stands; into a new one, if that cannot be done.
    fn write_into(
        &self,
        standing: &Standing,
        blank: usize,
        line: Vec<u8>,
        places: &Places,
        fate: &Fate,
    ) -> Result<Exchange, StoreError> {
        // Only now: as long as nothing was written, it is certain that nothing was applied.
        if !fate.begin() {
            return Err(not_in_time());
        }
        let written = standing.write(blank, &line);
        let is_written = written.is_ok();
        match written.and_then(|()| standing.settle(blank, self.synced)) {
            Ok(()) if standing.is_at(&places.record) => {
                places.give_up_room();
                Ok(Exchange::Swapped)
            }
            Ok(()) => Err(BACKEND.unfinished("went into a file that was put aside meanwhile")),
            // There is no room for what is shared with a copy, say, but some was taken up for this write; or the disk does not take it.
            Err(e) => self.replace(halves::new_file(line), places, fate).map_err(|failed| {
                let taken_back = standing.write(blank, &[]).is_ok();
                let certain = !is_written && taken_back && nothing_was_done(&e);
                if certain { failed } else { BACKEND.unfinished("failed half way").with_source(failed) }
            }),
        }
    }

    /// Puts a new file in the place of the one that stands, if there is one.
    fn replace(&self, content: Vec<u8>, places: &Places, fate: &Fate) -> Result<Exchange, StoreError> {
        let mut staged = places.stage(&content, self.synced)?;
        // Likewise, as long as nothing was renamed.
        if !fate.begin() {
            staged.discard();
            return Err(not_in_time());
        }
        staged.put(&places.record).map_err(|e| put_failed(&places.record, e))?;
        self.save(&places.directory)
            .map_err(|e| BACKEND.unfinished("was not seen to reach the disk").with_source(e))?;
        if let Some((at, blank)) = halves::named(&content) {
            staged.mark(at, blank);
        }
        Ok(Exchange::Swapped)
    }

    /// Takes up room for the next write of a record of so many bytes.
    pub(crate) fn reserve(&self, key: &StoreKey, bytes: usize, until: Instant) -> Result<(), StoreError> {
        let places = Places::of(&self.path, key);
        let _lock = self.enter(key, &places, until)?;
        places.reserve(halves::file_bytes(bytes))
    }

    /// Whether a record of so many bytes could be written: tried, and taken away again.
    pub(crate) fn health(&self, key: &StoreKey, bytes: usize, until: Instant) -> Result<(), StoreError> {
        let places = Places::of(&self.path, key);
        let bytes = halves::file_bytes(bytes);
        self.check()?;
        if self.has(key, &places)? {
            let _lock = Lock::take(&places.directory, until)?;
            Staged::reserve(&places.staged, bytes).map(|staged| staged.discard())
        } else {
            // Nor is a sub-directory made for somebody who may never come.
            let _lock = Lock::take(&self.path, until)?;
            marker::try_out(&self.path, bytes)
        }
    }
}

fn put_failed(path: &Path, e: io::Error) -> StoreError {
    let certain = nothing_was_done(&e);
    let failed = BACKEND.from_io("replace", path, e);
    if certain { failed } else { BACKEND.unfinished("failed half way").with_source(failed) }
}

/// Some answers say for certain that nothing was done; of others, a network file system may have done it and lost the answer.
fn nothing_was_done(e: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    [IsADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull].contains(&e.kind())
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn swap(expected: Option<u128>, new: u128) -> Swap {
        Swap {
            key: StoreKey::parse("site/1").unwrap(),
            expected: expected.map(Etag::from_bits),
            new: Stored { etag: Etag::from_bits(new), bytes: vec![7; 100] },
            keep_until: 0,
            until: Instant::now() + Duration::from_secs(5),
        }
    }

    #[test]
    fn a_write_that_was_given_up_before_it_began_is_never_applied_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(root.path(), true, Instant::now() + Duration::from_secs(5)).unwrap();
        let (first, second) = (swap(None, 1), swap(Some(1), 2));
        assert_eq!(directory.exchange(&first, &Fate::default()).unwrap(), Exchange::Swapped);
        let fate = Fate::default();
        assert!(fate.abandon());
        let error = directory.exchange(&second, &fate).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(directory.load(&first.key, first.until).unwrap(), Some(first.new));
        assert!(!Places::of(directory.path(), &first.key).staged.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_into_a_file_whose_name_may_not_have_reached_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(root.path(), true, Instant::now() + Duration::from_secs(5)).unwrap();
        let exchange = |expected, new| directory.exchange(&swap(expected, new), &Fate::default()).unwrap();
        let path = Places::of(directory.path(), &swap(None, 1).key).record;
        let file = || FileId::of(&path).unwrap();
        assert_eq!(exchange(None, 1), Exchange::Swapped);
        let (first, named) = (file(), std::fs::read(&path).unwrap());
        assert_eq!(exchange(Some(1), 2), Exchange::Swapped);
        assert_eq!(file(), first);
        // As the first write leaves it if it is killed before its end.
        let mut unnamed = named;
        unnamed[halves::HALF] = b'\n';
        assert!(halves::named(&unnamed).is_some());
        for load_first in [true, false] {
            std::fs::write(&path, &unnamed).unwrap();
            if load_first {
                assert_eq!(directory.load(&swap(None, 1).key, swap(None, 1).until).unwrap(), Some(swap(None, 1).new));
                assert!(halves::named(&std::fs::read(&path).unwrap()).is_none(), "its name was waited for");
            }
            assert_eq!((exchange(Some(1), 3), file()), (Exchange::Swapped, first));
        }
    }

    #[test]
    fn what_may_not_have_reached_the_disk_is_written_once_more_before_anybody_is_told_of_it() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(root.path(), true, Instant::now() + Duration::from_secs(5)).unwrap();
        let exchange = |expected, new| directory.exchange(&swap(expected, new), &Fate::default()).unwrap();
        let (key, until) = (swap(None, 1).key, swap(None, 1).until);
        let path = Places::of(directory.path(), &key).record;
        exchange(None, 1);
        let first = std::fs::read(&path).unwrap();
        exchange(Some(1), 2);
        let second = std::fs::read(&path).unwrap();
        let own = || Exchange::Conflict(Some(swap(None, 2).new));
        for load_first in [true, false] {
            // As it is while the second write waits for the disk.
            let both = [&first[..halves::HALF], &second[halves::HALF..]].concat();
            std::fs::write(&path, both).unwrap();
            if load_first {
                assert_eq!(directory.load(&key, until).unwrap(), Some(swap(None, 2).new));
            } else {
                assert_eq!(exchange(Some(1), 2), own());
            }
            assert_eq!(std::fs::read(&path).unwrap(), second, "nothing is left of the first");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_written_into_is_replaced_and_where_that_fails_too_it_is_unknown() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(root.path(), true, Instant::now() + Duration::from_secs(5)).unwrap();
        let first = swap(None, 1);
        directory.exchange(&first, &Fate::default()).unwrap();
        let places = Places::of(directory.path(), &first.key);
        let id = || FileId::of(&places.record).unwrap();
        let write = |standing: &Standing, etag| {
            let new = Stored { etag: Etag::from_bits(etag), bytes: vec![7; 100] };
            let line = Draft::new(&first.key, &new, 0).unwrap().line(2);
            directory.write_into(standing, 1, line, &places, &Fate::default())
        };
        let etag = || directory.load(&first.key, first.until).unwrap().map(|stored| stored.etag.to_bits());
        // Opened to be read alone, it takes nothing, like a disk that fails.
        let open = || Standing::open(&places.record, open_to_read).unwrap().unwrap();
        let (before, standing) = (id(), open());
        assert_eq!(write(&standing, 2).unwrap(), Exchange::Swapped);
        assert_eq!((id() == before, etag()), (false, Some(2)));
        std::fs::create_dir(&places.staged).unwrap();
        assert_eq!(write(&open(), 3).unwrap_err().kind(), StoreErrorKind::Unknown);
        assert_eq!(etag(), Some(2));
        // One that was put aside meanwhile has it, and is put back with it.
        let standing = places.open().unwrap().unwrap();
        let aside = places.record.with_extension("aside");
        std::fs::rename(&places.record, &aside).unwrap();
        assert_eq!(write(&standing, 3).unwrap_err().kind(), StoreErrorKind::Unknown);
        std::fs::rename(&aside, &places.record).unwrap();
        assert_eq!(etag(), Some(3));
    }

    #[test]
    fn a_rename_that_failed_is_unknown_unless_it_is_certain_that_nothing_was_done() {
        let kind = |e: io::ErrorKind| put_failed(Path::new("v.json"), e.into()).kind();
        assert_eq!(kind(io::ErrorKind::StorageFull), StoreErrorKind::Unavailable);
        assert_eq!(kind(io::ErrorKind::ReadOnlyFilesystem), StoreErrorKind::Misconfigured);
        assert_eq!(kind(io::ErrorKind::TimedOut), StoreErrorKind::Unknown);
        assert_eq!(kind(io::ErrorKind::Other), StoreErrorKind::Unknown);
    }
}
