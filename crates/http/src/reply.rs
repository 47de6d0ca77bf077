//! Reading a token reply: keep first, judge after.
//!
//! By the time we read it the endpoint may have spent the old refresh token, so no nonsense in one field may cost another
//! (`pitfalls` A8). Each field is judged alone, and what follows a damage costs only what came after it.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use wix_visitor_core::Secret;

/// A lifetime above this is nonsense, and as good as none.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// What could be read of a reply.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) access_token: Option<Secret>,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) expires_in: Option<Duration>,
    /// Whether it was one JSON object to its end. Behind the end may be anything.
    pub(crate) whole: bool,
}

/// Reads as much as can be read.
pub(crate) fn read(body: &[u8]) -> Read {
    let mut read = Read::default();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut json = serde_json::Deserializer::from_slice(body);
    let whole = json.deserialize_map(Fields(&mut read)).is_ok();
    read.whole = whole;
    if !whole {
        // A number has no closing mark: what looks like 144 may have been 14400.
        read.expires_in = None;
    }
    read
}

struct Fields<'a>(&'a mut Read);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token reply")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let read = self.0;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match key.as_ref() {
                "access_token" | "accessToken" => keep(&mut read.access_token, token(map.next_value()?)),
                "refresh_token" | "refreshToken" => keep(&mut read.refresh_token, token(map.next_value()?)),
                "expires_in" | "expiresIn" => keep(&mut read.expires_in, lifetime(map.next_value()?)),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A second spelling, or a repeated field without a value, never takes away what is there.
fn keep<T>(slot: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *slot = new;
    }
}

fn token(raw: &RawValue) -> Option<Secret> {
    let text = zeroize::Zeroizing::new(serde_json::from_str::<String>(raw.get()).ok()?);
    (!text.trim().is_empty()).then(|| Secret::new(text.as_str()))
}

fn lifetime(raw: &RawValue) -> Option<Duration> {
    let raw = raw.get();
    let seconds: f64 = if raw.starts_with('"') {
        serde_json::from_str::<String>(raw).ok()?.trim().parse().ok()?
    } else {
        // Not as a JSON number: one beyond what a float holds must be read as absurd, not as an error.
        raw.parse().ok()?
    };
    if seconds.is_nan() {
        return None;
    }
    // Already expired is something the endpoint said; it is not the same as saying nothing.
    let lifetime = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    (lifetime <= LONGEST).then_some(lifetime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(body: &str) -> (Option<String>, Option<String>, bool) {
        let read = read(body.as_bytes());
        let text = |s: Option<Secret>| s.map(|s| s.expose().to_owned());
        (text(read.access_token), text(read.refresh_token), read.whole)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn tokens_are_kept_whatever_stands_around_them() {
        for body in [
            r#"{"access_token":"a","token_type":"Bearer","expires_in":14400,"refresh_token":"r"}"#,
            r#"{"accessToken":"a","refreshToken":"r"}"#,
            r#"{"refresh_token":"r","access_token":"a","expires_in":{"x":[1]},"scope":7,"token_type":null}"#,
            r#"{"access_token":"a","expires_in":1e999,"refresh_token":"r"}"#,
            r#"{"access_token":"a","access_token":"","refresh_token":"r","refresh_token":null}"#,
            r#"{"access_token":"a","refresh_token":"r"} trailing"#,
            "\u{feff}{\"access_token\":\"a\",\"refresh_token\":\"r\"}",
            r#"{"access_token":"\u0061","refresh_token":"r"}"#,
        ] {
            assert_eq!(tokens(body), (some("a"), some("r"), true), "{body}");
        }
    }

    #[test]
    fn a_damage_costs_only_what_comes_after_it() {
        assert_eq!(tokens(r#"{"access_token":"a","refresh_token":"r","x":"#), (some("a"), some("r"), false));
        assert_eq!(tokens(r#"{"access_token":"a","refresh_token":"r"#), (some("a"), None, false));
        assert_eq!(tokens(r#"{"access_token":"a" "refresh_token":"r"}"#), (some("a"), None, false));
    }

    #[test]
    fn an_empty_token_is_none() {
        for body in [
            r#"{"access_token":"","refresh_token":null}"#,
            r#"{"access_token":" ","refresh_token":5}"#,
            r#"{"access_token":{"value":"a"},"refresh_token":["r"]}"#,
            "{}",
        ] {
            assert_eq!(tokens(body), (None, None, true), "{body}");
        }
        for body in ["", "null", "[]", "\"a\"", "<html>", "\u{0}"] {
            assert_eq!(tokens(body), (None, None, false), "{body}");
        }
    }

    #[test]
    fn every_lifetime_is_read_or_ignored() {
        for (value, seconds) in [
            ("14400", Some(14400.0)),
            ("\"14400\"", Some(14400.0)),
            ("\" 14400 \"", Some(14400.0)),
            ("14400.5", Some(14400.5)),
            ("1.44e4", Some(14400.0)),
            ("0", Some(0.0)),
            ("-0", Some(0.0)),
            ("-5", Some(0.0)),
            ("\"-5\"", Some(0.0)),
            ("-1e999", Some(0.0)),
            ("315360000", Some(315_360_000.0)),
            ("999999999999", None),
            ("1e999", None),
            ("18446744073709551616", None),
            ("\"NaN\"", None),
            ("\"inf\"", None),
            ("\"soon\"", None),
            ("\"\"", None),
            ("null", None),
            ("true", None),
            ("[14400]", None),
        ] {
            let read = read(format!(r#"{{"expires_in":{value}}}"#).as_bytes());
            assert_eq!(read.expires_in.map(|d| d.as_secs_f64()), seconds, "{value}");
        }
    }
}
