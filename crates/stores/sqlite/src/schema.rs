//! What the database looks like, how we know it as ours, and how an older one becomes a newer one.

use std::path::Path;

use rusqlite::Connection;
use wix_visitor_core::{StoreError, StoreErrorKind};

use crate::error::{BACKEND, from_sqlite};

/// `WxVs`, in the header of the file: this application's mark (`PRAGMA application_id`).
pub(crate) const APPLICATION_ID: i32 = 0x5778_5673;

/// Step *n* makes version *n* (`PRAGMA user_version`) out of version *n* − 1. A released step never changes.
///
/// Times are integers: milliseconds since 1970. A purge may drop a row after its `keep_until`. Rows are kept apart from the index of their
/// keys, since in that a row has a quarter of a page, and what is longer gets a page of its own: a swap would write two. Before the first
/// release they were in it, and no statement here minds.
const STEPS: [&str; 1] = ["
    CREATE TABLE records (
        key        TEXT NOT NULL PRIMARY KEY,
        key_crc    INTEGER NOT NULL,
        etag       BLOB NOT NULL,
        bytes      BLOB NOT NULL,
        keep_until INTEGER NOT NULL,
        crc        INTEGER NOT NULL
    ) STRICT;
"];

/// What a database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing was ever written into it.
    Empty,
    /// Ours, of this version.
    Ours(usize),
}

/// Looks at a database without changing it.
pub(crate) fn inspect(path: &Path, db: &Connection) -> Result<Found, StoreError> {
    let fail = |e| from_sqlite(path, e);
    let number = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(fail);
    let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let shown = path.display();
    if application == i64::from(APPLICATION_ID) {
        return match usize::try_from(version) {
            Ok(version) if (1..=STEPS.len()).contains(&version) => Ok(Found::Ours(version)),
            Ok(version) if version > STEPS.len() => Err(BACKEND.error(
                StoreErrorKind::Unsupported,
                format!(
                    "{shown} has schema version {version}, and this release knows {} at most; update it, or use the \
                     release that wrote the database",
                    STEPS.len()
                ),
            )),
            _ => Err(BACKEND
                .error(StoreErrorKind::Corrupt, format!("{shown} has schema version {version}, which never was"))),
        };
    }
    if application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(Found::Empty);
    }
    Err(BACKEND.misconfigured(format!(
        "{shown} is the database of another application; it was left as it is, choose another path"
    )))
}

/// Brings a database that [`inspect`] knew to the newest version, in one transaction.
pub(crate) fn migrate(path: &Path, db: &mut Connection) -> Result<(), StoreError> {
    let fail = |e| from_sqlite(path, e);
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
    // Another process may have done it meanwhile.
    let version = match inspect(path, &transaction)? {
        Found::Empty => 0,
        Found::Ours(version) => version,
    };
    if version < STEPS.len() {
        for step in &STEPS[version..] {
            transaction.execute_batch(step).map_err(fail)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        transaction.pragma_update(None, "user_version", STEPS.len() as i64).map_err(fail)?;
    }
    transaction.commit().map_err(fail)
}

pub(crate) fn is_current(found: Found) -> bool {
    found == Found::Ours(STEPS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d3_a_visitor_is_found_by_its_key_and_never_by_looking_through_all() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(STEPS[0]).unwrap();
        let question = "EXPLAIN QUERY PLAN SELECT etag, bytes FROM records WHERE key = ?1";
        let plan: String = db.query_row(question, ["a"], |row| row.get(3)).unwrap();
        assert!(plan.starts_with("SEARCH"), "{plan}");
    }
}
