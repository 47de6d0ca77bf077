//! One record as a row, with checksums: a flipped bit or a cut end is an error, never a wrong token and never "no record".
//!
//! A bit flipped in a key leaves its row where it was in the tree, under a name that nobody asks for. So before a record is
//! said to be absent, the keys on either side of its place are checked: there is where it would be.

use rusqlite::types::ValueRef;
use rusqlite::{Row, params};
use wix_visitor_core::{Etag, StoreError, StoreErrorKind, StoreKey, Stored};

use crate::error::BACKEND;

/// The columns [`read`] needs, in its order.
pub(crate) const SELECT: &str = "SELECT etag, bytes, keep_until, crc FROM records WHERE key = ?1";
pub(crate) const INSERT: &str =
    "INSERT INTO records (key, etag, bytes, keep_until, crc, key_crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (key) DO NOTHING";
/// The etag alone is compared, so that whoever knows it can replace a record whose bytes were damaged.
pub(crate) const UPDATE: &str =
    "UPDATE records SET etag = ?2, bytes = ?3, keep_until = ?4, crc = ?5 WHERE key = ?1 AND etag = ?6";

const NEIGHBOURS: &str = "
    SELECT * FROM (SELECT key, key_crc FROM records WHERE key < ?1 ORDER BY key DESC LIMIT 1)
    UNION ALL SELECT * FROM (SELECT key, key_crc FROM records WHERE key > ?1 ORDER BY key LIMIT 1)";

/// What is written of a record.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) key: StoreKey,
    pub(crate) stored: Stored,
    /// Milliseconds since 1970.
    pub(crate) keep_until: i64,
}

impl NewRow {
    /// Writes the row over the version `expected`, and says whether that stood.
    pub(crate) fn write(&self, db: &rusqlite::Connection, expected: Option<Etag>) -> rusqlite::Result<bool> {
        let Self { key, stored, keep_until } = self;
        let etag = stored.etag.to_bytes();
        let crc = checksum(key, &etag, &stored.bytes, *keep_until);
        let key = key.as_str();
        let changed = match expected {
            None => {
                let key_crc = crc32fast::hash(key.as_bytes());
                let row = params![key, etag, stored.bytes, keep_until, crc, key_crc];
                db.prepare_cached(INSERT)?.execute(row)?
            }
            Some(old) => {
                let row = params![key, etag, stored.bytes, keep_until, crc, old.to_bytes()];
                db.prepare_cached(UPDATE)?.execute(row)?
            }
        };
        Ok(changed == 1)
    }
}

/// Whether a key that was not found is not there, rather than damaged.
pub(crate) fn check_absence(key: &StoreKey, db: &rusqlite::Connection) -> rusqlite::Result<Result<(), StoreError>> {
    let mut neighbours = db.prepare_cached(NEIGHBOURS)?;
    let mut rows = neighbours.query([key.as_str()])?;
    while let Some(row) = rows.next()? {
        let whole = match (row.get_ref(0)?, row.get_ref(1)?) {
            (ValueRef::Text(key), ValueRef::Integer(crc)) => i64::from(crc32fast::hash(key)) == crc,
            _ => false,
        };
        if !whole {
            return Ok(Err(damaged(
                key,
                "there is none, but a key next to its place is unreadable and may be its own",
            )));
        }
    }
    Ok(Ok(()))
}

/// The record in a row of [`SELECT`], if it is what was written.
pub(crate) fn read(key: &StoreKey, row: &Row<'_>) -> rusqlite::Result<Result<Stored, StoreError>> {
    let columns = (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?);
    let (ValueRef::Blob(etag), ValueRef::Blob(bytes), ValueRef::Integer(keep_until), ValueRef::Integer(crc)) = columns
    else {
        return Ok(Err(damaged(key, "a column is of the wrong type")));
    };
    let Ok(etag) = <[u8; 16]>::try_from(etag) else {
        return Ok(Err(damaged(key, "its etag is not 16 bytes long")));
    };
    if i64::from(checksum(key, &etag, bytes, keep_until)) != crc {
        return Ok(Err(damaged(key, "it does not match its checksum (or forget this visitor, to begin anew)")
            .with_standing(Etag::from_bytes(etag))));
    }
    Ok(Ok(Stored { etag: Etag::from_bytes(etag), bytes: bytes.to_vec() }))
}

fn damaged(key: &StoreKey, how: &str) -> StoreError {
    let visitor = key.visitor_id();
    BACKEND.error(
        StoreErrorKind::Corrupt,
        format!("the record of visitor {visitor} is damaged: {how}; restore the database from a backup"),
    )
}

fn checksum(key: &StoreKey, etag: &[u8; 16], bytes: &[u8], keep_until: i64) -> u32 {
    wix_visitor_local::checksum(key, &[etag, &keep_until.to_be_bytes(), bytes])
}
