//! The database's place in the file system: checked, private, and the same file all along.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wix_visitor_core::{StoreError, StoreErrorKind};

use crate::error::{error, from_io, misconfigured};

/// A file that is there, is ours, and may be opened.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    file: FileId,
}

impl Place {
    /// Checks the path, and creates file and directory if they are missing.
    pub(crate) fn prepare(path: &Path) -> Result<Self, StoreError> {
        let path = resolve(path)?;
        create_file(&path)?;
        for suffix in ["", "-wal", "-shm", "-journal", "-reserve"] {
            let mut side = path.clone().into_os_string();
            side.push(suffix);
            check_file(Path::new(&side), suffix.is_empty())?;
        }
        check_rights(&path)?;
        check_length(&path)?;
        let file = FileId::of(&path).map_err(|e| from_io("look at", &path, e))?;
        Ok(Self { path, file })
    }

    /// Absolute, and without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the file that was opened. A database that was removed or replaced takes writes for as
    /// long as it is open, and has none of them when it is opened next.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match FileId::of(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(from_io("look at", &self.path, e)),
            _ => Err(misconfigured(format!(
                "{} was removed or replaced while in use; put it back, or start again with what is there now",
                self.path.display()
            ))),
        }
    }
}

fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let text = path.as_os_str().as_encoded_bytes();
    if text.is_empty() {
        return Err(misconfigured("the path of the database is empty"));
    }
    if text == b":memory:" {
        return Err(misconfigured("SQLite in memory would forget every visitor; say so with the memory store"));
    }
    if path.is_dir() || text.ends_with(b"/") {
        return Err(misconfigured(format!("{} is a directory; give the path of a file in it", path.display())));
    }
    let Some(name) = path.file_name() else {
        return Err(misconfigured(format!("{} does not name a file", path.display())));
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directory(parent)?;
    // An absolute path also takes their special meaning from names that SQLite would interpret.
    let parent = parent.canonicalize().map_err(|e| from_io("find", parent, e))?;
    Ok(parent.join(name))
}

fn create_directory(path: &Path) -> Result<(), StoreError> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_directory(parent)?;
    match private::create_directory(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.map_err(|e| from_io("create the directory", path, e)),
    }?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    private::sync_directory(parent).map_err(|e| from_io("save the directory", parent, e))
}

/// Creates the file with its final mode, so that it is at no moment open to others; SQLite gives its side files the same.
fn create_file(path: &Path) -> Result<(), StoreError> {
    // Closing any descriptor of a file drops all locks this process has on it. So it is closed before another thread can
    // find the file and have SQLite lock it; and a file that was there is never opened but by SQLite.
    static CREATING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match private::create_file(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A directory where nothing can be created may still hold a database: what is wrong with it is told below.
        Err(_) if fs::symlink_metadata(path).is_ok() => Ok(()),
        other => other.map_err(|e| from_io("create", path, e)),
    }
}

/// Opens a file that SQLite has no business with for writing, and creates it if it is missing; follows no link.
pub(crate) fn open_private(path: &Path) -> io::Result<fs::File> {
    private::open(path)
}

fn check_file(path: &Path, must_exist: bool) -> Result<(), StoreError> {
    let found = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(()),
        other => other.map_err(|e| from_io("look at", path, e))?,
    };
    let shown = path.display();
    if found.is_symlink() {
        return Err(misconfigured(format!("{shown} is a symbolic link; give the path of the file itself")));
    }
    if !found.is_file() {
        return Err(misconfigured(format!("{shown} is not a regular file")));
    }
    if !private::is_own(&found) {
        return Err(misconfigured(format!(
            "{shown} belongs to another user; run as that user, or choose another path"
        )));
    }
    private::close_to_others(path, &found).map_err(|e| from_io("make private", path, e))
}

/// SQLite takes a file of a byte or so for an empty database, and would make one of it.
fn check_length(path: &Path) -> Result<(), StoreError> {
    let length = fs::metadata(path).map_err(|e| from_io("look at", path, e))?.len();
    if (1..100).contains(&length) {
        let message = format!(
            "{} is not an SQLite database; it was left as it is, move it away or choose another path",
            path.display()
        );
        return Err(error(StoreErrorKind::Corrupt, message));
    }
    Ok(())
}

fn check_rights(path: &Path) -> Result<(), StoreError> {
    let shown = path.display();
    if !private::may_write(path) {
        return Err(misconfigured(format!("{shown} is read-only; let this process write it, or choose another path")));
    }
    // SQLite puts its log beside the database.
    match path.parent() {
        Some(parent) if !private::may_write(parent) => Err(misconfigured(format!(
            "the directory {} is read-only; let this process write it, or choose another path",
            parent.display()
        ))),
        _ => Ok(()),
    }
}

/// Device and inode.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

#[cfg(unix)]
impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        fs::symlink_metadata(path).map(|found| Self(found.dev(), found.ino()))
    }
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId;

#[cfg(not(unix))]
impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|_| Self)
    }
}

#[cfg(unix)]
mod private {
    use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};
    use rustix::io::Errno;

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        // A umask may have taken more than it should.
        fs::set_permissions(path, Permissions::from_mode(0o700))
    }

    pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    pub(super) fn create_file(path: &Path) -> io::Result<()> {
        // `create_new` follows no link.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))
    }

    pub(super) fn open(path: &Path) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    }

    pub(super) fn is_own(found: &Metadata) -> bool {
        found.uid() == rustix::process::geteuid().as_raw()
    }

    pub(super) fn close_to_others(path: &Path, found: &Metadata) -> io::Result<()> {
        if found.mode() & 0o077 == 0 {
            return Ok(());
        }
        fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o700))
    }

    pub(super) fn may_write(path: &Path) -> bool {
        let mut rights = Access::READ_OK | Access::WRITE_OK;
        if path.is_dir() {
            rights |= Access::EXEC_OK;
        }
        let refused = [Errno::ACCESS, Errno::PERM, Errno::ROFS];
        !accessat(CWD, path, rights, AtFlags::EACCESS).is_err_and(|e| refused.contains(&e))
    }
}

/// Where files have no owner and mode, the user's profile is what protects them.
#[cfg(not(unix))]
mod private {
    use std::fs::{self, File, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn create_file(path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(path).map(drop)
    }

    pub(super) fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).open(path)
    }

    pub(super) fn is_own(_: &Metadata) -> bool {
        true
    }

    pub(super) fn close_to_others(_: &Path, _: &Metadata) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn may_write(path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| !found.permissions().readonly())
    }
}
