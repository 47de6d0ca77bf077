//! An API call being put together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::TryStream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method};
use serde::Serialize;
use wix_visitor_core::Error;

use crate::call::{Api, Credentials, send};
use crate::memory::ApiMemory;
use crate::options::MOST_HEADERS;
use crate::origin::invalid;
use crate::response::ApiResponse;

/// A call of a Wix API as a visitor, made by [`SiteVisitor`](crate::SiteVisitor) and sent by [`send`](Self::send).
///
/// What cannot be used (a path to another host, a header that no request can have, a body that is no JSON) is an
/// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) error of `send`, before anything is sent.
#[must_use = "nothing is sent before `send`"]
pub struct ApiRequest {
    api: Arc<Api>,
    visitor: Arc<dyn Credentials>,
    memory: Arc<ApiMemory>,
    request: Result<reqwest::Request, Error>,
}

impl ApiRequest {
    pub(crate) fn new(
        api: Arc<Api>,
        visitor: Arc<dyn Credentials>,
        memory: Arc<ApiMemory>,
        method: Method,
        path: &str,
    ) -> Self {
        let request = api.base.resolve(path).map(|url| {
            let mut request = reqwest::Request::new(method, url);
            *request.timeout_mut() = Some(api.timeout);
            request
        });
        Self { api, visitor, memory, request }
    }

    fn change(mut self, change: impl FnOnce(&mut reqwest::Request) -> Result<(), Error>) -> Self {
        // The first mistake is the one that is told.
        if let Ok(request) = &mut self.request
            && let Err(error) = change(request)
        {
            self.request = Err(error);
        }
        self
    }

    /// Adds a header. Not `Authorization`, which is the visitor's, nor one that belongs to the connection.
    pub fn header(self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        self.change(|request| {
            let name = name.try_into().map_err(|_| invalid("a header has a name that no header can have"))?;
            let value = value
                .try_into()
                .map_err(|_| invalid(format!("the header `{name}` has a value that no header can have")))?;
            if RESERVED.contains(&name) {
                return Err(invalid(format!("the header `{name}` of a call cannot be set")));
            }
            if request.headers().len() >= MOST_HEADERS {
                return Err(invalid(format!("there are more than {MOST_HEADERS} headers")));
            }
            if name == CONTENT_TYPE {
                request.headers_mut().insert(name, value);
            } else {
                request.headers_mut().append(name, value);
            }
            Ok(())
        })
    }

    /// Adds pairs to the query, encoded.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        self.change(|request| {
            request.url_mut().query_pairs_mut().extend_pairs(pairs);
            // A list without pairs would leave a lone `?`.
            if request.url().query() == Some("") {
                request.url_mut().set_query(None);
            }
            Ok(())
        })
    }

    /// Sends this as JSON.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        self.change(|request| {
            let body =
                serde_json::to_vec(body).map_err(|e| invalid("the body cannot be written as JSON").with_source(e))?;
            request.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.into());
            Ok(())
        })
    }

    /// Sends these bytes. Set a `content-type` beside them.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.change(|request| {
            *request.body_mut() = Some(body.into().into());
            Ok(())
        })
    }

    /// Sends what this stream yields. It can be sent once only, so a 401 is renewed for but returned, not retried.
    pub fn body_stream<S>(self, body: S) -> Self
    where
        S: TryStream + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        Bytes: From<S::Ok>,
    {
        self.change(|request| {
            *request.body_mut() = Some(reqwest::Body::wrap_stream(body));
            Ok(())
        })
    }

    /// For how long the call may take, to the last byte of the answer's body; a retry has as long again. 30 s unless the
    /// site says otherwise.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.change(|request| {
            *request.timeout_mut() = Some(timeout);
            Ok(())
        })
    }

    /// Whether this can be sent at all, told without sending anything and without asking for a token.
    ///
    /// # Errors
    /// The [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) that [`send`](Self::send) would answer at once.
    pub fn check(&self) -> Result<(), Error> {
        sendable(self.request.as_ref().map_err(Error::clone)?)
    }

    /// Sends the call with the visitor's token, minting or renewing first as needed.
    ///
    /// After a 401, or once per token after the ambiguous code `WDE0117`, the token is renewed and the call sent once more,
    /// if its body can be. If the renewal fails the answer is returned as it was. Nothing is ever sent again because the
    /// network failed: nobody knows whether it acted.
    ///
    /// # Errors
    /// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) for what cannot be sent;
    /// [`Unavailable`](wix_visitor_core::ErrorKind::Unavailable) if there was no answer;
    /// [`Misconfigured`](wix_visitor_core::ErrorKind::Misconfigured) if the API redirects out of its origin; and whatever
    /// getting a token may fail with, such as
    /// [`MemberSessionEnded`](wix_visitor_core::ErrorKind::MemberSessionEnded). A status of 400 and above is no error.
    pub async fn send(self) -> Result<ApiResponse, Error> {
        let request = self.request?;
        sendable(&request)?;
        send(&self.api, &*self.visitor, &self.memory, request).await.map_err(|error| {
            match (error.visitor(), self.visitor.id()) {
                (None, Some(id)) => error.with_visitor(id),
                _ => error,
            }
        })
    }
}

/// What the client itself would refuse, when a token was asked for already.
fn sendable(request: &reqwest::Request) -> Result<(), Error> {
    let fits = http::Uri::try_from(request.url().as_str()).is_ok();
    if fits { Ok(()) } else { Err(invalid("the path to call, with its query, is longer than any can be")) }
}

/// Headers that are ours to set, or could lead the token astray.
static RESERVED: [HeaderName; 5] = [AUTHORIZATION, PROXY_AUTHORIZATION, HOST, CONTENT_LENGTH, TRANSFER_ENCODING];

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ApiRequest");
        match &self.request {
            // Without query, headers and body: each may hold what is the shopper's alone.
            Ok(request) => out.field("method", request.method()).field("path", &request.url().path()),
            Err(error) => out.field("error", error),
        };
        out.finish_non_exhaustive()
    }
}
