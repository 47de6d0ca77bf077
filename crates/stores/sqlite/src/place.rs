//! The database's place in the file system: checked, private, and the same file all along.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wix_visitor_core::{StoreError, StoreErrorKind};
use wix_visitor_local::{FileId, create_file, may_write};

use crate::error::BACKEND;

/// A file that is there, is ours, and may be opened.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    file: FileId,
}

impl Place {
    /// Checks the path, and creates file and directory if they are missing.
    pub(crate) fn prepare(path: &Path) -> Result<Self, StoreError> {
        check_name(path)?;
        // An absolute path also takes their special meaning from names that SQLite would interpret.
        let path = if fs::symlink_metadata(path).is_ok() {
            BACKEND.locate(path)?
        } else {
            let path = BACKEND.resolve(path)?;
            create(&path)?;
            path
        };
        for suffix in ["", "-wal", "-shm", "-journal", "-reserve"] {
            let mut side = path.clone().into_os_string();
            side.push(suffix);
            BACKEND.check_file(Path::new(&side))?;
        }
        check_rights(&path)?;
        check_length(&path)?;
        let file = FileId::of(&path).map_err(|e| BACKEND.from_io("look at", &path, e))?;
        Ok(Self { path, file })
    }

    /// Absolute, and without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the way to the file is on the disk: what is written into it would be lost with that. Another process may have
    /// made it a moment ago, so whoever is to write asks for it; whoever only reads need not.
    pub(crate) fn make_lasting(&self) -> Result<(), StoreError> {
        self.check()?;
        self.path.parent().map_or(Ok(()), |directory| BACKEND.create_directories(directory))
    }

    /// Whether the path still leads to the file that was opened. A database that was removed or replaced takes writes for as
    /// long as it is open, and has none of them when it is opened next.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        BACKEND.check_same(&self.path, self.file, &self.path)
    }
}

fn check_name(path: &Path) -> Result<(), StoreError> {
    let text = path.as_os_str().as_encoded_bytes();
    if text.is_empty() {
        return Err(BACKEND.misconfigured("the path of the database is empty"));
    }
    if text == b":memory:" {
        return Err(BACKEND.misconfigured("SQLite in memory would forget every visitor; say so with the memory store"));
    }
    let shown = path.display();
    if path.is_dir() || text.ends_with(b"/") {
        return Err(BACKEND.misconfigured(format!("{shown} is a directory; give the path of a file in it")));
    }
    if path.file_name().is_none() {
        return Err(BACKEND.misconfigured(format!("{shown} does not name a file")));
    }
    Ok(())
}

/// Creates the file with its final mode, so that it is at no moment open to others; SQLite gives its side files the same.
fn create(path: &Path) -> Result<(), StoreError> {
    // Closing any descriptor of a file drops all locks this process has on it. So it is closed before another thread can
    // find the file and have SQLite lock it; and a file that was there is never opened but by SQLite.
    static CREATING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match create_file(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A directory where nothing can be created may still hold a database: what is wrong with it is told below.
        Err(_) if fs::symlink_metadata(path).is_ok() => Ok(()),
        other => other.map_err(|e| BACKEND.from_io("create", path, e)),
    }
}

/// SQLite takes a file of a byte or so for an empty database, and would make one of it.
fn check_length(path: &Path) -> Result<(), StoreError> {
    let length = fs::metadata(path).map_err(|e| BACKEND.from_io("look at", path, e))?.len();
    if (1..100).contains(&length) {
        let message = format!(
            "{} is not an SQLite database; it was left as it is, move it away or choose another path",
            path.display()
        );
        return Err(BACKEND.error(StoreErrorKind::Corrupt, message));
    }
    Ok(())
}

fn check_rights(path: &Path) -> Result<(), StoreError> {
    if !may_write(path) {
        return Err(BACKEND.read_only(path.display()));
    }
    // SQLite puts its log beside the database.
    match path.parent() {
        Some(parent) if !may_write(parent) => {
            Err(BACKEND.read_only(format_args!("the directory {}", parent.display())))
        }
        _ => Ok(()),
    }
}
