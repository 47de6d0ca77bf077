//! What an answer of the token endpoint means: one pure function.
//!
//! This decides whether a visitor may be given up, so it is narrow where that could follow and wide where nothing does:
//! only a definitive `invalid_grant` is a refusal, and whatever is not understood is transient.

use std::time::SystemTime;

use http::HeaderMap;
use serde_json::Value;
use wix_visitor_core::{GrantError, GrantFailure, GrantReply};

use crate::quote::{quote, request_id};
use crate::reply;
use crate::retry_after::retry_after;

/// Which grant was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Mint,
    Renewal,
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Renewal => "renewal",
        }
    }
}

/// The body of an answer, as far as it came.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    Whole(&'a [u8]),
    /// The connection or the time ended first.
    Cut(&'a [u8]),
    /// More than we take; what came of it is not looked at.
    TooLarge,
}

/// Puts an answer into its class. `secrets` is what must not come back in a message; `now` is looked at for a
/// `Retry-After` date without a `Date`.
pub(crate) fn judge(
    asked: Asked,
    status: u16,
    headers: &HeaderMap,
    body: Body<'_>,
    secrets: &[&str],
    now: SystemTime,
) -> Result<GrantReply, GrantError> {
    let request_id = request_id(headers, secrets);
    let (failure, message) = match status {
        200..=299 => match judge_success(asked, body) {
            Ok(mut reply) => {
                reply.request_id = request_id;
                return Ok(reply);
            }
            Err(why) => why,
        },
        _ => judge_failure(asked, status, body, secrets),
    };
    Err(GrantError::new(failure, message)
        .with_status(status)
        .with_request_id(request_id)
        .with_retry_after(retry_after(headers, now)))
}

fn judge_success(asked: Asked, body: Body<'_>) -> Result<GrantReply, (GrantFailure, String)> {
    let name = asked.name();
    let (bytes, whole) = match body {
        Body::Whole(bytes) => (bytes, true),
        Body::Cut(bytes) => (bytes, false),
        Body::TooLarge => {
            return Err((
                GrantFailure::Transient,
                format!("the answer to the {name} is larger than any token reply: is the API URL right?"),
            ));
        }
    };
    let read = reply::read(bytes);
    // Of a damaged reply the refresh token is worth keeping, alone if need be. An access token without it is not: the
    // endpoint may have replaced the refresh token by the one that was lost.
    let usable = read.refresh_token.is_some() || (read.access_token.is_some() && read.whole);
    if usable {
        let mut reply = GrantReply::default();
        reply.access_token = read.access_token;
        reply.refresh_token = read.refresh_token;
        reply.expires_in = read.expires_in;
        Ok(reply)
    } else if !whole {
        Err((GrantFailure::Unknown, format!("the answer to the {name} broke off: it may have acted")))
    } else if read.whole {
        Err((GrantFailure::Transient, format!("the answer to the {name} holds no token: is the API URL right?")))
    } else {
        Err((GrantFailure::Transient, format!("the answer to the {name} is no JSON: is the API URL right?")))
    }
}

