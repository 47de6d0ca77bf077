//! What tells a record that was written from one that was damaged.

use wix_visitor_core::StoreKey;

/// A CRC-32 over a record's parts, bound to its key: under another's name it is damaged too. Only the last part may be of any
/// length.
pub fn checksum(key: &StoreKey, parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    // The key ends at its zero byte, which no key has.
    crc.update(key.as_str().as_bytes());
    crc.update(&[0]);
    for part in parts {
        crc.update(part);
    }
    crc.finalize()
}
