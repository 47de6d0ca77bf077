//! The token endpoint of Wix.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, PRAGMA};
use http::header::{PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;
use wix_visitor_core::{
    ClientId, Error, Grant, GrantError, GrantFailure, GrantReply, Secret, TokenEndpoint, async_trait,
};
use zeroize::Zeroizing;

use crate::client::{Client, Use};
use crate::network::why;
use crate::options::{HttpOptions, MOST_HEADERS};
use crate::origin::invalid;
use crate::outcome::{Asked, Body, judge};

/// A token reply is about 1 KB. What is larger than this, in bytes, is something else.
const LARGEST_REPLY: usize = 64 * 1024;

/// How token requests are written. Wix takes both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `application/json`, as the JavaScript SDK does.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, as OAuth does.
    Form,
}

/// The token endpoint of Wix over HTTP: `POST /oauth2/token`.
///
/// It sends each grant once: no redirect is followed, nothing is repeated, no `Authorization` goes along. A reply is read
/// up to 64 KiB within the time that the flow gives. What an answer means is decided as
/// [`GrantFailure`] tells: only `invalid_grant` with 400 or 401 on a renewal is a refusal.
///
/// ```no_run
/// use wix_visitor_http::{Encoding, WixEndpoint};
///
/// # fn main() -> Result<(), wix_visitor_core::Error> {
/// let endpoint = WixEndpoint::builder().encoding(Encoding::Form).header("x-wix-bi-gateway", "my-shop").build()?;
/// # drop(endpoint);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WixEndpoint {
    client: Client,
    url: Url,
    issuer: String,
    encoding: Encoding,
    headers: HeaderMap,
}

/// Builds a [`WixEndpoint`].
#[derive(Clone, Default)]
pub struct WixEndpointBuilder {
    options: HttpOptions,
    encoding: Encoding,
    headers: Vec<(String, Secret)>,
    issuer: Option<String>,
}

impl WixEndpoint {
    /// An endpoint at `https://www.wixapis.com` that asks in JSON, if nothing else is said.
    pub fn builder() -> WixEndpointBuilder {
        WixEndpointBuilder::default()
    }
}

impl WixEndpointBuilder {
    /// Address, proxy and TLS: the same value as for [`Site`](crate::Site).
    #[must_use]
    pub fn options(mut self, options: HttpOptions) -> Self {
        self.options = options;
        self
    }

    /// JSON, the default, or a form.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// A header for every token request. The same name again adds a value. The value is treated as a secret.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What the tokens' issuer is called in a store, instead of the base URL (without a slash at its end).
    ///
    /// Two endpoints with the same issuer share their visitors. Needed only where one issuer has several addresses, as
    /// behind a gateway, or several issuers have the same.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Checks everything and builds the endpoint. Sends nothing.
    ///
    /// # Errors
    /// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) with what is wrong about the base URL (see
    /// [`HttpOptions::base_url`]), the proxy, a certificate, a header or the issuer;
    /// [`Misconfigured`](wix_visitor_core::ErrorKind::Misconfigured) if the system's TLS cannot be used, unless
    /// that is [left for later](HttpOptions::lazy).
    pub fn build(self) -> Result<WixEndpoint, Error> {
        let base = self.options.parse_base_url()?;
        let issuer = match self.issuer {
            None => base.as_str().to_owned(),
            Some(issuer) if issuer.trim().is_empty() || issuer.len() > 256 => {
                return Err(invalid("the issuer must be a name of 1 to 256 bytes"));
            }
            Some(issuer) => issuer,
        };
        if self.headers.len() > MOST_HEADERS {
            return Err(invalid(format!("there are more than {MOST_HEADERS} extra headers for token requests")));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name)
                .map_err(|_| invalid("an extra header for token requests has a name that no header can have"))?;
            if RESERVED.contains(&name) {
                return Err(invalid(format!("the header `{name}` of token requests cannot be set")));
            }
            let value = value
                .to_header()
                .ok_or_else(|| invalid(format!("the extra header `{name}` has a value that no header can have")))?;
            headers.append(name, value);
        }
        Ok(WixEndpoint {
            client: Client::new(&self.options, &base, Use::Tokens)?,
            url: base.with_path("/oauth2/token")?,
            issuer,
            encoding: self.encoding,
            headers,
        })
    }
}

/// Headers that are ours to set, or must not be there.
static RESERVED: [HeaderName; 9] = [
    ACCEPT,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    PRAGMA,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
];

#[async_trait]
impl TokenEndpoint for WixEndpoint {
    fn issuer(&self) -> &str {
        &self.issuer
    }

