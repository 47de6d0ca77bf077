//! Secrets to plant into inputs, and whether they come out again where they must not.

use std::sync::LazyLock;

use memchr::memmem;

/// Pieces of this many bytes are looked for first.
const PIECE: usize = 8;
const SLOTS: usize = 4096;

/// A secret.
pub(crate) struct Marker {
    text: &'static str,
    /// The slots of its pieces.
    pieces: Box<[bool; SLOTS]>,
}

/// A token that we never sent, as long as Wix's own parts are. `TOKEN` stands for it in inputs.
pub(crate) static FOREIGN: LazyLock<Marker> = LazyLock::new(|| {
    Marker::of("OauthNG.JWS.eyJraWQiOiJZSEJzdUpwSCJ9.eyJkYXRhIjoie1wiaWRcIjpcIjEyM1wifSJ9.Qf3mZx9Lw2Vb7Kp4")
});
/// The refresh token that we sent. `SENT` stands for it in inputs.
pub(crate) static SENT: LazyLock<Marker> =
    LazyLock::new(|| Marker::of("JWS.eyJhbGciOiJIUzI1NiJ9.eyJyZWZyZXNoIjoiYWJjZGVmIn0.x7Hq2Tn5Ry8Wd3"));
/// Another secret that we sent, in a header of its own: with blanks in it.
pub(crate) static SENT_WORDS: LazyLock<Marker> = LazyLock::new(|| Marker::of("key of the gate 42"));

impl Marker {
    fn of(text: &'static str) -> Self {
        let mut pieces = Box::new([false; SLOTS]);
        text.as_bytes().windows(PIECE).for_each(|piece| pieces[slot(piece)] = true);
        Self { text, pieces }
    }

    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    /// Whether the text holds a piece of the secret of this length, which is 8 at least.
    pub(crate) fn shows_in(&self, text: &str, piece: usize) -> bool {
        // A search byte by byte only where one by numbers found something: a fuzzer looks at each comparison of bytes, which is slow.
        text.as_bytes().windows(PIECE).any(|window| self.pieces[slot(window)])
            && self.text.as_bytes().windows(piece).any(|piece| holds(text.as_bytes(), piece))
    }
}

/// Equal pieces have equal slots, and different ones hardly ever.
fn slot(piece: &[u8]) -> usize {
    let number = piece.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}

/// The text with the secrets planted in it.
pub(crate) fn planted(text: &[u8]) -> Vec<u8> {
    replaced(&replaced(text, b"TOKEN", FOREIGN.text), b"SENT", SENT.text)
}

/// The text with one piece in the place of another.
fn replaced(text: &[u8], old: &[u8], new: &str) -> Vec<u8> {
    let (mut out, mut done) = (Vec::with_capacity(text.len()), 0);
    for at in memmem::find_iter(text, old) {
        out.extend_from_slice(&text[done..at]);
        out.extend_from_slice(new.as_bytes());
        done = at + old.len();
    }
    out.extend_from_slice(&text[done..]);
    out
}

/// Whether these bytes hold those.
pub(crate) fn holds(bytes: &[u8], piece: &[u8]) -> bool {
    memmem::find(bytes, piece).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_secret_shows_in_pieces_and_as_a_whole() {
        let text = String::from_utf8(planted(b"a TOKEN, SEN and SENT")).unwrap();
        assert_eq!(text, format!("a {}, SEN and {}", FOREIGN.text(), SENT.text()));
        assert!(FOREIGN.shows_in(&text, 16) && SENT.shows_in(&text, 8) && !SENT_WORDS.shows_in(&text, 8));
        assert!(SENT_WORDS.shows_in("of the gate", 8) && !SENT_WORDS.shows_in("of the gate", 12));
        assert!(!SENT_WORDS.shows_in("of  the  gate", 8) && !SENT_WORDS.shows_in("", 8));
    }
}
