//! Raw questions to the API's own host: no visitor, no token flow, and nothing judged.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, StatusCode};
use wix_visitor_core::Error;
use zeroize::Zeroizing;

use crate::call::{Api, not_answered};
use crate::client::{Client, Use};
use crate::endpoint::read_body;
use crate::options::HttpOptions;
use crate::origin::invalid;
use crate::retry_after::retry_after;

/// Asks the API's own host what it answers, for diagnosis: where [`WixEndpoint`](crate::WixEndpoint) and [`Site`](crate::Site)
/// would judge, renew and try again, this shows the answer as it came.
///
/// Each request is sent once, to the configured origin alone; no redirect is followed. It has no visitor: what goes along is
/// what the request holds.
pub struct Probe {
    api: Api,
}

impl Probe {
    /// Checks the options; each request may take so long, to the last byte of its answer. Sends nothing.
    ///
    /// # Errors
    /// As [`SiteBuilder::build`](crate::SiteBuilder::build).
    pub fn new(options: &HttpOptions, timeout: Duration) -> Result<Self, Error> {
        let base = options.parse_base_url()?;
        Ok(Self { api: Api { client: Client::new(options, &base, Use::Tokens)?, base, timeout } })
    }

    /// Where it asks: scheme, host, and the port where it is not the usual one.
    pub fn origin(&self) -> String {
        self.api.base.ascii_origin()
    }

    /// Sends a request, whose URI is a path or a whole URL of the configured API, and brings the answer, of any status.
    ///
    /// # Errors
    /// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) for another host, or a header that belongs to the connection:
    /// nothing was sent. [`Unavailable`](wix_visitor_core::ErrorKind::Unavailable) if there was no answer.
    /// [`NoRuntime`](wix_visitor_core::ErrorKind::NoRuntime) outside of a tokio runtime.
    pub async fn ask(&self, request: http::Request<Bytes>) -> Result<ProbeAnswer, Error> {
        let (parts, body) = request.into_parts();
        if let Some(name) = RESERVED.iter().find(|name| parts.headers.contains_key(*name)) {
            return Err(invalid(format!("the header `{name}` of a question cannot be set")));
        }
        let mut asked = reqwest::Request::new(parts.method, self.api.base.resolve(&parts.uri.to_string())?);
        *asked.headers_mut() = parts.headers;
        if let Some(token) = asked.headers_mut().get_mut(AUTHORIZATION) {
            token.set_sensitive(true);
        }
        *asked.timeout_mut() = Some(self.api.timeout);
        if !body.is_empty() {
            *asked.body_mut() = Some(body.into());
        }
        let mut response = self.api.execute(asked).await?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut read = Zeroizing::new(Vec::new());
        let whole = read_body(&mut response, &mut read)
            .await
            .map_err(|error| not_answered(error).with_status(Some(status.as_u16())))?;
        Ok(ProbeAnswer { status, headers, body: Bytes::from_owner(read), whole })
    }
}

/// Headers that are ours to set, or could lead the question astray.
static RESERVED: [HeaderName; 4] = [PROXY_AUTHORIZATION, HOST, CONTENT_LENGTH, TRANSFER_ENCODING];

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("api", &self.api.base).finish_non_exhaustive()
    }
}

/// What a [`Probe`] was answered, as it came. It may hold tokens.
pub struct ProbeAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    whole: bool,
}

impl ProbeAnswer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body: the beginning of it, where it is [not whole](Self::is_whole).
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the body was read to its end: of one above 64 KiB the rest is left.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// For how long the API asks to be left alone, at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, SystemTime::now())
    }
}

impl fmt::Debug for ProbeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither body nor headers: either may hold a token.
        f.debug_struct("ProbeAnswer").field("status", &self.status).field("whole", &self.whole).finish_non_exhaustive()
    }
}
