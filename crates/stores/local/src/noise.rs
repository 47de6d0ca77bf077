//! Bytes that only take up room.

use std::fs::File;
use std::io::{self, Write};

/// Fills a file from where it stands with this many bytes, to the nearest eight above, and waits for the disk.
///
/// Written, and with bytes that do not compress away: a file that is merely long takes no room.
///
/// # Errors
/// The file system's; a part may have been written.
pub fn fill(file: &mut File, bytes: usize) -> io::Result<()> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_ne_bytes()
    })
    .take(bytes.div_ceil(8))
    .flatten()
    .collect();
    file.write_all(&block)?;
    file.sync_all()
}
