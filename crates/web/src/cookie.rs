//! The session cookie: the id of a session and the day it was given out, read with suspicion.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use wix_visitor_core::{Entropy, Error, ErrorKind, Secret, SystemEntropy, Timestamp};

/// The most that browsers keep a cookie for.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The id of a session: 128 random bits, in the letters of base64url. It is the visitor's key, and as good as a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionId(Secret);

impl SessionId {
    pub(crate) fn new() -> Self {
        Self(Secret::new(URL_SAFE_NO_PAD.encode(SystemEntropy.draw().to_be_bytes())))
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 16).then(|| Self(Secret::new(text)))
    }

    /// The visitor's key.
    pub(crate) fn key(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(redacted)")
    }
}

/// Days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day(u64);

impl Day {
    pub(crate) fn of(now: Timestamp) -> Self {
        Self(u64::try_from(now.as_millis()).unwrap_or(0) / (24 * 60 * 60 * 1000))
    }
}

/// What the cookies of a request say about its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// There is no session cookie.
    Nothing,
    /// One session, and when its cookie was given out.
    Session(SessionId, Day),
    /// Something that was never given out, or more than one session.
    Damaged,
}

/// The session cookie's name and attributes.
#[derive(Clone, Debug)]
pub(crate) struct SessionCookie {
    pub(crate) name: String,
    /// On loopback, under its plain name and without `Secure`.
    pub(crate) plain_on_loopback: bool,
}