fn judge_failure(asked: Asked, status: u16, body: Body<'_>, secrets: &[&str]) -> (GrantFailure, String) {
    let name = asked.name();
    let said = match body {
        Body::Whole(bytes) => Said::read(bytes),
        Body::Cut(_) | Body::TooLarge => None,
    };
    let words = said.as_ref().map(|said| quote(&said.words(), secrets)).filter(|w| !w.is_empty());
    let tell = |what: &str| match &words {
        Some(words) => format!("{what}: {words}"),
        None => what.to_owned(),
    };
    // Neither says anything about the request itself, whatever the body holds.
    let about_the_request = (400..=499).contains(&status) && !matches!(status, 408 | 429);
    if let Some(said) = said.as_ref().filter(|_| about_the_request) {
        if said.is_misconfigured() || (asked == Asked::Mint && is_refusal(status) && said.names_the_app()) {
            return (
                GrantFailure::Misconfigured,
                tell("the app is unknown or not allowed: compare the client id with your project's settings"),
            );
        }
        if asked == Asked::Renewal && is_refusal(status) && said.may_be_about_the_token() {
            return if said.error.as_deref() == Some("invalid_grant") {
                (GrantFailure::Refused, tell("the refresh token was refused"))
            } else {
                (GrantFailure::Doubtful, tell("the renewal was rejected, not clearly for its refresh token"))
            };
        }
    }
    let what = match status {
        300..=399 => format!("redirected, which a {name} never follows: is the API URL right?"),
        429 => format!("too many requests: the {name} was throttled"),
        408 => format!("the {name} did not arrive in time"),
        403 => format!("the {name} was forbidden, or throttled"),
        500..=599 => format!("the server failed at the {name}"),
        _ => format!("the {name} was rejected"),
    };
    (GrantFailure::Transient, tell(&what))
}

/// The statuses with which OAuth refuses.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400 | 401)
}

/// An error body in one of the two shapes that Wix has.
#[derive(Default)]
struct Said {
    /// OAuth's `error`.
    error: Option<String>,
    description: Option<String>,
    /// Wix's `message` and what `details` hold.
    message: Option<String>,
    code: Option<String>,
    detail: Option<String>,
    /// `field: description` of each violation.
    violations: Vec<String>,
    /// Whether it has Wix's `details`.
    detailed: bool,
}

