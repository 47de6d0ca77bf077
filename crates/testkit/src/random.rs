//! Random bytes in the forms that the testkit needs.

use std::fmt::Write as _;

/// `N` bytes from the operating system.
///
/// A machine without randomness cannot run the testkit at all, and every caller would have to give up: hence the panic.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the operating system gives no random bytes: {error}");
    }
    bytes
}

/// `N` random bytes as `2 * N` lower-case hex digits.
pub(crate) fn hex_digits<const N: usize>() -> String {
    hex(&bytes::<N>())
}

/// A random GUID, version 4.
pub(crate) fn guid() -> String {
    let mut bytes = bytes::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// Lower-case hex digits of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// A number below a hundred.
pub(crate) fn percent() -> u8 {
    // Of 2^64 numbers, 16 more are below than would be fair.
    u8::try_from(u64::from_be_bytes(bytes()) % 100).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_the_form_of_one() {
        let guid = guid();
        let groups: Vec<usize> = guid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&guid[14..15], "4");
    }
}
