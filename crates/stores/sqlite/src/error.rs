//! What SQLite says, as the kinds of error a store has.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};
use wix_visitor_core::{StoreError, StoreErrorKind};
use wix_visitor_local::Backend;

pub(crate) const BACKEND: Backend = Backend("sqlite");

/// An error of SQLite, of a statement that changed nothing: a failed commit is the writer's to judge.
pub(crate) fn from_sqlite(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.display();
    let extended = source.sqlite_error().map(|error| error.extended_code);
    let (kind, message) = match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            (StoreErrorKind::Unavailable, format!("another process kept {path} locked for the whole timeout"))
        }
        Some(ErrorCode::DiskFull) => (StoreErrorKind::Unavailable, BACKEND.full(path)),
        // What opening a database in WAL mode meets on a full disk: there is no room for the log's index.
        Some(ErrorCode::SystemIoFailure) if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => {
            (StoreErrorKind::Unavailable, BACKEND.full(path))
        }
        Some(ErrorCode::NotADatabase) => (
            StoreErrorKind::Corrupt,
            format!("{path} is not an SQLite database; it was left as it is, move it away or choose another path"),
        ),
        Some(ErrorCode::DatabaseCorrupt) => {
            (StoreErrorKind::Corrupt, format!("the database {path} is damaged; restore it from a backup"))
        }
        Some(ErrorCode::ReadOnly) => (
            StoreErrorKind::Misconfigured,
            format!("{path} or its directory is read-only; let this process write both, or choose another path"),
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            (StoreErrorKind::Misconfigured, format!("this process has no rights to {path}"))
        }
        // Rights and paths were looked at before: what is left is a shortage, of file descriptors most likely.
        Some(ErrorCode::CannotOpen) => {
            (StoreErrorKind::Unavailable, format!("{path}, or a file beside it, could not be opened just now"))
        }
        Some(ErrorCode::TooBig) => (StoreErrorKind::Unsupported, "the record is too large for SQLite".to_owned()),
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationAborted
            | ErrorCode::OperationInterrupted
            | ErrorCode::InternalMalfunction,
        ) => (StoreErrorKind::Unavailable, format!("{path} could not be read or written just now")),
        // What SQLite says when it cannot make sense of a statement: the tables are not those that this crate made.
        _ => (
            StoreErrorKind::Corrupt,
            format!("the database {path} does not hold the tables it should; restore it from a backup"),
        ),
    };
    BACKEND.error(kind, message).with_source(source)
}

/// Whether a write found no room on the disk. Not where the log's index found none: by then a commit may be in the log.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn every_code_has_its_kind_and_keeps_its_source() {
        use StoreErrorKind::{Corrupt, Misconfigured, Unavailable, Unsupported};
        for (code, kind) in [
            (ffi::SQLITE_BUSY, Unavailable),
            (ffi::SQLITE_BUSY_RECOVERY, Unavailable),
            (ffi::SQLITE_PROTOCOL, Unavailable),
            (ffi::SQLITE_FULL, Unavailable),
            (ffi::SQLITE_IOERR_READ, Unavailable),
            (ffi::SQLITE_IOERR_SHMSIZE, Unavailable),
            (ffi::SQLITE_NOMEM, Unavailable),
            (ffi::SQLITE_CANTOPEN, Unavailable),
            (ffi::SQLITE_NOTADB, Corrupt),
            (ffi::SQLITE_CORRUPT, Corrupt),
            (ffi::SQLITE_CORRUPT_INDEX, Corrupt),
            (ffi::SQLITE_ERROR, Corrupt),
            (ffi::SQLITE_READONLY, Misconfigured),
            (ffi::SQLITE_READONLY_DIRECTORY, Misconfigured),
            (ffi::SQLITE_PERM, Misconfigured),
            (ffi::SQLITE_TOOBIG, Unsupported),
        ] {
            let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = from_sqlite(Path::new("v.db"), source);
            assert_eq!(error.kind(), kind, "{code}: {error}");
            assert!(error.source().is_some());
        }
    }
}
