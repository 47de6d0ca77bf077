//! One record as a line that a person can read: a JSON object.
//!
//! ```json
//! {"checksum":"f7e1a203","write":7,"version":1,"etag":"00…2a","keep_until":1767225600000,"record":{…}}
//! ```
//!
//! `record` is the record itself where that is JSON; in its place stands `base64` where it is not, or where it would not come back
//! byte for byte. The checksum comes first and is over all that comes after it, and over the key: so whatever happens to a line, it
//! is known before anything in it is believed. `write` counts the writes: of two lines in one file the later one has the higher.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wix_visitor_core::{Etag, StoreError, StoreErrorKind, StoreKey, Stored};
use wix_visitor_local::checksum;

use crate::error::BACKEND;

/// The layout above.
pub(crate) const VERSION: u32 = 1;

/// At most so many bytes does the line of a record of this many have.
pub(crate) const fn line_bytes(record: usize) -> usize {
    record.div_ceil(3) * 4 + 288
}

const HEAD: &str = "{\"checksum\":\"";
const REST: &str = "\",";

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    version: u32,
    etag: String,
    /// Milliseconds since 1970.
    keep_until: i64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// None in a line of before it was counted.
    #[serde(default, skip_serializing)]
    write: u64,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) stored: Stored,
    /// Milliseconds since 1970.
    pub(crate) keep_until: i64,
    /// The how-manieth write of its file it is.
    pub(crate) write: u64,
}

/// Why a line that matches its checksum is no record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody wrote that.
    NoRecord,
    /// A later release did, with this version.
    Newer(u32),
}

/// A line, but for the number of its write.
pub(crate) struct Draft<'a> {
    key: &'a StoreKey,
    text: String,
}

impl<'a> Draft<'a> {
    /// Of a record that is to be kept until that many milliseconds after 1970.
    pub(crate) fn new(key: &'a StoreKey, stored: &Stored, keep_until: i64) -> Result<Self, StoreError> {
        let draft = |record, base64| Self::of(key, stored.etag, keep_until, record, base64);
        let as_json = std::str::from_utf8(&stored.bytes).ok().and_then(|text| serde_json::from_str(text).ok());
        if let Some(record) = as_json {
            let draft = draft(Some(record), None)?;
            // White space around it is not part of a value, and null is taken for none.
            if decode(&draft.line(0)).is_ok_and(|found| found.stored == *stored) {
                return Ok(draft);
            }
        }
        draft(None, Some(STANDARD.encode(&stored.bytes)))
    }

    fn of(
        key: &'a StoreKey,
        etag: Etag,
        keep_until: i64,
        record: Option<&RawValue>,
        base64: Option<String>,
    ) -> Result<Self, StoreError> {
        let etag = format!("{:032x}", etag.to_bits());
        let content = Content { version: VERSION, etag, keep_until, record, base64, write: 0 };
        let mut text = serde_json::to_string(&content).map_err(|e| {
            BACKEND.error(StoreErrorKind::Unsupported, "the record cannot be written as JSON").with_source(e)
        })?;
        // Its brace stands before the checksum.
        text.remove(0);
        Ok(Self { key, text })
    }

    /// The line of this write, with the newline at its end.
    pub(crate) fn line(&self, write: u64) -> Vec<u8> {
        let rest = format!("\"write\":{write},{}\n", self.text);
        let crc = checksum(self.key, &[rest.as_bytes()]);
        format!("{HEAD}{crc:08x}{REST}{rest}").into_bytes()
    }
}

/// Whether it is a line as it was written, and under this key.
pub(crate) fn is_whole(key: &StoreKey, line: &[u8]) -> bool {
    let after_head = line.strip_prefix(HEAD.as_bytes()).and_then(|rest| rest.split_at_checked(8));
    let Some((crc, rest)) = after_head else { return false };
    let Some(rest) = rest.strip_prefix(REST.as_bytes()) else { return false };
    format!("{:08x}", checksum(key, &[rest])).as_bytes() == crc
}

