//! A successful answer of the token endpoint, any bytes: the refresh token in it is never lost.

use std::time::Duration;

use http::HeaderMap;
use memchr::memmem;
use serde_json::Value;
use wix_visitor_core::{GrantError, GrantFailure, GrantReply};
use wix_visitor_http::fuzzing::{judge, token_info};

use crate::marker::{FOREIGN, holds, planted};

/// A refresh token that surely stands in the reply.
const KEPT: &str = "KEPT";

pub(crate) fn check(bytes: &[u8]) {
    let body = planted(bytes);
    for (renewal, whole) in [(true, true), (true, false), (false, true)] {
        let read = read(renewal, whole, &body);
        check_read(&read, whole);
        let tokens = named(&body);
        if !tokens.is_empty() {
            let kept = refresh_token(&read).unwrap_or_else(|| panic!("the refresh token is lost"));
            assert!(!is_plain(&body) || tokens.contains(&kept), "another refresh token than the reply's");
        }
        let after = [br#"{"refresh_token":"KEPT","#, &body[..]].concat();
        let read = self::read(renewal, whole, &after);
        let kept = refresh_token(&read).unwrap_or_else(|| panic!("a refresh token is lost to what comes after it"));
        assert!(kept == KEPT || holds(&body, b"efresh") || holds(&body, b"\\"), "replaced by nothing");
    }
    let _ = token_info(&body);
}

fn read(renewal: bool, whole: bool, body: &[u8]) -> Result<GrantReply, GrantError> {
    judge(renewal, 200, &HeaderMap::new(), (body, whole), &[])
}

fn check_read(read: &Result<GrantReply, GrantError>, whole: bool) {
    match read {
        Ok(reply) => {
            assert!(reply.access_token.is_some() || reply.refresh_token.is_some(), "a reply without a token");
            for token in [&reply.access_token, &reply.refresh_token].into_iter().flatten() {
                assert!(!token.is_blank(), "a token of nothing");
            }
            assert!(reply.expires_in.is_none_or(|lives| lives < Duration::from_secs(11 * 366 * 24 * 3600)));
        }
        Err(error) => {
            let expected = if whole { GrantFailure::Transient } else { GrantFailure::Unknown };
            assert_eq!(error.failure, expected);
            assert!(!FOREIGN.shows_in(&format!("{error} {error:?}"), 8), "a token is in the error");
        }
    }
}

fn refresh_token(read: &Result<GrantReply, GrantError>) -> Option<String> {
    Some(read.as_ref().ok()?.refresh_token.as_ref()?.expose().to_owned())
}

/// The refresh tokens of a body that is JSON, as another reader finds them.
fn named(body: &[u8]) -> Vec<String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Vec::new() };
    let texts = ["refresh_token", "refreshToken"].map(|name| fields.get(name).and_then(Value::as_str));
    texts.into_iter().flatten().filter(|text| !text.trim().is_empty()).map(str::to_owned).collect()
}

/// Whether no field of a refresh token can stand there twice.
fn is_plain(body: &[u8]) -> bool {
    !holds(body, b"\\") && memmem::find_iter(body, b"efresh").count() == 1
}
