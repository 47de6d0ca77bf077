//! A visitor's tokens, in and out of the JavaScript SDK's JSON.
//!
//! We write exactly what the SDK writes: `{"accessToken": {"value", "expiresAt": <epoch seconds>}, "refreshToken":
//! {"value", "role"}}`, where an absent token is an empty string. We read that and what else is met in the wild, and never
//! lose a refresh token over an oddity beside it: a missing or unknown role; `expiresAt` missing, `null`, `NaN`, a string, or
//! in milliseconds; a `{"clientId", "tokens": {…}}` wrapper; the whole as a JSON string; only one of the two tokens; `{}`;
//! `null`.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// How many wrappers and strings token JSON may be within: more than anybody's, and an end to it.
const WITHIN: u32 = 8;

/// Whom a refresh token stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Not said. Renewed like any other, but not replaced by a new visitor once refused: it may be a member's.
    #[default]
    None,
    /// An anonymous visitor.
    Visitor,
    /// A signed-in member of the site. Never replaced by a new visitor: the application decides.
    Member,
}

impl Role {
    /// The SDK's word: `none`, `visitor` or `member`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Visitor => "visitor",
            Self::Member => "member",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An access token and when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AccessToken {
    /// The token.
    pub value: Secret,
    /// When it ends. Where the source did not say, and the token itself does not tell either, this is 1970: a token of
    /// unknown age is renewed before it is used.
    pub expires_at: Timestamp,
}

impl AccessToken {
    /// An access token that ends at `expires_at`.
    pub fn new(value: impl Into<Secret>, expires_at: Timestamp) -> Self {
        Self { value: value.into(), expires_at }
    }
}

/// A refresh token and whom it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RefreshToken {
    /// The token.
    pub value: Secret,
    /// Whom it stands for.
    pub role: Role,
}

impl RefreshToken {
    /// A refresh token of this role.
    pub fn new(value: impl Into<Secret>, role: Role) -> Self {
        Self { value: value.into(), role }
    }
}

/// A visitor's tokens. Either may be absent; an empty token is an absent one. `Debug` redacts both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tokens {
    /// What is sent to Wix APIs; lives 4 hours at Wix.
    pub access: Option<AccessToken>,
    /// What renews it, and holds the visitor's cart; lives a year or so.
    pub refresh: Option<RefreshToken>,
}

impl Tokens {
    /// Tokens of these parts.
    pub fn new(access: Option<AccessToken>, refresh: Option<RefreshToken>) -> Self {
        Self {
            access: access.filter(|token| !token.value.is_blank()),
            refresh: refresh.filter(|token| !token.value.is_blank()),
        }
    }

    /// The same without the white space that a token copied by hand may have brought along.
    #[must_use]
    pub(crate) fn trimmed(self) -> Self {
        let trim = |token: &Secret| Secret::new(token.expose().trim());
        Self::new(
            self.access.map(|token| AccessToken::new(trim(&token.value), token.expires_at)),
            self.refresh.map(|token| RefreshToken::new(trim(&token.value), token.role)),
        )
    }

    /// Whom the tokens stand for; [`Role::None`] without a refresh token.
    pub fn role(&self) -> Role {
        self.refresh.as_ref().map_or(Role::None, |token| token.role)
    }

    /// Reads the SDK's token JSON, or one of the odd forms met in the wild: a role missing or unknown;
    /// `expiresAt` missing, `null`, `NaN`, a string or in milliseconds; a `{"clientId", "tokens": {…}}` wrapper; the whole as a
    /// JSON string; one of the two tokens alone. A refresh token is never lost over an oddity beside it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the text is no JSON, or is not of this kind at all. `null` and `{}` are *no tokens*.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::from_value(Self::parse(text)?, WITHIN)
    }

    fn parse(text: &str) -> Result<Value, Error> {
        // Some writers put a bare NaN, which is no JSON, where the SDK had no expiry.
        serde_json::from_str(text).or_else(|error| serde_json::from_str(&without_nan(text)).map_err(|_| error)).map_err(
            |error| {
                let (line, column) = (error.line(), error.column());
                not_tokens(&format!("it stops being JSON at line {line}, column {column}"))
            },
        )
    }

    /// The SDK's token JSON. Holds both secrets.
    pub fn to_json(&self) -> Secret {
        // Strings, numbers and fixed names: nothing that JSON cannot say.
        Secret::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// `within` so many wrappers and strings more they may be.
    fn from_value(value: Value, within: u32) -> Result<Self, Error> {
        let inside = |value| match within.checked_sub(1) {
            Some(within) => Self::from_value(value, within),
            None => Err(not_tokens("it is JSON within JSON within JSON")),
        };
        let mut fields = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(fields) => fields,
            Value::String(text) if text.trim_start().starts_with(['{', 'n']) => return inside(Self::parse(&text)?),
            _ => return Err(not_tokens("it is not an object")),
        };
        if let Some(inner) = fields.remove("tokens") {
            return inside(inner);
        }
        let (access, refresh) = (fields.remove("accessToken"), fields.remove("refreshToken"));
        if access.is_none() && refresh.is_none() && !fields.is_empty() {
            return Err(not_tokens("it has neither accessToken nor refreshToken"));
        }
        let access = access.and_then(|part| {
            let (value, rest) = split(part)?;
            let expires_at = rest.get("expiresAt").and_then(moment);
            let expires_at = expires_at.or_else(|| payload(&value).map(|claims| claims.expires_at));
            Some(AccessToken { value, expires_at: expires_at.unwrap_or_default() })
        });
        let refresh = refresh.and_then(|part| {
            let (value, rest) = split(part)?;
            let role = match rest.get("role").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
                Some("visitor") => Role::Visitor,
                Some("member") => Role::Member,
                _ => Role::None,
            };
            Some(RefreshToken { value, role })
        });
        Ok(Self { access, refresh })
    }
}

