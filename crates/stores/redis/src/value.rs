//! A record as the string that stands at its key: etag (16 bytes), checksum (4), and the bytes.

use wix_visitor_core::{Etag, StoreError, StoreErrorKind, StoreKey, Stored};

use crate::error::error;

const ETAG: usize = 16;

/// The string for this record.
pub(crate) fn write(key: &StoreKey, record: &Stored) -> Vec<u8> {
    let etag = record.etag.to_bytes();
    let mut value = Vec::with_capacity(ETAG + 4 + record.bytes.len());
    value.extend(etag);
    value.extend(checksum(key, &etag, &record.bytes).to_be_bytes());
    value.extend(&record.bytes);
    value
}

/// The record in such a string, or the error *corrupt* if it is not what was written.
///
/// A string that is too short for an etag has one all the same, to be replaced by: its bytes, and zeros behind them. The script
/// that swaps counts in the same way.
pub(crate) fn read(key: &StoreKey, mut value: Vec<u8>) -> Result<Stored, StoreError> {
    let mut etag = [0; ETAG];
    let told = value.len().min(ETAG);
    etag[..told].copy_from_slice(&value[..told]);
    let whole = value.split_at_checked(ETAG).and_then(|(_, rest)| rest.split_first_chunk::<4>());
    let matches = whole.is_some_and(|(crc, bytes)| checksum(key, &etag, bytes).to_be_bytes() == *crc);
    let etag = Etag::from_bytes(etag);
    if !matches {
        return Err(damaged(key, "it does not match its checksum").with_standing(etag));
    }
    value.drain(..ETAG + 4);
    Ok(Stored { etag, bytes: value })
}

/// The error for a record that cannot be read.
pub(crate) fn damaged(key: &StoreKey, how: &str) -> StoreError {
    let visitor = key.visitor_id();
    error(
        StoreErrorKind::Corrupt,
        format!("the record of visitor {visitor} is damaged: {how}; restore it, or forget this visitor to begin anew"),
    )
}

/// The key ends at its zero byte, which no key has, and the etag is of fixed length.
fn checksum(key: &StoreKey, etag: &[u8; ETAG], bytes: &[u8]) -> u32 {
    const HEAD: usize = StoreKey::MAX_LEN + 1 + ETAG;
    // In one piece: each has its price, whatever its length.
    let (mut head, key) = ([0; HEAD], key.as_str().as_bytes());
    let end = key.len() + 1 + ETAG;
    head[..key.len()].copy_from_slice(key);
    head[key.len() + 1..end].copy_from_slice(etag);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[..end]);
    crc.update(bytes);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StoreKey {
        StoreKey::parse(text).unwrap()
    }

    #[test]
    fn what_was_written_is_read_and_whatever_happens_to_it_is_corrupt() {
        let record = Stored { etag: Etag::from_bits(7 << 100), bytes: b"a record".to_vec() };
        let whole = write(&key("a/b"), &record);
        assert_eq!(read(&key("a/b"), whole.clone()).unwrap(), record);
        for length in 0..whole.len() {
            let error = read(&key("a/b"), whole[..length].to_vec()).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "cut to {length}");
            assert!(error.standing().is_some());
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = read(&key("a/b"), flipped).unwrap_err();
            assert_eq!(error.standing() == Some(record.etag), bit >= 128, "bit {bit}");
        }
        assert!(read(&key("a/c"), whole).is_err(), "another visitor's record is none of this one");
    }

    #[test]
    fn an_empty_record_is_one() {
        let record = Stored { etag: Etag::from_bits(u128::MAX), bytes: Vec::new() };
        assert_eq!(read(&key("a"), write(&key("a"), &record)).unwrap(), record);
    }
}
