//! The cookie of a session that the server keeps: its id and the day it was given out, read with suspicion.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::cookie::{CookieName, Day, Letters, SessionId, Shown};

/// Reads and writes such cookies.
#[derive(Clone, Debug)]
pub(crate) struct IdCookie {
    pub(crate) name: CookieName,
}

impl IdCookie {
    /// Reads the session from a request's cookies, and when they were given out. A damaged cookie beside a good one is passed over: the good one counts.
    pub(crate) fn read<'h>(&self, headers: &'h HeaderMap, plain: bool) -> Shown<(Letters<'h>, Day)> {
        let mut shown = Shown::Nothing;
        for cookie in self.name.values(headers, "", plain) {
            let session = session(cookie);
            shown = match (shown, session) {
                (Shown::Nothing | Shown::Damaged, Some(session)) => Shown::Session(session),
                (Shown::Session((first, at)), Some((id, day))) if first == id => Shown::Session((id, at.max(day))),
                (Shown::Session(..), Some(_)) => return Shown::Damaged,
                (Shown::Nothing, None) => Shown::Damaged,
                (shown, None) => shown,
            };
        }
        shown
    }

    /// The header that gives this session to the browser, for so long.
    pub(crate) fn write(&self, id: &SessionId, today: Day, keep: Duration, plain: bool) -> Option<HeaderValue> {
        self.name.cookie("", &format!("{}.{}", id.key(), today.0), keep, plain)
    }
}

/// An id, a dot, and a day of up to six digits.
fn session(value: &[u8]) -> Option<(Letters<'_>, Day)> {
    let (id, rest) = Letters::split(value)?;
    let day = rest.strip_prefix(b".").filter(|day| (1..=6).contains(&day.len()))?;
    let day = day.iter().try_fold(0, |day, digit| Some(day * 10 + u64::from(char::from(*digit).to_digit(10)?)))?;
    Some((Letters::read(id)?, Day(day)))
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use wix_visitor_core::ErrorKind;

    use super::*;

    fn cookie() -> IdCookie {
        IdCookie { name: CookieName::new("visitor").unwrap() }
    }

    fn read(text: &[&str]) -> Shown<(SessionId, Day)> {
        let mut headers = HeaderMap::new();
        for text in text {
            headers.append(COOKIE, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        }
        cookie().read(&headers, false).map(|(id, day)| (id.into(), day))
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
        let shown = Shown::Session((id, Day(20_780)));
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
        let shown = Shown::Session((SessionId::read(ONE.as_bytes()).unwrap(), Day(5)));
        assert_eq!(read(&[&format!("{one}; {one}")]), shown);
        assert_eq!(read(&[&format!("{one}; __Host-visitor=cut")]), shown);
        assert_eq!(read(&[&format!("__Host-visitor=cut; {one}")]), shown);
        assert_eq!(read(&[&format!("{one}; {other}")]), Shown::Damaged);
    }

    #[test]
    fn the_plain_name_comes_without_secure() {
        let cookie = cookie();
        let id = SessionId::new();
        let write = |plain| {
            let header = cookie.write(&id, Day(1), Duration::from_secs(800 * 24 * 60 * 60), plain).unwrap();
            header.to_str().unwrap().to_owned()
        };
        let plain = write(true);
        assert!(plain.starts_with("visitor=") && !plain.contains("Secure"), "{plain}");
        assert!(plain.contains("Max-Age=34560000;"), "no longer than browsers keep it: {plain}");
        let full = write(false);
        assert!(full.starts_with("__Host-visitor=") && full.contains("; Secure;"), "{full}");
    }

    #[test]
    fn a_name_that_is_no_cookies_name_is_refused_and_an_id_is_not_shown() {
        for name in ["", "a b", "a;b", "__Host-visitor", "é"] {
            assert_eq!(CookieName::new(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        }
        let id = SessionId::new();
        let shown = format!("{:?} {:?}", id, Shown::Session((id.clone(), Day(1))));
        assert!(!shown.contains(id.key()), "{shown}");
        assert_ne!(SessionId::new(), SessionId::new());
    }
}
