//! What says that a directory is ours, and of which version: a small file in it.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use wix_visitor_core::{StoreError, StoreErrorKind};
use wix_visitor_local::{open_to_read, sync_directory};

use crate::error::BACKEND;
use crate::lock::{LOCK, TURN};
use crate::shard::Staged;

pub(crate) const NAME: &str = "wix-visitor.json";
const STAGED: &str = "wix-visitor.json.new";

/// More than the marker ever has, in bytes.
const LONGEST: u64 = 4096;

/// The layout of the directory.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Marker {
    wix_visitor_file: u32,
}

/// Whether the directory is marked as ours.
pub(crate) fn is_there(directory: &Path) -> Result<bool, StoreError> {
    let path = directory.join(NAME);
    let (file, found) = match open_to_read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(|e| BACKEND.from_io("read", &path, e))?,
    };
    BACKEND.check_open(&path, &file, &found)?;
    let text = match io::read_to_string(file.take(LONGEST)) {
        Err(e) if e.kind() == io::ErrorKind::InvalidData => String::new(),
        other => other.map_err(|e| BACKEND.from_io("read", &path, e))?,
    };
    let shown = path.display();
    match serde_json::from_str(&text) {
        Ok(Marker { wix_visitor_file: VERSION }) => Ok(true),
        Ok(Marker { wix_visitor_file: version }) if version > VERSION => Err(BACKEND.error(
            StoreErrorKind::Unsupported,
            format!(
                "{shown} says version {version}, and this release knows {VERSION} at most; update it, or use the release \
                 that wrote it"
            ),
        )),
        _ => Err(BACKEND.error(
            StoreErrorKind::Corrupt,
            format!("{shown} is damaged; restore it from a backup, or write {{\"wix-visitor-file\":{VERSION}}} into it"),
        )),
    }
}

/// Makes sure that there is nothing in a directory without a marker but what an earlier try to mark it left.
pub(crate) fn check_empty(directory: &Path) -> Result<(), StoreError> {
    let list = |e| BACKEND.from_io("list", directory, e);
    for entry in fs::read_dir(directory).map_err(list)? {
        let name = entry.map_err(list)?.file_name();
        if ![NAME, STAGED, LOCK, TURN].iter().any(|ours| name == *ours) {
            return Err(BACKEND.misconfigured(format!(
                "{} holds other things than visitors; it was left as it is, choose a directory that is empty or new",
                directory.display()
            )));
        }
    }
    Ok(())
}

/// Writes so many bytes, and takes them away again. The directory's lock is held.
pub(crate) fn try_out(directory: &Path, bytes: usize) -> Result<(), StoreError> {
    let staged = directory.join(STAGED);
    Staged::reserve(&staged, bytes).map(|staged| staged.discard())
}

/// Marks an empty directory as ours. Its lock is held.
pub(crate) fn put(directory: &Path) -> Result<(), StoreError> {
    let text = format!("{{\"wix-visitor-file\":{VERSION}}}\n");
    let (staged, place) = (directory.join(STAGED), directory.join(NAME));
    let staged = Staged::write(&staged, text.as_bytes(), true)?;
    staged.put(&place).map_err(|e| BACKEND.from_io("write", &place, e))?;
    sync_directory(directory).map_err(|e| BACKEND.from_io("save the directory", directory, e))
}
