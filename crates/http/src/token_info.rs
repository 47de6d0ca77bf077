//! What Wix says about a token.

use http::Method;
use serde::Deserialize;
use wix_visitor_core::{Error, ErrorKind, Timestamp};

use crate::call::{Api, Credentials};
use crate::response::ApiResponse;
use crate::span::api_call;

/// What Wix says about the visitor's access token (`POST /oauth2/token-info`). All of it is untrusted input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenInfo {
    /// Whether the token is good now.
    pub active: bool,
    /// Whose it is: `VISITOR`, `MEMBER` and the like.
    pub subject_type: Option<String>,
    /// Wix's id for the visitor or member.
    pub subject_id: Option<String>,
    /// The OAuth app that it was issued to.
    pub client_id: Option<String>,
    /// The site that it is good for.
    pub site_id: Option<String>,
    /// When it was issued, by Wix's clock.
    pub issued: Option<Timestamp>,
    /// When it expires, by Wix's clock.
    pub expires: Option<Timestamp>,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wire {
    #[serde(default)]
    active: bool,
    subject_type: Option<String>,
    subject_id: Option<String>,
    client_id: Option<String>,
    site_id: Option<String>,
    iat: Option<serde_json::Value>,
    exp: Option<serde_json::Value>,
}

impl From<Wire> for TokenInfo {
    fn from(wire: Wire) -> Self {
        Self {
            active: wire.active,
            subject_type: wire.subject_type,
            subject_id: wire.subject_id,
            client_id: wire.client_id,
            site_id: wire.site_id,
            issued: wire.iat.as_ref().and_then(seconds),
            expires: wire.exp.as_ref().and_then(seconds),
        }
    }
}

pub(crate) async fn token_info(api: &Api, visitor: &dyn Credentials) -> Result<TokenInfo, Error> {
    let response = api_call(visitor.id(), &Method::POST, ask(api, visitor)).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(Error::new(ErrorKind::Unavailable, "the API does not tell about the token")
            .with_status(Some(status.as_u16()))
            .with_request_id(response.request_id().map(str::to_owned)));
    }
    Ok(response.json::<Wire>().await?.into())
}

async fn ask(api: &Api, visitor: &dyn Credentials) -> Result<ApiResponse, Error> {
    let pass = visitor.authorization().await?;
    let token = pass
        .header
        .to_str()
        .map_err(|_| Error::new(ErrorKind::InvalidInput, "the access token is no text, so it cannot be asked about"))?;
    let body = serde_json::json!({ "token": token }).to_string();
    let mut request = reqwest::Request::new(Method::POST, api.base.with_path("/oauth2/token-info")?);
    request.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    *request.timeout_mut() = Some(api.timeout);
    *request.body_mut() = Some(body.into());
    Ok(ApiResponse::read(api.execute(request).await?).await)
}

/// Seconds since 1970, as a number or, as Wix writes 64-bit numbers, a string.
fn seconds(value: &serde_json::Value) -> Option<Timestamp> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok()).map(Timestamp::from_secs)
}