    async fn grant(&self, client_id: &ClientId, grant: &Grant, timeout: Duration) -> Result<GrantReply, GrantError> {
        let (asked, refresh_token) = match grant {
            Grant::Anonymous => (Asked::Mint, None),
            Grant::Refresh(token) => (Asked::Renewal, Some(token)),
            _ => return Err(GrantError::new(GrantFailure::Misconfigured, "this endpoint does not know such a grant")),
        };
        let mut secrets: Vec<&str> = self.headers.values().filter_map(|v| v.to_str().ok()).collect();
        secrets.extend(refresh_token.map(Secret::expose));

        let (content_type, body) = encode(self.encoding, client_id, refresh_token)
            .map_err(|e| GrantError::new(GrantFailure::Misconfigured, "the grant cannot be written").with_source(e))?;
        let client = self.client.get().map_err(not_set_up)?;
        let request = client
            .post(self.url.clone())
            .header(ACCEPT, "application/json")
            .header(CACHE_CONTROL, "no-cache, no-store")
            .header(PRAGMA, "no-cache")
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, content_type)
            .timeout(timeout)
            .body(body);
        let mut response = request.send().await.map_err(|e| not_answered(asked, e))?;

        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut read = Zeroizing::new(Vec::new());
        let whole = read_body(&mut response, &mut read).await;
        let (body, cause) = match whole {
            Ok(true) => (Body::Whole(&read), None),
            Ok(false) => (Body::TooLarge, None),
            Err(error) => (Body::Cut(&read), Some(error)),
        };
        judge(asked, status, &headers, body, &secrets, SystemTime::now()).map_err(|error| match cause {
            Some(cause) => error.with_source(cause.without_url()),
            None => error,
        })
    }
}

/// Reads at most [`LARGEST_REPLY`] bytes; `false` if there is more. What is left is not read: dropping it ends the
/// connection.
pub(crate) async fn read_body(response: &mut reqwest::Response, into: &mut Vec<u8>) -> Result<bool, reqwest::Error> {
    let announced = response.content_length().unwrap_or(0);
    if announced > LARGEST_REPLY as u64 {
        return Ok(false);
    }
    // With room from the start a usual reply is never moved, which would leave a copy of its tokens behind.
    into.reserve(usize::try_from(announced).unwrap_or(0).max(4096));
    while let Some(chunk) = response.chunk().await? {
        if into.len() + chunk.len() > LARGEST_REPLY {
            return Ok(false);
        }
        into.extend_from_slice(&chunk);
    }
    Ok(true)
}

/// Nothing was sent.
fn not_set_up(error: Error) -> GrantError {
    GrantError::new(GrantFailure::Misconfigured, error.to_string()).with_source(error)
}

/// The class of a request without an answer: what could not connect was surely not sent.
fn not_answered(asked: Asked, error: reqwest::Error) -> GrantError {
    let what = match asked {
        Asked::Mint => "mint",
        Asked::Renewal => "renewal",
    };
    let why = why(&error);
    let (failure, message) = if error.is_builder() {
        (GrantFailure::Misconfigured, format!("the {what} cannot be written: {why}"))
    } else if error.is_connect() {
        (GrantFailure::Transient, format!("cannot connect: {why}"))
    } else {
        (GrantFailure::Unknown, format!("the {what} was sent and may have acted: {why}"))
    };
    GrantError::new(failure, message).with_source(error.without_url())
}

#[derive(Serialize)]
struct JsonGrant<'a> {
    #[serde(rename = "clientId")]
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(rename = "grantType")]
    grant_type: &'static str,
}

/// The body of a token request, in memory that is zeroed when it has been sent.
fn encode(
    encoding: Encoding,
    client_id: &ClientId,
    refresh_token: Option<&Secret>,
) -> Result<(HeaderValue, Bytes), serde_json::Error> {
    let client_id = client_id.as_str();
    let refresh_token = refresh_token.map(Secret::expose);
    let grant_type = if refresh_token.is_some() { "refresh_token" } else { "anonymous" };
    // Room for the worst escaping, so that it is never moved.
    let room = 128 + 6 * (client_id.len() + refresh_token.map_or(0, str::len));
    Ok(match encoding {
        Encoding::Json => {
            let mut body = Zeroizing::new(Vec::with_capacity(room));
            serde_json::to_writer(&mut *body, &JsonGrant { client_id, refresh_token, grant_type })?;
            (HeaderValue::from_static("application/json"), Bytes::from_owner(body))
        }
        Encoding::Form => {
            let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(room));
            form.append_pair("client_id", client_id).append_pair("grant_type", grant_type);
            if let Some(token) = refresh_token {
                form.append_pair("refresh_token", token);
            }
            let body = Zeroizing::new(form.finish().into_bytes());
            (HeaderValue::from_static("application/x-www-form-urlencoded"), Bytes::from_owner(body))
        }
    })
}

impl fmt::Debug for WixEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client is left out: its proxy settings hold the password.
        f.debug_struct("WixEndpoint")
            .field("url", &self.url.as_str())
            .field("issuer", &self.issuer)
            .field("encoding", &self.encoding)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WixEndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WixEndpointBuilder")
            .field("options", &self.options)
            .field("encoding", &self.encoding)
            .field("headers", &self.headers.len())
            .field("issuer", &self.issuer)
            .finish()
    }
}
