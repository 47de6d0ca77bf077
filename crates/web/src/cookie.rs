//! What a session's cookies have in common: a name, attributes, the session's id and the day they were given out.

use std::time::Duration;
use std::{fmt, iter};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use wix_visitor_core::{Entropy, Error, ErrorKind, SystemEntropy, Timestamp};
use zeroize::Zeroizing;

/// The most that browsers keep a cookie for.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The id of a session: 128 random bits, in the letters of base64url. It is as good as a password.
#[derive(Clone, PartialEq, Eq)]
#[repr(align(8))] // moved as whole words: to read what was written in other pieces is to wait
pub(crate) struct SessionId(Zeroizing<[u8; LETTERS]>);

/// How many those bits have.
const LETTERS: usize = 22;

/// Which bytes are letters of base64url.
const IS_LETTER: [bool; 256] = {
    let mut known = [false; 256];
    let mut byte = 0;
    while byte < known.len() {
        known[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_');
        byte += 1;
    }
    known
};

impl SessionId {
    pub(crate) fn new() -> Self {
        let mut letters = Zeroizing::new([0; LETTERS]);
        // There is room for as many as they are.
        let _ = URL_SAFE_NO_PAD.encode_slice(SystemEntropy.draw().to_be_bytes(), &mut *letters);
        Self(letters)
    }

    /// The id that these letters are, and no other spelling of it.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        Letters::read(text).map(Self::from)
    }

    /// Its text.
    pub(crate) fn key(&self) -> &str {
        // Letters of ASCII.
        std::str::from_utf8(&*self.0).unwrap_or_default()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(redacted)")
    }
}

/// The letters of an id, where they were read: nothing is copied until it is known which session counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letters<'a>(&'a [u8; LETTERS]);

impl<'a> Letters<'a> {
    /// Splits what is as long as an id from what comes after it.
    pub(crate) fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
        text.split_at_checked(LETTERS)
    }

    /// As [`SessionId::read`].
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        let letters = <&[u8; LETTERS]>::try_from(text).ok()?;
        let known = letters.iter().all(|letter| IS_LETTER[usize::from(*letter)]);
        // Of the last, four bits are no part of it, and are zero.
        (known && matches!(letters[LETTERS - 1], b'A' | b'Q' | b'g' | b'w')).then_some(Self(letters))
    }
}

impl From<Letters<'_>> for SessionId {
    fn from(letters: Letters<'_>) -> Self {
        Self(Zeroizing::new(*letters.0))
    }
}

impl fmt::Debug for Letters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letters(redacted)")
    }
}

/// Days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Day(pub(crate) u64);

impl Day {
    pub(crate) fn of(now: Timestamp) -> Self {
        Self(u64::try_from(now.as_millis()).unwrap_or(0) / (24 * 60 * 60 * 1000))
    }
}

/// What the cookies of a request say about its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown<T> {
    /// There is no session cookie.
    Nothing,
    /// One session.
    Session(T),
    /// Something that was never given out, or more than one session.
    Damaged,
}

impl<T> Shown<T> {
    /// The same, of a session that is something else.
    pub(crate) fn map<U>(self, of: impl FnOnce(T) -> U) -> Shown<U> {
        match self {
            Self::Nothing => Shown::Nothing,
            Self::Session(session) => Shown::Session(of(session)),
            Self::Damaged => Shown::Damaged,
        }
    }
}

/// What the cookies are called, and where they may go.
#[derive(Clone, Debug)]
pub(crate) struct CookieName {
    /// With the prefix.
    full: String,
    /// On loopback, without the prefix and without `Secure`.
    pub(crate) plain_on_loopback: bool,
}

/// Browsers take a cookie of this prefix from the very host alone.
const PREFIX: &str = "__Host-";

impl CookieName {
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.is_empty() || text.len() > 64 || !text.chars().all(plain) || text.starts_with("__") {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a cookie's name is made of up to 64 letters, digits, hyphens and underscores, two of which it cannot begin \
                 with; the prefix __Host- is added by itself",
            ));
        }
        Ok(Self { full: format!("{PREFIX}{text}"), plain_on_loopback: false })
    }

    /// Unless said otherwise.
    pub(crate) fn usual() -> Self {
        Self { full: format!("{PREFIX}visitor"), plain_on_loopback: false }
    }

    /// Without the prefix.
    pub(crate) fn text(&self) -> &str {
        &self.full[PREFIX.len()..]
    }

    /// What a request's cookies are called.
    fn called(&self, plain: bool) -> &str {
        if plain { self.text() } else { &self.full }
    }

    /// The values of all cookies of this name, with this after it.
    pub(crate) fn values<'h, 'n>(
        &'n self,
        headers: &'h HeaderMap,
        suffix: &'n str,
        plain: bool,
    ) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        let name = self.called(plain);
        pairs(headers).filter_map(move |pair| {
            pair.strip_prefix(name.as_bytes())?.strip_prefix(suffix.as_bytes())?.strip_prefix(b"=")
        })
    }

    /// What stands after this name and a hyphen in the names of all cookies that begin so.
    pub(crate) fn suffixes(&self, headers: &HeaderMap, plain: bool) -> Vec<String> {
        let name = self.called(plain);
        let suffixes = pairs(headers).filter_map(|pair| {
            let rest = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"-")?;
            let suffix = rest.split(|byte| *byte == b'=').next()?;
            std::str::from_utf8(suffix).ok().map(str::to_owned)
        });
        suffixes.collect()
    }

    /// The header that gives a cookie to the browser, for so long.
    pub(crate) fn cookie(&self, suffix: &str, value: &str, keep: Duration, plain: bool) -> Option<HeaderValue> {
        let secure = if plain { "" } else { "; Secure" };
        let (name, seconds) = (self.called(plain), keep.min(LONGEST).as_secs());
        let text = format!("{name}{suffix}={value}; Path=/; Max-Age={seconds}; HttpOnly{secure}; SameSite=Lax");
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// All cookies of a request, each with its name.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).into_iter().flat_map(|header| parts(header.as_bytes())).map(<[u8]>::trim_ascii)
}

/// What stands between semicolons.
fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(text);
    iter::from_fn(move || {
        let text = left?;
        let end = memchr::memchr(b';', text);
        left = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}
