//! Where a store is: found, made, and checked.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use wix_visitor_core::StoreError;

use crate::backend::Backend;
use crate::private::{close_open_to_others, close_to_others, create_directory, is_own, sync_directory};

pub(crate) const NO_FILE: &str = "is not a regular file";

impl Backend {
    /// The path, absolute and without symbolic links, but for what it names itself. The directory that holds that is created if
    /// it is missing.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if there can be no such path.
    pub fn resolve(self, path: &Path) -> Result<PathBuf, StoreError> {
        if path.file_name().is_some() {
            self.create_directories(parent(path))?;
        }
        self.locate(path)
    }

    /// The same of a path whose directory is there, which is left as it is.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if there is no such directory.
    pub fn locate(self, path: &Path) -> Result<PathBuf, StoreError> {
        let find = |path: &Path| path.canonicalize().map_err(|e| self.from_io("find", path, e));
        let Some(name) = path.file_name() else { return find(path) };
        Ok(find(parent(path))?.join(name))
    }

    /// Creates a directory, and those it lies in, private and lasting, where they are missing.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create_directories(self, path: &Path) -> Result<(), StoreError> {
        // From the inside out as far as they may be ours, and then from the outside in. A path may be of any depth.
        let mut within = Vec::new();
        let mut path = path;
        loop {
            let found = match fs::metadata(path) {
                // Nor can what lies in it be named.
                Err(e) if matches!(e.kind(), io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput) => {
                    return Err(self.from_io("create the directory", path, e));
                }
                found => found.ok().filter(Metadata::is_dir),
            };
            let outermost = parent(path) == path;
            if found.as_ref().is_some_and(|found| outermost || !is_own(found)) {
                break;
            }
            within.push((path, found.is_some()));
            if outermost {
                break;
            }
            path = parent(path);
        }
        within.into_iter().rev().try_for_each(|(path, found)| self.create_one_directory(path, found))
    }

    fn create_one_directory(self, path: &Path, found: bool) -> Result<(), StoreError> {
        let parent = parent(path);
        if !found {
            match create_directory(path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
                other => other.map_err(|e| self.from_io("create the directory", path, e)),
            }?;
        }
        // Also if it was there: another process may have made it a moment ago, and not have come as far as this.
        match sync_directory(parent) {
            // Nor has whoever made it there. One that cannot be read cannot be saved by us, and was not made by us.
            Err(e) if found && e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other.map_err(|e| self.from_io("save the directory", parent, e)),
        }
    }

    /// Makes sure that a file is a file, is ours, and is closed to others. If there is none, that is fine.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is something else.
    pub fn check_file(self, path: &Path) -> Result<(), StoreError> {
        self.check(path, Metadata::is_file, NO_FILE)?;
        self.make_private(path)
    }

    /// Makes sure that a directory is a directory and is ours. If there is none, that is fine.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is something else.
    pub fn check_directory(self, path: &Path) -> Result<(), StoreError> {
        self.check(path, Metadata::is_dir, "is not a directory").map(drop)
    }

    /// The same, and closes it to others; whether there is one.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is something else.
    pub fn check_private_directory(self, path: &Path) -> Result<bool, StoreError> {
        match self.check(path, Metadata::is_dir, "is not a directory")? {
            Some(found) => {
                close_to_others(path, &found).map_err(|e| self.from_io("make private", path, e)).map(|()| true)
            }
            None => Ok(false),
        }
    }

    fn check(self, path: &Path, is_right: fn(&Metadata) -> bool, wrong: &str) -> Result<Option<Metadata>, StoreError> {
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.from_io("look at", path, e)),
            Ok(found) if found.is_symlink() => Err(self.is_a_link(path)),
            Ok(found) if !is_right(&found) => Err(self.misconfigured(format!("{} {wrong}", path.display()))),
            Ok(found) if !is_own(&found) => Err(self.foreign(path)),
            Ok(found) => Ok(Some(found)),
        }
    }

    /// Closes what is there to others.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn make_private(self, path: &Path) -> Result<(), StoreError> {
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            found => {
                found.and_then(|found| close_to_others(path, &found)).map_err(|e| self.from_io("make private", path, e))
            }
        }
    }

    /// Makes sure that what was opened, and found to be this, is a file of ours, and closes it to others.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is something else.
    pub fn check_open(self, path: &Path, file: &File, found: &Metadata) -> Result<(), StoreError> {
        if !found.is_file() {
            return Err(self.misconfigured(format!("{} {NO_FILE}", path.display())));
        }
        if !is_own(found) {
            return Err(self.foreign(path));
        }
        close_open_to_others(file, found).map_err(|e| self.from_io("make private", path, e))
    }

    fn foreign(self, path: &Path) -> StoreError {
        self.misconfigured(format!(
            "{} belongs to another user; run as that user, or choose another path",
            path.display()
        ))
    }

    /// Something that this process may not write, and has to.
    pub fn read_only(self, path: impl std::fmt::Display) -> StoreError {
        self.misconfigured(format!("{path} is read-only; let this process write it, or choose another path"))
    }

    /// Makes sure that a path still leads to the file that it led to.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, about the `store`, if it does not.
    pub fn check_same(self, path: &Path, file: FileId, store: &Path) -> Result<(), StoreError> {
        match FileId::of(path) {
            Ok(found) if found == file => Ok(()),
            Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(self.from_io("look at", path, e))
            }
            _ => Err(self.misconfigured(format!(
                "{} was removed or replaced while in use; put it back, or start again with what is there now",
                store.display()
            ))),
        }
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Which file a path leads to: device and inode.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(u64, u64);

#[cfg(unix)]
impl From<&Metadata> for FileId {
    fn from(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(found.dev(), found.ino())
    }
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId;

#[cfg(not(unix))]
impl From<&Metadata> for FileId {
    fn from(_: &Metadata) -> Self {
        Self
    }
}

impl FileId {
    /// Of what a path leads to, without following a link.
    ///
    /// # Errors
    /// If it leads nowhere.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|found| Self::from(&found))
    }
}
