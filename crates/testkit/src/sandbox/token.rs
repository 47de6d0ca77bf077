//! Tokens that look like Wix's, and names for them that give nothing away.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{ledger, random};

/// The first 8 hex digits of a token's SHA-256: how the sandbox's log names a token.
///
/// ```
/// use wix_visitor_testkit::sandbox::fingerprint;
///
/// assert_eq!(fingerprint("abc"), "ba7816bf");
/// ```
pub fn fingerprint(token: &str) -> String {
    let mut digits = hash(token);
    digits.truncate(8);
    digits
}

/// The full SHA-256 of a token, under which the sandbox knows it: the state holds no token.
pub(super) fn hash(token: &str) -> String {
    random::hex(&Sha256::digest(token.as_bytes()))
}

/// A pair of tokens, made without going through the token endpoint.
#[derive(Clone)]
#[non_exhaustive]
pub struct IssuedTokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// Seconds that the access token lives.
    pub expires_in: u64,
    /// The identity that the tokens belong to.
    pub identity: String,
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens")
            .field("access", &fingerprint(&self.access))
            .field("refresh", &fingerprint(&self.refresh))
            .field("expires_in", &self.expires_in)
            .field("identity", &self.identity)
            .finish()
    }
}

/// Whether a string has the outer form of an access token.
pub(super) fn looks_like_access(token: &str) -> bool {
    token.starts_with("OauthNG.JWS.") && token.split('.').count() == 5
}

/// A new access token: `OauthNG.JWS.` and a signed payload whose `data` names the identity. Times in seconds.
pub(super) fn new_access(identity: &str, client_id: &str, site: &str, iat: u64, exp: u64) -> String {
    let data = json!({
        "instance": {
            "instanceId": random::guid(),
            "appDefId": client_id,
            "metaSiteId": site,
            "signDate": "2024-01-01T00:00:00.000Z",
            "demoMode": false,
            "aid": identity,
            "biToken": random::guid(),
            "siteOwnerId": random::guid(),
            "siteMemberId": null,
            "scd": "2024-01-01T00:00:00.000Z"
        }
    });
    let payload = json!({ "data": data.to_string(), "iat": iat, "exp": exp });
    noted(format!("OauthNG.JWS.{}", signed(&payload)))
}

/// A new refresh token: `JWS.` and a signed payload. Times in seconds.
pub(super) fn new_refresh(iat: u64, exp: u64) -> String {
    let data = json!({ "id": random::guid() });
    let payload = json!({ "data": data.to_string(), "iat": iat, "exp": exp });
    noted(format!("JWS.{}", signed(&payload)))
}

/// A new code, which stands for a sign-in until it is redeemed.
pub(super) fn new_code() -> String {
    noted(format!("code-{}", random::hex_digits::<16>()))
}

fn noted(token: String) -> String {
    ledger::note_secret(&token);
    token
}

/// Header, payload and signature. Nobody can verify Wix's signature (HS256), so random bytes stand for it.
fn signed(payload: &serde_json::Value) -> String {
    let header = json!({ "kid": random::hex_digits::<4>(), "alg": "HS256" });
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string()),
        URL_SAFE_NO_PAD.encode(random::bytes::<32>())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_wixs_form_and_length() {
        let access = new_access(&random::guid(), &random::guid(), &random::guid(), 1, 2);
        let refresh = new_refresh(1, 2);
        assert!(looks_like_access(&access));
        assert!((600..850).contains(&access.len()), "{}", access.len());
        assert!(refresh.starts_with("JWS."));
        assert!((180..260).contains(&refresh.len()), "{}", refresh.len());
    }

    #[test]
    fn the_fourth_part_names_the_identity_and_the_times() {
        let access = new_access("the-identity", "client", "site", 10, 20);
        let part = access.split('.').nth(3).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!((payload["iat"].as_u64(), payload["exp"].as_u64()), (Some(10), Some(20)));
        let data: serde_json::Value = serde_json::from_str(payload["data"].as_str().unwrap()).unwrap();
        assert_eq!(data["instance"]["aid"], "the-identity");
    }

    #[test]
    fn debug_shows_no_token() {
        let tokens = IssuedTokens {
            access: new_access("i", "c", "s", 1, 2),
            refresh: new_refresh(1, 2),
            expires_in: 1,
            identity: "i".into(),
        };
        let shown = format!("{tokens:?}");
        assert!(!shown.contains("JWS"), "{shown}");
    }
}