/// The text with each `NaN` that stands outside a string replaced; one inside a token is the token's.
fn without_nan(text: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::with_capacity(text.len()), false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !quoted && rest.starts_with("NaN") {
            out.push_str("null");
            rest = &rest[3..];
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn not_tokens(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("this is not the token JSON of the Wix JavaScript SDK: {why}"))
}

/// The token's text, and what stands beside it. A token may also stand bare, as a string.
fn split(part: Value) -> Option<(Secret, serde_json::Map<String, Value>)> {
    match part {
        Value::String(text) => Some((Secret::new(text), serde_json::Map::new())),
        Value::Object(mut fields) => match fields.remove("value") {
            Some(Value::String(text)) => Some((Secret::new(text), fields)),
            _ => None,
        },
        _ => None,
    }
    .filter(|(token, _)| !token.is_blank())
}

/// Epoch seconds, or milliseconds where seconds would lie past the year 5000.
fn moment(value: &Value) -> Option<Timestamp> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Beyond this, the seconds that we write would be read as milliseconds again.
    if !number.is_finite() || number.abs() > 1e14 {
        return None;
    }
    let millis = if number.abs() > 1e11 { number } else { number * 1000.0 };
    #[allow(clippy::cast_possible_truncation)] // bounded above
    Some(Timestamp::from_millis(millis as i64))
}

/// When an access token says it was issued and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl Claims {
    pub(crate) fn lifetime(&self) -> Duration {
        self.expires_at.since(self.issued_at)
    }
}

/// A second source for the expiry: the `iat` and `exp` of the payload, the last part but one of the dotted token. Nobody here
/// can verify the signature, so this is a hint and never more.
pub(crate) fn payload(token: &Secret) -> Option<Claims> {
    let encoded = token.expose().rsplit('.').nth(1)?;
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?).ok()?;
    let claims = Claims { issued_at: moment(payload.get("iat")?)?, expires_at: moment(payload.get("exp")?)? };
    (claims.expires_at > claims.issued_at).then_some(claims)
}

impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Access<'a> {
            value: &'a str,
            #[serde(rename = "expiresAt")]
            expires_at: i64,
        }
        #[derive(Serialize)]
        struct Refresh<'a> {
            value: &'a str,
            role: Role,
        }
        let (access, expires_at) =
            self.access.as_ref().map_or(("", 0), |token| (token.value.expose(), token.expires_at.as_secs()));
        let refresh = self.refresh.as_ref().map_or("", |token| token.value.expose());
        let mut out = serializer.serialize_struct("Tokens", 2)?;
        out.serialize_field("accessToken", &Access { value: access, expires_at })?;
        out.serialize_field("refreshToken", &Refresh { value: refresh, role: self.role() })?;
        out.end()
    }
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?, WITHIN)
            .map_err(|error| serde::de::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Tokens {
        Tokens::from_json(json).unwrap()
    }

    #[test]
    fn the_sdks_json_comes_back_byte_for_byte() {
        for json in [
            r#"{"accessToken":{"value":"OauthNG.JWS.a","expiresAt":1767225600},"refreshToken":{"value":"JWS.r","role":"visitor"}}"#,
            r#"{"accessToken":{"value":"a","expiresAt":1767225600},"refreshToken":{"value":"r","role":"member"}}"#,
            r#"{"accessToken":{"value":"","expiresAt":0},"refreshToken":{"value":"","role":"none"}}"#,
        ] {
            assert_eq!(read(json).to_json().expose(), json);
        }
    }

    #[test]
    fn every_odd_form_keeps_its_refresh_token() {
        let good = r#"{"accessToken":{"value":"a","expiresAt":1767225600},"refreshToken":{"value":"r"}}"#;
        for (json, role) in [
            (good.to_owned(), Role::None),
            (r#"{"refreshToken":{"value":"r","role":"visitor"}}"#.into(), Role::Visitor),
            (r#"{"refreshToken":"r"}"#.into(), Role::None),
            (r#"{"accessToken":null,"refreshToken":{"value":"r","role":"member"}}"#.into(), Role::Member),
            (r#"{"accessToken":{},"refreshToken":{"value":"r","role":"admin"}}"#.into(), Role::None),
            (r#"{"accessToken":{"value":"a"},"refreshToken":{"value":"r","role":null}}"#.into(), Role::None),
            (
                r#"{"accessToken":{"value":"a","expiresAt":null},"refreshToken":{"value":"r","role":7}}"#.into(),
                Role::None,
            ),
            (
                r#"{"accessToken":{"value":"a","expiresAt":NaN},"refreshToken":{"value":"r","role":"Visitor"}}"#.into(),
                Role::Visitor,
            ),
            (
                r#"{"accessToken":{"value":"a","expiresAt":"soon"},"refreshToken":{"value":"r","role":"visitor"}}"#
                    .into(),
                Role::Visitor,
            ),
            (
                r#"{"accessToken":{"value":"a","expiresAt":1e300},"refreshToken":{"value":"r","role":"visitor"}}"#
                    .into(),
                Role::Visitor,
            ),
            (format!(r#"{{"clientId":"x","tokens":{good}}}"#), Role::None),
            (serde_json::to_string(good).unwrap(), Role::None),
        ] {
            let tokens = read(&json);
            let refresh = tokens.refresh.unwrap_or_else(|| panic!("{json}"));
            assert_eq!((refresh.value.expose(), refresh.role), ("r", role), "{json}");
        }
    }

    #[test]
    fn seconds_and_milliseconds_are_both_understood_and_written_as_seconds() {
        for written in ["1767225600", "1767225600000", "1767225600.0", "\"1767225600\"", "1767225600123"] {
            let tokens = read(&format!(r#"{{"accessToken":{{"value":"a","expiresAt":{written}}}}}"#));
            assert_eq!(tokens.access.as_ref().unwrap().expires_at.as_secs(), 1_767_225_600, "{written}");
            assert!(tokens.to_json().expose().contains("\"expiresAt\":1767225600}"));
        }
    }

    #[test]
    fn an_expiry_is_read_again_as_it_was_written_or_counts_as_past_from_the_start() {
        for written in ["100000000000000", "-100000000000000", "100000000000", "99999999999", "100000000001", "-0.5"] {
            let tokens = read(&format!(r#"{{"accessToken":{{"value":"a","expiresAt":{written}}}}}"#));
            let again = read(tokens.to_json().expose());
            let ends = |tokens: Tokens| tokens.access.unwrap().expires_at.as_secs();
            assert_eq!(ends(again), ends(tokens), "{written}");
        }
        let tokens = read(r#"{"accessToken":{"value":"a","expiresAt":999999999999999},"refreshToken":"r"}"#);
        assert_eq!(tokens.access.unwrap().expires_at, Timestamp::default());
        assert_eq!(tokens.refresh.unwrap().value.expose(), "r");
    }

    #[test]
    fn a_token_that_contains_nan_is_left_alone() {
        let tokens = read(r#"{"accessToken":{"value":"a\"NaN","expiresAt":NaN},"refreshToken":{"value":"rNaN"}}"#);
        assert_eq!(tokens.access.unwrap().value.expose(), "a\"NaN");
        assert_eq!(tokens.refresh.unwrap().value.expose(), "rNaN");
    }

    #[test]
    fn an_expiry_that_is_missing_comes_from_the_token_or_counts_as_past() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"iat":1767211200,"exp":1767225600}"#);
        let tokens = read(&format!(r#"{{"accessToken":{{"value":"OauthNG.JWS.h.{payload}.s"}}}}"#));
        assert_eq!(tokens.access.unwrap().expires_at.as_secs(), 1_767_225_600);
        assert_eq!(read(r#"{"accessToken":{"value":"opaque"}}"#).access.unwrap().expires_at, Timestamp::default());
    }

    #[test]
    fn no_tokens_are_not_an_error_and_no_json_is() {
        for json in ["null", "{}", r#"{"refreshToken":{}}"#, r#"{"clientId":"x","tokens":null}"#] {
            assert_eq!(read(json), Tokens::default(), "{json}");
        }
        for json in ["", "{", "[]", "7", r#"{"some":"thing"}"#, r#""secret-looking""#, "true"] {
            let error = Tokens::from_json(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{json}");
            assert!(!error.to_string().contains("secret-looking"));
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?}", read(r#"{"accessToken":{"value":"AAAA"},"refreshToken":{"value":"RRRR"}}"#));
        assert!(!shown.contains("AAAA") && !shown.contains("RRRR"), "{shown}");
    }
}
