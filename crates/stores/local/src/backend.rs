//! What goes wrong on the file system, in the name of the store it goes wrong for.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use wix_visitor_core::{StoreError, StoreErrorKind, Stored};

use crate::place::NO_FILE;

/// The store in whose name errors are made.
#[derive(Clone, Copy, Debug)]
pub struct Backend(pub &'static str);

impl Backend {
    /// An error of this store.
    pub fn error(self, kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
        StoreError::new(kind, self.0, message)
    }

    /// One that somebody has to set right.
    pub fn misconfigured(self, message: impl Into<String>) -> StoreError {
        self.error(StoreErrorKind::Misconfigured, message)
    }

    /// An error of the file system, met while `doing` something to a path.
    pub fn from_io(self, doing: &str, path: &Path, source: io::Error) -> StoreError {
        use io::ErrorKind::{
            AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
            QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => return self.is_a_link(path).with_source(source),
            // Of a pipe, say, a system tells no more than that there is no such device.
            Ok(found) if !found.is_file() && !found.is_dir() => {
                return self.misconfigured(format!("{} {NO_FILE}", path.display())).with_source(source);
            }
            _ => {}
        }
        let kind = match source.kind() {
            QuotaExceeded | StorageFull => {
                return self.error(StoreErrorKind::Unavailable, self.full(path.display())).with_source(source);
            }
            AlreadyExists | InvalidFilename | InvalidInput | IsADirectory | NotADirectory | NotFound
            | PermissionDenied | ReadOnlyFilesystem => StoreErrorKind::Misconfigured,
            _ => StoreErrorKind::Unavailable,
        };
        self.error(kind, format!("cannot {doing} {}: {source}", path.display())).with_source(source)
    }

    pub(crate) fn is_a_link(self, path: &Path) -> StoreError {
        self.misconfigured(format!("{} is a symbolic link; give the path of what it leads to", path.display()))
    }

    /// What is said where the disk of this path is full.
    pub fn full(self, path: impl fmt::Display) -> String {
        format!("the disk of {path} is full: make room and try again; what is kept there is unharmed")
    }

    /// A record that is larger than a store keeps.
    ///
    /// # Errors
    /// Of the kind *unsupported*.
    pub fn check_size(self, new: &Stored) -> Result<(), StoreError> {
        self.check_bytes(new.bytes.len())
    }

    /// A record of so many bytes, likewise.
    ///
    /// # Errors
    /// Of the kind *unsupported*.
    pub fn check_bytes(self, size: usize) -> Result<(), StoreError> {
        if size <= Stored::MAX_SEALED_BYTES {
            return Ok(());
        }
        let message = format!("a record of {size} bytes is larger than the {} a store keeps", Stored::MAX_BYTES);
        Err(self.error(StoreErrorKind::Unsupported, message))
    }

    /// There is nothing to run on.
    pub fn no_runtime(self) -> StoreError {
        self.misconfigured("there is no tokio runtime here: open and use the store within one")
    }

    /// A write that was begun, and whose end was not seen.
    pub fn unfinished(self, how: &str) -> StoreError {
        let message = format!("a write {how}: it may have been applied; repeating it is safe");
        self.error(StoreErrorKind::Unknown, message)
    }
}
