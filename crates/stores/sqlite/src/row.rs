//! One record as a row, with checksums: a flipped bit or a cut end is an error, never a wrong token and never "no record".
//!
//! A key stands in the index, by which its row is found, and in the row. A bit flipped in the index leaves the key where it was in the
//! tree, under a name that nobody asks for. So before a record is said to be absent, the keys on either side of its place are checked,
//! by what their rows say: there is where it would be.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension as _, Row, params};
use wix_visitor_core::{Cursor, Etag, Page, Purged, StoreError, StoreErrorKind, StoreKey, Stored};

use crate::error::BACKEND;
use crate::reader::Range;

/// The columns [`read`] needs, in its order.
pub(crate) const SELECT: &str = "SELECT etag, bytes, keep_until, crc, key_crc FROM records WHERE key = ?1";
pub(crate) const INSERT: &str =
    "INSERT INTO records (key, etag, bytes, keep_until, crc, key_crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (key) DO NOTHING";
/// The etag alone is compared, so that whoever knows it can replace a record whose bytes were damaged.
pub(crate) const UPDATE: &str =
    "UPDATE records SET etag = ?2, bytes = ?3, keep_until = ?4, crc = ?5 WHERE key = ?1 AND etag = ?6";

const PAGE: &str = "SELECT key, key_crc, keep_until FROM records WHERE key > CAST(?1 AS TEXT) ORDER BY key";
const UP_TO: &str = "SELECT key, key_crc FROM records WHERE key <= CAST(?1 AS TEXT) ORDER BY key DESC LIMIT 1";
const DELETE: &str = "DELETE FROM records WHERE key = ?1";

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
        if whole(row)?.is_none() {
            return Ok(Err(damaged(
                key,
                "there is none, but a key next to its place is unreadable and may be its own",
            )));
        }
    }
    Ok(Ok(()))
}

/// Some of the keys. Those that are damaged are counted.
pub(crate) fn list(db: &rusqlite::Connection, range: &Range) -> rusqlite::Result<Result<Page, StoreError>> {
    let mut keys = Vec::new();
    let (unreadable, next) = walk(db, &range.after, range.most, |key, _| {
        let within = range.before.as_deref().is_none_or(|before| key.as_str() < before);
        if within {
            keys.push(key.clone());
        }
        Ok(within)
    })?;
    Ok(Ok(Page { keys, unreadable, next }))
}

/// Drops those of some records that were to be kept until before this moment.
pub(crate) fn purge(db: &rusqlite::Connection, moment: i64, after: &[u8], most: usize) -> rusqlite::Result<Purged> {
    let mut purged = Purged::default();
    let mut over = Vec::new();
    (purged.unreadable, purged.next) = walk(db, after, most, |key, row| {
        purged.looked_at += 1;
        match row.get_ref(2)? {
            ValueRef::Integer(keep_until) if keep_until >= moment => {}
            _ => over.push(key.clone()),
        }
        Ok(true)
    })?;
    purged.looked_at += purged.unreadable;
    for key in over {
        // Its time too is believed only if its checksum says so.
        let whole = db.prepare_cached(SELECT)?.query_row([key.as_str()], |row| read(&key, row)).optional()?;
        if whole.is_some_and(|read| read.is_ok()) {
            purged.dropped += db.prepare_cached(DELETE)?.execute([key.as_str()])? as u64;
        } else {
            purged.unreadable += 1;
        }
    }
    Ok(purged)
}