impl SessionCookie {
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) || name.starts_with("__") {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a cookie's name is made of up to 64 letters, digits, hyphens and underscores, two of which it cannot begin \
                 with; the prefix __Host- is added by itself",
            ));
        }
        Ok(Self { name: name.to_owned(), plain_on_loopback: false })
    }

    fn is_plain(&self, loopback: bool) -> bool {
        self.plain_on_loopback && loopback
    }

    /// Reads the session from a request's cookies. A damaged cookie beside a good one is passed over: the good one counts.
    pub(crate) fn read(&self, headers: &HeaderMap, loopback: bool) -> Shown {
        let mut shown = Shown::Nothing;
        for cookie in values(headers, &self.name, self.is_plain(loopback)) {
            let session = cookie.and_then(|value| {
                let (id, day) = value.split_once('.')?;
                let day = Some(day).filter(|day| day.len() <= 6 && day.bytes().all(|b| b.is_ascii_digit()))?;
                Some((SessionId::read(id)?, Day(day.parse().ok()?)))
            });
            shown = match (shown, session) {
                (Shown::Nothing | Shown::Damaged, Some((id, day))) => Shown::Session(id, day),
                (Shown::Session(first, at), Some((id, day))) if first == id => Shown::Session(id, Day(at.0.max(day.0))),
                (Shown::Session(..), Some(_)) => return Shown::Damaged,
                (Shown::Nothing, None) => Shown::Damaged,
                (shown, None) => shown,
            };
        }
        shown
    }

    /// The header that gives this session to the browser, for so long.
    pub(crate) fn write(&self, id: &SessionId, today: Day, keep: Duration, loopback: bool) -> Option<HeaderValue> {
        let seconds = keep.min(LONGEST).as_secs();
        let (prefix, secure) = if self.is_plain(loopback) { ("", "") } else { ("__Host-", "; Secure") };
        let text = format!(
            "{prefix}{}={}.{}; Path=/; Max-Age={seconds}; HttpOnly{secure}; SameSite=Lax",
            self.name,
            id.key(),
            today.0
        );
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The values of all cookies of this name, `None` for one that is no text.
fn values<'a>(headers: &'a HeaderMap, name: &'a str, plain: bool) -> impl Iterator<Item = Option<&'a str>> {
    let prefix: &[u8] = if plain { b"" } else { b"__Host-" };
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(prefix)?.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(std::str::from_utf8(value).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie() -> SessionCookie {
        SessionCookie::new("visitor").unwrap()
    }

    fn read(text: &[&str]) -> Shown {
        let mut headers = HeaderMap::new();
        for text in text {
            headers.append(COOKIE, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        }
        cookie().read(&headers, false)
    }

    const ONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const OTHER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

    #[test]
    fn what_was_given_out_is_read_again_among_other_cookies_and_in_many_headers() {
        let id = SessionId::new();
        let header = cookie().write(&id, Day(20_780), Duration::from_secs(60), false).unwrap();
        let text = header.to_str().unwrap();
        assert!(text.ends_with("; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"), "{text}");
        assert!(header.is_sensitive());
        let pair = text.split(';').next().unwrap();
        let shown = Shown::Session(id, Day(20_780));
        assert_eq!(read(&[pair]), shown);
        assert_eq!(read(&["a=b", &format!("c=d;{pair} ; e")]), shown);
        assert_eq!(read(&["a=b", "visitor=x"]), Shown::Nothing, "another cookie of the plain name");
    }

    #[test]
    fn what_was_never_given_out_is_damaged_and_nothing_else() {
        let huge = "x".repeat(64 * 1024);
        for value in [
            "",
            ".",
            ONE,
            &format!("{ONE}."),
            &format!("{ONE}.x"),
            &format!("{ONE}.-1"),
            &format!("{ONE}.99999999999999999999"),
            &format!("{}.1", &ONE[1..]),
            &format!("{ONE}A.1"),
            // The same bytes, had base64 been read leniently.
            "AAAAAAAAAAAAAAAAAAAAAB.1",
            "AAAAAAAAAAAAAAAAAAAAA=.1",
            &huge,
        ] {
            assert_eq!(read(&[&format!("__Host-visitor={value}")]), Shown::Damaged, "{value:.40}");
        }
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_bytes(b"__Host-visitor=\xff\xfe").unwrap());
        assert_eq!(cookie().read(&headers, false), Shown::Damaged);
    }

    #[test]
    fn a_session_is_found_beside_damage_and_two_sessions_are_none() {
        let one = format!("__Host-visitor={ONE}.5");
        let other = format!("__Host-visitor={OTHER}.5");
        let shown = Shown::Session(SessionId::read(ONE).unwrap(), Day(5));
        assert_eq!(read(&[&format!("{one}; {one}")]), shown);
        assert_eq!(read(&[&format!("{one}; __Host-visitor=cut")]), shown);
        assert_eq!(read(&[&format!("__Host-visitor=cut; {one}")]), shown);
        assert_eq!(read(&[&format!("{one}; {other}")]), Shown::Damaged);
    }

    #[test]
    fn the_plain_name_is_for_loopback_and_only_where_it_is_wanted() {
        let mut cookie = cookie();
        cookie.plain_on_loopback = true;
        let id = SessionId::new();
        let write = |cookie: &SessionCookie, loopback| {
            let header = cookie.write(&id, Day(1), LONGEST * 2, loopback).unwrap();
            header.to_str().unwrap().to_owned()
        };
        let plain = write(&cookie, true);
        assert!(plain.starts_with("visitor=") && !plain.contains("Secure"), "{plain}");
        assert!(plain.contains("Max-Age=34560000;"), "no longer than browsers keep it: {plain}");
        assert!(write(&cookie, false).starts_with("__Host-visitor="));
        cookie.plain_on_loopback = false;
        assert!(write(&cookie, true).contains("Secure"));
    }

    #[test]
    fn a_name_that_is_no_cookies_name_is_refused_and_an_id_is_not_shown() {
        for name in ["", "a b", "a;b", "__Host-visitor", "é"] {
            assert_eq!(SessionCookie::new(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        }
        let id = SessionId::new();
        let shown = format!("{:?} {:?}", id, Shown::Session(id.clone(), Day(1)));
        assert!(!shown.contains(id.key()), "{shown}");
        assert_ne!(SessionId::new(), SessionId::new());
    }
}
