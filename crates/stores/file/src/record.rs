//! One record as a file that a person can read: a JSON object on one line.
//!
//! ```json
//! {"checksum":"f7e1a203","version":1,"etag":"00…2a","keep_until":1767225600000,"record":{…}}
//! ```
//!
//! `record` is the record itself where that is JSON; in its place stands `base64` where it is not, or where it would not come back
//! byte for byte. The checksum comes first and is over all that comes after it, and over the key: so whatever happens to a file, it
//! is known before anything in it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use wix_visitor_core::{Etag, StoreError, StoreErrorKind, StoreKey, Stored};
use wix_visitor_local::checksum;

use crate::error::BACKEND;

/// The layout above.
const VERSION: u32 = 1;

/// More than any file of a record has.
pub(crate) const MAX_BYTES: usize = file_bytes(Stored::MAX_SEALED_BYTES);

/// At most so many bytes does the file of a record of this many have.
pub(crate) const fn file_bytes(record: usize) -> usize {
    record.div_ceil(3) * 4 + 256
}

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
}

const HEAD: &str = "{\"checksum\":\"";
const REST: &str = "\",";

/// The file of a record, to be kept until that many milliseconds after 1970.
pub(crate) fn encode(key: &StoreKey, stored: &Stored, keep_until: i64) -> Result<Vec<u8>, StoreError> {
    let as_json = std::str::from_utf8(&stored.bytes).ok().and_then(|text| serde_json::from_str(text).ok());
    if let Some(record) = as_json {
        let file = write(key, stored.etag, keep_until, Some(record), None)?;
        // White space around it is not part of a value, and null is taken for none.
        if read(key, &file).is_ok_and(|found| found == *stored) {
            return Ok(file);
        }
    }
    write(key, stored.etag, keep_until, None, Some(STANDARD.encode(&stored.bytes)))
}

fn write(
    key: &StoreKey,
    etag: Etag,
    keep_until: i64,
    record: Option<&RawValue>,
    base64: Option<String>,
) -> Result<Vec<u8>, StoreError> {
    let etag = format!("{:032x}", etag.to_bits());
    let content = Content { version: VERSION, etag, keep_until, record, base64 };
    let mut text = serde_json::to_string(&content).map_err(|e| {
        BACKEND.error(StoreErrorKind::Unsupported, "the record cannot be written as JSON").with_source(e)
    })?;
    // Its brace stands before the checksum.
    text.remove(0);
    text.push('\n');
    let crc = checksum(key, &[text.as_bytes()]);
    Ok(format!("{HEAD}{crc:08x}{REST}{text}").into_bytes())
}

/// The record in a file.
///
/// # Errors
/// Of the kind *corrupt*, with an etag that names this very content, if it is not what was written.
pub(crate) fn read(key: &StoreKey, file: &[u8]) -> Result<Stored, StoreError> {
    let content = content(key, file)?;
    let etag = u128::from_str_radix(&content.etag, 16).ok();
    let bytes = match (content.record, content.base64) {
        (Some(record), None) => Some(record.get().as_bytes().to_vec()),
        (None, Some(base64)) => STANDARD.decode(base64).ok(),
        _ => None,
    };
    match etag.zip(bytes) {
        Some((etag, bytes)) => Ok(Stored { etag: Etag::from_bits(etag), bytes }),
        None => Err(damaged(key, file, "is not a record")),
    }
}

fn content<'a>(key: &StoreKey, file: &'a [u8]) -> Result<Content<'a>, StoreError> {
    if !is_whole(key, file) {
        return Err(damaged(key, file, "does not match its checksum"));
    }
    let content: Content<'_> = serde_json::from_slice(file).map_err(|_| damaged(key, file, "is not a record"))?;
    if content.version > VERSION {
        let visitor = key.visitor_id();
        return Err(BACKEND.error(
            StoreErrorKind::Unsupported,
            format!(
                "the record of visitor {visitor} has version {}, and this release knows {VERSION} at most; update it",
                content.version
            ),
        ));
    }
    Ok(content)
}