/// The record in a line that [is whole](is_whole).
pub(crate) fn decode(line: &[u8]) -> Result<Record, Fault> {
    let content: Content<'_> = serde_json::from_slice(line).map_err(|_| Fault::NoRecord)?;
    if content.version > VERSION {
        return Err(Fault::Newer(content.version));
    }
    let etag = u128::from_str_radix(&content.etag, 16).ok();
    let bytes = match (content.record, content.base64) {
        (Some(record), None) => Some(record.get().as_bytes().to_vec()),
        (None, Some(base64)) => STANDARD.decode(base64).ok(),
        _ => None,
    };
    let (etag, bytes) = etag.zip(bytes).ok_or(Fault::NoRecord)?;
    let stored = Stored { etag: Etag::from_bits(etag), bytes };
    Ok(Record { stored, keep_until: content.keep_until, write: content.write })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> StoreKey {
        StoreKey::parse("site/1").unwrap()
    }

    fn stored(bytes: impl AsRef<[u8]>) -> Stored {
        Stored { etag: Etag::from_bits(42), bytes: bytes.as_ref().to_vec() }
    }

    #[test]
    fn json_is_kept_as_it_is_and_all_else_as_base64() {
        let key = key();
        let deep = "[".repeat(30_000) + &"]".repeat(30_000);
        for (bytes, plain) in [
            (r#"{"a":1.00, "b" : [1e999,"\ud800",{}]}"#, true),
            ("12345678901234567890123", true),
            (r#""text""#, true),
            (&deep, true),
            ("null", false),
            (" {}", false),
            ("{}\n", false),
            ("", false),
            ("{} {}", false),
            ("not json", false),
        ] {
            let line = Draft::new(&key, &stored(bytes), 7).unwrap().line(3);
            assert_eq!(decode(&line), Ok(Record { stored: stored(bytes), keep_until: 7, write: 3 }));
            let text = std::str::from_utf8(&line).unwrap();
            assert_eq!(text.contains(&format!("\"record\":{bytes}}}\n")), plain, "{bytes}");
            assert!(text.contains("\"etag\":\"0000000000000000000000000000002a\",\"keep_until\":7,"), "{text}");
            assert!(line.len() <= line_bytes(bytes.len()));
        }
        let largest = stored(vec![0xff; Stored::MAX_SEALED_BYTES]);
        let line = Draft::new(&key, &largest, i64::MIN).unwrap().line(u64::MAX);
        assert!(line.len() <= line_bytes(largest.bytes.len()));
        assert_eq!(decode(&line), Ok(Record { stored: largest, keep_until: i64::MIN, write: u64::MAX }));
    }

    #[test]
    fn a_line_of_before_writes_were_counted_is_the_first() {
        let line = br#"{"checksum":"00000000","version":1,"etag":"2a","keep_until":7,"record":1}"#;
        assert_eq!(decode(line), Ok(Record { stored: stored("1"), keep_until: 7, write: 0 }));
    }

    #[test]
    fn a_newer_version_is_unsupported_and_what_is_whole_but_no_record_is_none() {
        let key = key();
        let with = |text: &str| {
            let crc = checksum(&key, &[text.as_bytes()]);
            let line = format!("{HEAD}{crc:08x}{REST}{text}");
            assert!(is_whole(&key, line.as_bytes()));
            decode(line.as_bytes()).unwrap_err()
        };
        let rest = r#""write":1,"etag":"2a","keep_until":7"#;
        assert_eq!(with(&format!(r#""version":2,{rest},"record":1}}"#)), Fault::Newer(2));
        for text in [
            format!(r#""version":1,{rest}}}"#),
            format!(r#""version":1,{rest},"record":1,"base64":""}}"#),
            format!(r#""version":1,{rest},"base64":"?"}}"#),
            r#""version":1,"write":1,"etag":"x","keep_until":7,"record":1}"#.to_owned(),
            "]".to_owned(),
        ] {
            assert_eq!(with(&text), Fault::NoRecord, "{text}");
        }
    }
}