/// Shows the records after this key in their order, until there were so many or it is told to end; says how many keys among them are
/// damaged, and where to go on.
///
/// A damaged key is not where its name belongs: nothing is made to begin or to end at one, and where a search in the tree was led
/// astray by one, all is looked through.
fn walk(
    db: &rusqlite::Connection,
    after: &[u8],
    most: usize,
    mut show: impl FnMut(&StoreKey, &Row<'_>) -> rusqlite::Result<bool>,
) -> rusqlite::Result<(u64, Option<Cursor>)> {
    let before = db.prepare_cached(UP_TO)?.query_row([after], whole).optional()?;
    let begin = if before == Some(None) { &[] } else { after };
    let mut page = db.prepare_cached(PAGE)?;
    let mut rows = page.query([begin])?;
    let (mut shown, mut damaged, mut passed) = (0, 0, 0);
    while let Some(row) = rows.next()? {
        let Some(key) = whole(row)? else {
            passed += 1;
            continue;
        };
        // What comes before it was another page's.
        if key.as_str().as_bytes() <= after {
            passed = 0;
            continue;
        }
        damaged += std::mem::take(&mut passed);
        if !show(&key, row)? {
            return Ok((damaged, None));
        }
        shown += 1;
        if shown >= most {
            return Ok((damaged, Some(cursor(&key))));
        }
    }
    Ok((damaged + passed, None))
}

/// The key of a row of [`PAGE`], unless it is damaged. One that is may be no text.
fn whole(row: &Row<'_>) -> rusqlite::Result<Option<StoreKey>> {
    let (ValueRef::Text(key), ValueRef::Integer(crc)) = (row.get_ref(0)?, row.get_ref(1)?) else { return Ok(None) };
    let key = std::str::from_utf8(key).ok().filter(|_| i64::from(crc32fast::hash(key)) == crc);
    Ok(key.and_then(|key| StoreKey::parse(key).ok()))
}

/// The cursor of a page that ended with this key: in hexadecimal digits, what all that came are before, and all that come behind.
fn cursor(last: &StoreKey) -> Cursor {
    let shown = match last.as_str().rsplit_once('/') {
        // Behind the letter come all whose hashes begin otherwise: of two that begin alike so far, nobody has heard.
        Some((site, hash)) if is_hash(hash) => format!("{site}/{}g", &hash[..PREFIX]),
        _ => last.as_str().to_owned(),
    };
    Cursor::new(shown.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// How many digits of a visitor's hash a cursor holds: people see it, so not all of them.
const PREFIX: usize = 24;

/// As in a visitor's key. Others may begin alike.
fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// After which key the page of this cursor begins.
pub(crate) fn after(from: Option<&Cursor>) -> Result<Vec<u8>, StoreError> {
    let Some(from) = from else { return Ok(Vec::new()) };
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let key: Option<Vec<u8>> = from.as_str().as_bytes().chunks(2).map(byte).collect();
    key.filter(|key| !key.is_empty())
        .ok_or_else(|| BACKEND.error(StoreErrorKind::Unsupported, "this cursor is not of this store"))
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
        // Where the index leads to another's row, nobody is told its etag, by which it could be replaced.
        return Ok(Err(if row.get_ref(4)? == ValueRef::Integer(crc32fast::hash(key.as_str().as_bytes()).into()) {
            damaged(key, "it does not match its checksum (or forget this visitor, to begin anew)")
                .with_standing(Etag::from_bytes(etag))
        } else {
            damaged(key, "it is not this visitor's")
        }));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_no_whole_hash_and_parts_what_came_from_what_comes() {
        let key = |hash: &str| StoreKey::parse(&format!("site/{hash}")).unwrap();
        let (last, next) = (key(&"0f".repeat(32)), key(&format!("{}1{}", "0f".repeat(11), "0".repeat(41))));
        let shown = cursor(&last);
        let after = after(Some(&shown)).unwrap();
        assert!(last.as_str().as_bytes() <= &*after && next.as_str().as_bytes() > &*after);
        assert!(!String::from_utf8(after).unwrap().contains(&"0f".repeat(13)));
        for other in [key("1"), key(&"z".repeat(64)), key(&"0f".repeat(31)), StoreKey::parse("purge").unwrap()] {
            assert_eq!(super::after(Some(&cursor(&other))).unwrap(), other.as_str().as_bytes());
        }
    }
}