/// Until when the record in a file is to be kept: milliseconds since 1970.
///
/// # Errors
/// Likewise.
pub(crate) fn keep_until(key: &StoreKey, file: &[u8]) -> Result<i64, StoreError> {
    content(key, file).map(|content| content.keep_until)
}

fn is_whole(key: &StoreKey, file: &[u8]) -> bool {
    let after_head = file.strip_prefix(HEAD.as_bytes()).and_then(|rest| rest.split_at_checked(8));
    let Some((crc, rest)) = after_head else { return false };
    let Some(rest) = rest.strip_prefix(REST.as_bytes()) else { return false };
    format!("{:08x}", checksum(key, &[rest])).as_bytes() == crc
}

fn damaged(key: &StoreKey, file: &[u8], how: &str) -> StoreError {
    let visitor = key.visitor_id();
    BACKEND
        .error(
            StoreErrorKind::Corrupt,
            format!(
                "the file of visitor {visitor} is damaged: it {how}; restore it from a backup (or forget this visitor, to \
                 begin anew)"
            ),
        )
        .with_standing(name_of(file))
}

/// 128 bits of a hash: as good as random, and the same for the same content.
fn name_of(file: &[u8]) -> Etag {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(file)[..16]);
    Etag::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StoreKey {
        StoreKey::parse(text).unwrap()
    }

    fn stored(bytes: impl AsRef<[u8]>) -> Stored {
        Stored { etag: Etag::from_bits(42), bytes: bytes.as_ref().to_vec() }
    }

    #[test]
    fn json_is_kept_as_it_is_and_all_else_as_base64() {
        let key = key("site/1");
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
            let file = encode(&key, &stored(bytes), 7).unwrap();
            assert_eq!(read(&key, &file).unwrap(), stored(bytes));
            let text = std::str::from_utf8(&file).unwrap();
            assert_eq!(text.contains(&format!("\"record\":{bytes}}}\n")), plain, "{bytes}");
            assert!(text.contains("\"etag\":\"0000000000000000000000000000002a\",\"keep_until\":7,"), "{text}");
            assert!(file.len() <= file_bytes(bytes.len()));
        }
        let largest = stored(vec![0xff; Stored::MAX_BYTES]);
        let file = encode(&key, &largest, i64::MIN).unwrap();
        assert!(file.len() <= MAX_BYTES);
        assert_eq!(read(&key, &file).unwrap(), largest);
    }

    #[test]
    fn any_flipped_bit_any_cut_and_another_name_is_corrupt_under_an_etag_of_its_own() {
        let (one, other) = (key("site/1"), key("site/2"));
        let file = encode(&one, &stored(r#"{"token":"secret"}"#), 7).unwrap();
        let mut names = std::collections::HashSet::new();
        let mut check = |key: &StoreKey, file: &[u8]| {
            let error = read(key, file).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"));
            names.insert(error.standing().unwrap().to_bits())
        };
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut flipped = file.clone();
                flipped[at] ^= 1 << bit;
                assert!(check(&one, &flipped));
            }
            assert!(check(&one, &file[..at]));
        }
        assert!(check(&other, &file));
        assert!(!check(&other, &file), "the same content has the same name");
        assert!(check(&one, &[&file[..], b"\n"].concat()));
    }

    #[test]
    fn a_newer_version_is_unsupported_and_what_is_whole_but_no_record_is_corrupt() {
        let key = key("site/1");
        let with = |text: &str| {
            let crc = checksum(&key, &[text.as_bytes()]);
            read(&key, format!("{HEAD}{crc:08x}{REST}{text}").as_bytes()).unwrap_err().kind()
        };
        let rest = r#""etag":"2a","keep_until":7"#;
        assert_eq!(with(&format!(r#""version":2,{rest},"record":1}}"#)), StoreErrorKind::Unsupported);
        for text in [
            format!(r#""version":1,{rest}}}"#),
            format!(r#""version":1,{rest},"record":1,"base64":""}}"#),
            format!(r#""version":1,{rest},"base64":"?"}}"#),
            r#""version":1,"etag":"x","keep_until":7,"record":1}"#.to_owned(),
            "]".to_owned(),
        ] {
            assert_eq!(with(&text), StoreErrorKind::Corrupt, "{text}");
        }
    }
}
