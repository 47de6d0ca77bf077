//! Files and directories for their owner alone.
//!
//! Where they have no owner and mode, the user's profile is what protects them.

#[cfg(unix)]
pub use unix::*;
#[cfg(not(unix))]
pub use without_modes::*;

#[cfg(unix)]
mod unix {
    use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};
    use rustix::io::Errno;

    /// Creates a directory with the mode 0700.
    ///
    /// # Errors
    /// The file system's.
    pub fn create_directory(path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        // A umask may have taken more than it should.
        fs::set_permissions(path, Permissions::from_mode(0o700))
    }

    /// Waits until the names in a directory are on the disk.
    ///
    /// # Errors
    /// The file system's.
    pub fn sync_directory(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Creates a file with the mode 0600.
    ///
    /// # Errors
    /// The file system's.
    pub fn create_file(path: &Path) -> io::Result<()> {
        // `create_new` follows no link.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))
    }

    /// Opens a file for writing as it is, or creates it; follows no link, and does not wait for the other end of a pipe. With it,
    /// what was found.
    ///
    /// # Errors
    /// The file system's.
    pub fn open_to_write(path: &Path) -> io::Result<(File, Metadata)> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(FLAGS);
        let file = options.open(path)?;
        // A umask may have taken more than it should; what is not ours is not ours to change.
        let found = file.metadata()?;
        if found.mode() & 0o777 != 0o600 && is_own(&found) {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok((file, found))
    }

    /// Opens a file for reading; follows no link, and does not wait for the other end of a pipe. With it, what was found.
    ///
    /// # Errors
    /// The file system's.
    pub fn open_to_read(path: &Path) -> io::Result<(File, Metadata)> {
        let file = OpenOptions::new().read(true).custom_flags(FLAGS).open(path)?;
        let found = file.metadata()?;
        Ok((file, found))
    }

    /// Opens a file that is there for reading and writing; likewise.
    ///
    /// # Errors
    /// The file system's.
    pub fn open_to_change(path: &Path) -> io::Result<(File, Metadata)> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(FLAGS).open(path)?;
        let found = file.metadata()?;
        Ok((file, found))
    }

    /// Whether a file is known under no other name: what is written into it is written nowhere else.
    pub fn has_one_name(found: &Metadata) -> bool {
        found.nlink() == 1
    }

    const FLAGS: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

    pub(crate) fn is_own(found: &Metadata) -> bool {
        found.uid() == rustix::process::geteuid().as_raw()
    }

    pub(crate) fn close_to_others(path: &Path, found: &Metadata) -> io::Result<()> {
        closed_to_others(found).map_or(Ok(()), |mode| fs::set_permissions(path, mode))
    }

    pub(crate) fn close_open_to_others(file: &File, found: &Metadata) -> io::Result<()> {
        closed_to_others(found).map_or(Ok(()), |mode| file.set_permissions(mode))
    }

    /// The mode that it should have, if it has another.
    fn closed_to_others(found: &Metadata) -> Option<Permissions> {
        (found.mode() & 0o077 != 0).then(|| Permissions::from_mode(found.mode() & 0o700))
    }

    /// Whether this process may write a file or a directory.
    pub fn may_write(path: &Path) -> bool {
        let mut rights = Access::READ_OK | Access::WRITE_OK;
        if path.is_dir() {
            rights |= Access::EXEC_OK;
        }
        let refused = [Errno::ACCESS, Errno::PERM, Errno::ROFS];
        !accessat(CWD, path, rights, AtFlags::EACCESS).is_err_and(|e| refused.contains(&e))
    }
}

#[cfg(not(unix))]
#[allow(missing_docs, clippy::missing_errors_doc)] // they are above
mod without_modes {
    use std::fs::{self, File, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    pub fn create_directory(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub fn create_file(path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(path).map(drop)
    }

    pub fn open_to_write(path: &Path) -> io::Result<(File, Metadata)> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let found = file.metadata()?;
        Ok((file, found))
    }

    pub fn open_to_read(path: &Path) -> io::Result<(File, Metadata)> {
        let file = File::open(path)?;
        let found = file.metadata()?;
        Ok((file, found))
    }

    pub fn open_to_change(path: &Path) -> io::Result<(File, Metadata)> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let found = file.metadata()?;
        Ok((file, found))
    }

    pub fn has_one_name(_: &Metadata) -> bool {
        true
    }

    pub(crate) fn is_own(_: &Metadata) -> bool {
        true
    }

    pub(crate) fn close_to_others(_: &Path, _: &Metadata) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn close_open_to_others(_: &File, _: &Metadata) -> io::Result<()> {
        Ok(())
    }

    pub fn may_write(path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| !found.permissions().readonly())
    }
}
