//! A folder on the disk, beside the program: what is measured there waits for a disk, which a temporary folder may not have.

use tempfile::{Builder, TempDir};

use crate::Result;

/// An empty one, which goes with what is returned.
pub(crate) fn folder() -> Result<TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().ok_or("the program lies nowhere")?;
    Ok(Builder::new().prefix("scratch-").tempdir_in(beside)?)
}
