//! Secrets to plant into inputs, and whether they come out again where they must not.

/// Stands in inputs for [`FOREIGN`].
const STANDS_FOR_FOREIGN: &str = "TOKEN";
/// A token that we never sent, as long as Wix's own parts are.
pub(crate) const FOREIGN: &str =
    "OauthNG.JWS.eyJraWQiOiJZSEJzdUpwSCJ9.eyJkYXRhIjoie1wiaWRcIjpcIjEyM1wifSJ9.Qf3mZx9Lw2Vb7Kp4";

/// Stands in inputs for [`SENT`].
const STANDS_FOR_SENT: &str = "SENT";
/// The refresh token that we sent.
pub(crate) const SENT: &str = "JWS.eyJhbGciOiJIUzI1NiJ9.eyJyZWZyZXNoIjoiYWJjZGVmIn0.x7Hq2Tn5Ry8Wd3";
/// Another secret that we sent, in a header of its own: with blanks in it.
pub(crate) const SENT_WORDS: &str = "key of the gate 42";

/// The text with the secrets planted in it.
pub(crate) fn planted(text: &[u8]) -> Vec<u8> {
    let text = replaced(text, STANDS_FOR_FOREIGN.as_bytes(), FOREIGN.as_bytes());
    replaced(&text, STANDS_FOR_SENT.as_bytes(), SENT.as_bytes())
}

/// The text with one piece in the place of another.
pub(crate) fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(old) {
            out.extend_from_slice(new);
            rest = after;
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

/// Whether the text holds a piece of the secret of this length.
pub(crate) fn shows(text: &str, secret: &str, piece: usize) -> bool {
    let text = text.as_bytes();
    text.len() >= piece && secret.as_bytes().windows(piece).any(|piece| holds(text, piece))
}

/// Whether these bytes hold those.
pub(crate) fn holds(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}
