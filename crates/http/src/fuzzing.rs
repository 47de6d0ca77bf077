//! What reads untrusted input, opened to fuzzing.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use url::Url;
use wix_visitor_core::{Error, GrantError, GrantReply};

use crate::TokenInfo;
use crate::origin::BaseUrl;
use crate::outcome::{self, Asked, Body};
use crate::token_info::Wire;

/// What an answer of the token endpoint to a renewal or a mint means, in 2027.
///
/// # Errors
/// What the answer says, or that it cannot be used.
pub fn judge(
    renewal: bool,
    status: u16,
    headers: &HeaderMap,
    (body, whole): (&[u8], bool),
    secrets: &[&str],
) -> Result<GrantReply, GrantError> {
    let asked = if renewal { Asked::Renewal } else { Asked::Mint };
    let body = if whole { Body::Whole(body) } else { Body::Cut(body) };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    outcome::judge(asked, status, headers, body, secrets, now)
}

/// What Wix says about a token, out of its answer.
pub fn token_info(body: &[u8]) -> Option<TokenInfo> {
    serde_json::from_slice::<Wire>(body).ok().map(TokenInfo::from)
}

/// Where a call to `target` would be sent, with a token.
///
/// # Errors
/// If the base URL or the target is refused.
pub fn resolve(base: &str, target: &str) -> Result<Url, Error> {
    BaseUrl::parse(base)?.resolve(target)
}
