//! The state file: shared by several sandboxes, private to its owner, never half written.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{SandboxError, state::State};

/// A state file and the lock beside it. The lock is a file of its own, since a save puts a new file in the place of the old.
pub(super) struct StateFile {
    path: PathBuf,
    staged: PathBuf,
    lock: File,
    lock_path: PathBuf,
    /// Hash of what the state in memory was read from or saved as; `None` for nothing.
    seen: Option<[u8; 32]>,
}

impl StateFile {
    /// Opens the lock, and makes the directory where there is none. Reads nothing yet.
    pub(super) fn open(path: &Path) -> Result<Self, SandboxError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            private_directory(parent).map_err(|error| SandboxError::file("make the directory", parent, error))?;
        }
        let lock_path = beside(path, ".lock");
        refuse_symlink(&lock_path)?;
        let lock = private_file(OpenOptions::new().create(true).append(true), &lock_path)
            .map_err(|error| SandboxError::file("open the lock", &lock_path, error))?;
        Ok(Self { staged: beside(path, ".new"), path: path.to_owned(), lock, lock_path, seen: None })
    }

    /// Does something to the state as no other sandbox on this file can meanwhile: lock, read what others changed, act, save
    /// what was changed, unlock. When the save fails, the change is undone in memory too.
    pub(super) fn change<T>(
        &mut self,
        state: &mut State,
        act: impl FnOnce(&mut State) -> T,
    ) -> Result<T, SandboxError> {
        self.lock.lock().map_err(|error| SandboxError::file("lock", &self.lock_path, error))?;
        let done = self.read(state).and_then(|()| {
            state.changed = false;
            let done = act(state);
            if state.changed {
                self.save(state).inspect_err(|_| self.forget(state))?;
            }
            Ok(done)
        });
        let unlocked = self.lock.unlock().map_err(|error| SandboxError::file("unlock", &self.lock_path, error));
        let done = done?;
        unlocked?;
        Ok(done)
    }

    fn read(&mut self, state: &mut State) -> Result<(), SandboxError> {
        refuse_symlink(&self.path)?;
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Deleted while in use: whoever did that wants an empty sandbox.
                if self.seen.is_some() {
                    self.forget(state);
                }
                return Ok(());
            }
            Err(error) => return Err(SandboxError::file("read", &self.path, error)),
        };
        let hash = Sha256::digest(&bytes).into();
        if self.seen == Some(hash) {
            return Ok(());
        }
        let read: State = serde_json::from_slice(&bytes).map_err(|error| SandboxError::corrupt(&self.path, error))?;
        if !read.is_ours() {
            return Err(SandboxError::corrupt(&self.path, "it is of another format or version"));
        }
        *state = read;
        self.seen = Some(hash);
        Ok(())
    }

    fn save(&mut self, state: &State) -> Result<(), SandboxError> {
        let bytes = serde_json::to_vec_pretty(state)
            .map_err(|error| SandboxError::file("write", &self.path, io::Error::other(error)))?;
        self.replace(&bytes).map_err(|error| SandboxError::file("write", &self.path, error))?;
        self.seen = Some(Sha256::digest(&bytes).into());
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        // Left by a process that died here; we hold the lock, so nobody is writing it.
        match std::fs::remove_file(&self.staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private_file(OpenOptions::new().write(true).create_new(true), &self.staged)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&self.staged, &self.path)
    }

    fn forget(&mut self, state: &mut State) {
        *state = State::default();
        self.seen = None;
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn refuse_symlink(path: &Path) -> Result<(), SandboxError> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(SandboxError::symlink(path)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SandboxError::file("look at", path, error)),
    }
}

/// Opens a file that is 0600 from its first moment; a umask can only take bits away, and those are put back.
fn private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

fn private_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