/// Whether this is written as OAuth's codes are.
fn is_code(error: &str) -> bool {
    !error.is_empty() && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

impl Said {
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Value::Object(body) = serde_json::from_slice::<Value>(bytes).ok()? else { return None };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let details = body.get("details");
        let application = details.and_then(|d| d.get("applicationError"));
        let violations = details.and_then(|d| d.get("validationError")?.get("fieldViolations")?.as_array());
        let said = Self {
            error: text(body.get("error")),
            description: text(body.get("error_description")),
            message: text(body.get("message")),
            code: application.and_then(|a| text(a.get("code"))),
            detail: application.and_then(|a| text(a.get("description"))),
            violations: violations
                .map(|all| {
                    let part = |v: &Value, name| text(v.get(name)).unwrap_or_default();
                    all.iter().map(|v| format!("{}: {}", part(v, "field"), part(v, "description"))).collect()
                })
                .unwrap_or_default(),
            detailed: details.is_some_and(Value::is_object),
        };
        let oauth = said.error.is_some();
        let wix = said.message.is_some() || application.is_some_and(Value::is_object) || violations.is_some();
        (oauth || wix).then_some(said)
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        [&self.error, &self.description, &self.code, &self.message, &self.detail]
            .into_iter()
            .filter_map(|part| part.as_deref())
            .chain(self.violations.iter().map(String::as_str))
    }

    fn words(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        for part in self.parts().map(str::trim).filter(|p| !p.is_empty()) {
            if !words.contains(&part) {
                words.push(part);
            }
        }
        words.join(": ")
    }

    /// Whether it may be the token that was rejected. Not if OAuth has a word for what it was, and it is another; nor if it is in
    /// neither form for certain: gateways and frameworks say `{"message": "Unauthorized"}` and `{"error": "Unauthorized"}`.
    fn may_be_about_the_token(&self) -> bool {
        const OTHER: [&str; 5] =
            ["invalid_request", "invalid_scope", "server_error", "slow_down", "temporarily_unavailable"];
        match self.error.as_deref() {
            Some(error) => is_code(error) && !OTHER.contains(&error),
            None => self.detailed,
        }
    }

    /// Whether this can never be about the tokens, on a renewal neither.
    fn is_misconfigured(&self) -> bool {
        let by_code =
            matches!(self.error.as_deref(), Some("invalid_client" | "unauthorized_client" | "unsupported_grant_type"));
        // A refresh token is no GUID and never was one, but a field beside it may be: so the app must be named too.
        by_code
            || (self.error.as_deref() != Some("invalid_grant")
                && self.parts().any(|p| p.to_ascii_lowercase().contains("not a valid guid"))
                && self.names_the_app())
    }

    fn names_the_app(&self) -> bool {
        self.parts().any(|part| {
            let squeezed: String = part.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
            ["appid", "clientid", "appruntimekeys", "oauthapp", "invalidclient"].iter().any(|n| squeezed.contains(n))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TOKEN: &str = "JWS.eyJraWQiOiJZSEJzdUpwSCJ9.c2VjcmV0LXJlZnJlc2g.Qf3mZx";

    fn outcome(asked: Asked, status: u16, body: Body<'_>) -> Result<GrantReply, GrantError> {
        judge(asked, status, &HeaderMap::new(), body, &[TOKEN], SystemTime::UNIX_EPOCH)
    }

    fn failure(asked: Asked, status: u16, body: &str) -> GrantFailure {
        outcome(asked, status, Body::Whole(body.as_bytes())).unwrap_err().failure
    }

    use Asked::{Mint, Renewal};
    use GrantFailure::{Doubtful, Misconfigured, Refused, Transient, Unknown};

    const INVALID_GRANT: &str = r#"{"error":"invalid_grant","error_description":"Refresh token revoked"}"#;
    const WIX_SHAPE: &str = r#"{"message":"nope","details":{"applicationError":{"code":"X","description":"y"}}}"#;
    const VIOLATION: &str =
        r#"{"message":"","details":{"validationError":{"fieldViolations":[{"field":"f","description":"bad"}]}}}"#;
    const NO_GUID: &str = r#"{"message":"appRuntimeKeys[0].appId is not a valid GUID","details":{}}"#;

    #[test]
    fn only_a_definitive_invalid_grant_on_a_renewal_is_a_refusal() {
        for status in 100..=999 {
            let refused =
                outcome(Renewal, status, Body::Whole(INVALID_GRANT.as_bytes())).unwrap_err().failure == Refused;
            assert_eq!(refused, matches!(status, 400 | 401), "{status}");
            let mint = outcome(Mint, status, Body::Whole(INVALID_GRANT.as_bytes())).unwrap_err().failure;
            assert_eq!(mint, Transient, "{status}");
        }
        for almost in [
            r#"{"error":"Invalid_Grant"}"#,
            r#"{"error":"invalid_grant "}"#,
            r#"{"error":{"code":"invalid_grant"}}"#,
            r#"{"error":["invalid_grant"]}"#,
            r#"{"message":"invalid_grant"}"#,
            r#"{"error_description":"invalid_grant"}"#,
            r#"{"details":{"applicationError":{"code":"invalid_grant"}}}"#,
            r#"[{"error":"invalid_grant"}]"#,
            r#""invalid_grant""#,
            "invalid_grant",
            "error=invalid_grant",
            r#"{"error":"invalid_grant""#,
            r#"{"error":"invalid_grant"} <html>"#,
        ] {
            assert_ne!(failure(Renewal, 400, almost), Refused, "{almost}");
        }
        let bytes = INVALID_GRANT.as_bytes();
        assert_eq!(outcome(Renewal, 400, Body::Cut(bytes)).unwrap_err().failure, Transient);
        assert_eq!(outcome(Renewal, 400, Body::TooLarge).unwrap_err().failure, Transient);
    }

    #[test]
    fn a_renewal_rejected_in_one_of_the_two_shapes_is_doubtful() {
        for body in [
            r#"{"error":"access_denied"}"#,
            r#"{"error":"invalid_token","error_description":"x"}"#,
            r#"{"message":"token is dead","details":{}}"#,
            r#"{"message":"refreshToken is not a valid GUID","details":{}}"#,
            r#"{"details":{"applicationError":{}}}"#,
            WIX_SHAPE,
            VIOLATION,
        ] {
            for status in [400, 401] {
                assert_eq!(failure(Renewal, status, body), Doubtful, "{status} {body}");
            }
            for status in [402, 403, 404, 408, 409, 422, 428, 429, 500, 502, 503, 504, 302, 307, 599] {
                assert_eq!(failure(Renewal, status, body), Transient, "{status} {body}");
            }
        }
    }

    #[test]
    fn what_is_said_of_something_else_or_by_a_gateway_never_counts_against_the_token() {
        for body in [
            r#"{"error":"invalid_request"}"#,
            r#"{"error":"temporarily_unavailable"}"#,
            r#"{"error":"server_error","error_description":"x"}"#,
            r#"{"message":"Unauthorized"}"#,
            r#"{"error":""}"#,
            r#"{"error":"Unauthorized"}"#,
            r#"{"timestamp":"x","status":401,"error":"Unauthorized","path":"/oauth2/token"}"#,
            r#"{"message":"no such token"}"#,
            r#"{"message":"x","details":"y"}"#,
        ] {
            for status in [400, 401] {
                assert_eq!(failure(Renewal, status, body), Transient, "{status} {body}");
            }
        }
    }

    #[test]
    fn what_is_in_neither_shape_is_transient() {
        for body in
            ["", " ", "null", "{}", "[]", "7", "<html>invalid_grant</html>", r#"{"message":5}"#, r#"{"details":{}}"#]
        {
            for asked in [Mint, Renewal] {
                for status in [301, 400, 401, 403, 404, 418, 429, 500, 503] {
                    assert_eq!(failure(asked, status, body), Transient, "{asked:?} {status} {body}");
                }
            }
        }
    }

    #[test]
    fn a_wrong_client_id_is_misconfigured_and_never_a_refusal() {
        for body in [
            r#"{"error":"invalid_client"}"#,
            r#"{"error":"unauthorized_client"}"#,
            r#"{"error":"unsupported_grant_type"}"#,
            NO_GUID,
            r#"{"details":{"applicationError":{"description":"appId is not a valid GUID"}}}"#,
        ] {
            for asked in [Mint, Renewal] {
                for status in [400, 401, 403, 404] {
                    assert_eq!(failure(asked, status, body), Misconfigured, "{asked:?} {status} {body}");
                }
                for status in [408, 429, 500, 503] {
                    assert_eq!(failure(asked, status, body), Transient, "{asked:?} {status} {body}");
                }
            }
        }
        // On a mint there is nothing that could be lost, so naming the app is enough.
        for body in [
            r#"{"message":"app id unknown"}"#,
            r#"{"message":"no such client_id"}"#,
            r#"{"message":"","details":{"validationError":{"fieldViolations":[{"field":"clientId","description":"?"}]}}}"#,
        ] {
            assert_eq!(failure(Mint, 400, body), Misconfigured, "{body}");
            assert_eq!(failure(Mint, 404, body), Transient, "{body}");
            assert_ne!(failure(Renewal, 400, body), Misconfigured, "{body}");
        }
        let both = r#"{"error":"invalid_grant","error_description":"appId is not a valid GUID"}"#;
        assert_eq!(failure(Renewal, 400, both), Refused);
        assert_eq!(failure(Mint, 400, WIX_SHAPE), Transient);
    }

    #[test]
    fn a_success_that_holds_a_token_is_a_reply() {
        for body in [
            r#"{"access_token":"a","token_type":"Bearer","expires_in":14400,"refresh_token":"r"}"#,
            r#"{"access_token":"a","refresh_token":"r","expires_in":"soon","error":"invalid_grant"}"#,
            r#"{"access_token":"a"}"#,
            r#"{"refresh_token":"r"}"#,
        ] {
            for asked in [Mint, Renewal] {
                for status in [200, 201] {
                    outcome(asked, status, Body::Whole(body.as_bytes())).unwrap();
                }
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-wix-request-id", "id-1".parse().unwrap());
        let body = Body::Whole(br#"{"access_token":"a","expires_in":"60"}"#);
        let reply = judge(Mint, 200, &headers, body, &[], SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(reply.access_token.unwrap().expose(), "a");
        assert_eq!(reply.expires_in, Some(Duration::from_secs(60)));
        assert_eq!(reply.request_id.as_deref(), Some("id-1"));
    }

    #[test]
    fn a_success_that_cannot_be_used_is_transient_or_if_cut_unknown() {
        for body in
            ["", "<html></html>", "null", "{}", INVALID_GRANT, r#"{"access_token":""}"#, r#"{"access_token":"a","#]
        {
            for asked in [Mint, Renewal] {
                assert_eq!(failure(asked, 200, body), Transient, "{body}");
                let cut = outcome(asked, 200, Body::Cut(body.as_bytes())).unwrap_err();
                assert_eq!(cut.failure, Unknown, "{body}");
                let large = outcome(asked, 200, Body::TooLarge).unwrap_err();
                assert_eq!(large.failure, Transient);
            }
        }
    }

    #[test]
    fn a_damaged_success_keeps_the_refresh_token_it_brought() {
        let body = br#"{"access_token":"a","refresh_token":"new","expires_in":144"#;
        for body in [Body::Whole(body), Body::Cut(body)] {
            let reply = outcome(Renewal, 200, body).unwrap();
            assert_eq!(reply.refresh_token.unwrap().expose(), "new");
            assert_eq!(reply.access_token.unwrap().expose(), "a");
            assert_eq!(reply.expires_in, None);
        }
        // The refresh token was cut off: the access token alone must not pass for a renewal.
        let body = Body::Cut(br#"{"access_token":"a","refresh_tok"#);
        assert_eq!(outcome(Renewal, 200, body).unwrap_err().failure, Unknown);
    }

    #[test]
    fn an_error_says_who_what_and_when() {
        let mut headers = HeaderMap::new();
        headers.insert("x-wix-request-id", "id-2".parse().unwrap());
        headers.insert("retry-after", "7".parse().unwrap());
        let error = judge(Renewal, 429, &headers, Body::Whole(b""), &[], SystemTime::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.status, Some(429));
        assert_eq!(error.request_id.as_deref(), Some("id-2"));
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        let error = outcome(Mint, 400, Body::Whole(NO_GUID.as_bytes())).unwrap_err();
        assert!(error.message.ends_with("appRuntimeKeys[0].appId is not a valid GUID"), "{}", error.message);
    }

    #[test]
    fn no_answer_can_put_our_token_into_a_message() {
        for body in [
            format!(r#"{{"error":"invalid_grant","error_description":"token {TOKEN} is dead"}}"#),
            format!(r#"{{"error":"{TOKEN}"}}"#),
            format!(
                r#"{{"message":"{TOKEN}","details":{{"applicationError":{{"code":"{TOKEN}","description":"{TOKEN}"}}}}}}"#
            ),
            format!(
                r#"{{"message":"","details":{{"validationError":{{"fieldViolations":[{{"field":"{TOKEN}","description":"{TOKEN}"}}]}}}}}}"#
            ),
            TOKEN.to_owned(),
            format!(r#"{{"access_token":5,"x":"{TOKEN}"}}"#),
        ] {
            for status in [200, 302, 400, 401, 403, 429, 500] {
                for asked in [Mint, Renewal] {
                    let mut headers = HeaderMap::new();
                    headers.insert("x-wix-request-id", TOKEN.parse().unwrap());
                    headers.insert("location", format!("https://x.example/?t={TOKEN}").parse().unwrap());
                    let body = Body::Whole(body.as_bytes());
                    let error = judge(asked, status, &headers, body, &[TOKEN], SystemTime::UNIX_EPOCH).unwrap_err();
                    let shown = format!("{error} {error:?}");
                    assert!(
                        !TOKEN.as_bytes().windows(8).any(|w| shown.as_bytes().windows(8).any(|s| s == w)),
                        "{shown}"
                    );
                }
            }
        }
    }
}
