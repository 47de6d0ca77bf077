//! The token JSON of the JavaScript SDK, any text: what is read is written the same, and no oddity costs a refresh token.

use serde_json::Value;
use wix_visitor_core::{ErrorKind, Tokens};

use crate::marker::{FOREIGN, planted};

/// Where an oddity may stand, beside a refresh token.
const BESIDE: [&str; 8] = [
    r#"{"accessToken":ODD,"refreshToken":{"value":"KEPT"}}"#,
    r#"{"accessToken":{"value":ODD},"refreshToken":{"value":"KEPT","role":"visitor"}}"#,
    r#"{"accessToken":{"value":"a","expiresAt":ODD},"refreshToken":{"value":"KEPT"}}"#,
    r#"{"accessToken":{"value":"a"},"refreshToken":{"value":"KEPT","role":ODD}}"#,
    r#"{"odd":ODD,"refreshToken":"KEPT"}"#,
    r#"{"refreshToken":{"odd":ODD,"value":"KEPT"},"accessToken":null}"#,
    r#"{"clientId":ODD,"tokens":{"refreshToken":{"value":"KEPT"}}}"#,
    r#"{"tokens":{"accessToken":ODD,"refreshToken":{"value":"KEPT"}},"accessToken":ODD}"#,
];

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = String::from_utf8(planted(bytes)) else { return };
    match Tokens::from_json(&text) {
        Ok(tokens) => comes_back(&tokens),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!FOREIGN.shows_in(&format!("{error} {error:?}"), 8), "a token is in the error: {error}");
        }
    }
    let odd = if text.trim().is_empty() { "null" } else { &text };
    if serde_json::from_str::<Value>(odd).is_ok() {
        BESIDE.iter().for_each(|beside| keeps(&beside.replace("ODD", odd)));
    }
}

/// The refresh token stays, but where all of it is nested too deep to be read, which is an error that says so.
fn keeps(text: &str) {
    match Tokens::from_json(text) {
        Ok(tokens) => {
            assert!(tokens.refresh.is_some_and(|token| token.value.expose() == "KEPT"), "{text}: lost");
        }
        Err(error) => assert!(serde_json::from_str::<Value>(text).is_err(), "{text}: {error}"),
    }
}

fn comes_back(tokens: &Tokens) {
    for token in [tokens.access.as_ref().map(|token| &token.value), tokens.refresh.as_ref().map(|token| &token.value)] {
        assert!(token.is_none_or(|token| !token.is_blank()), "a token of nothing");
    }
    let shown = format!("{tokens:?}");
    assert!(!FOREIGN.shows_in(&shown, 8), "{shown}");
    let written = tokens.to_json();
    let again = Tokens::from_json(written.expose()).unwrap_or_else(|error| panic!("cannot be read again: {error}"));
    assert_eq!(again.refresh, tokens.refresh, "another refresh token");
    let access = |tokens: &Tokens| {
        let token = tokens.access.as_ref()?;
        Some((token.value.clone(), token.expires_at.as_secs()))
    };
    assert_eq!(access(&again), access(tokens), "another access token, or another end of it");
    assert_eq!(again.to_json(), written);
}
