//! Hand-over with the page's own scripts: a visitor's tokens to them, or theirs to the server. Both only where they are mounted.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use tower_service::Service;
use wix_visitor_core::{Role, Tokens};

use crate::arrival::is_same_origin;
use crate::error::SessionError;
use crate::session::Session;

/// A few lines of JavaScript, an ES module, that let the page's own `@wix/sdk` act as the session's visitor: it asks
/// [`HandOver`] for the access token, and again before that ends. Serve it, or paste it into your bundle.
pub const GLUE: &str = include_str!("glue.js");

/// The most that is read of a request.
const MOST: usize = 64 * 1024;

/// Gives the page's own scripts the session's *access* token, minted or renewed as needed: a tower service to mount, say at
/// `/wix-visitor/token`, inside of the [`SessionLayer`](crate::SessionLayer).
///
/// It answers a `POST` of JSON from a page of this very host, with the tokens in the shape of the JavaScript SDK and `expiresIn`, the
/// seconds that are left. Whatever script runs on your pages can then act as the visitor until the access token ends; the refresh token
/// stays on the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct HandOver {
    pair: bool,
}

impl HandOver {
    /// Gives the access token alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives an anonymous visitor's refresh token too, for an SDK that is to renew by itself. A member's is never given.
    ///
    /// **Warning.** Whoever gets a script onto your pages, for a moment, can take the refresh token along and be this visitor for as
    /// long as it lives (a year, by what it says of itself), with its cart and whatever else belongs to it; nothing that the server
    /// does takes it back. And what the page's SDK renews, the server does not learn of: should Wix replace refresh tokens at a
    /// renewal, the two lose each other. [`GLUE`] needs the access token alone.
    #[must_use]
    pub fn with_the_refresh_token_of_visitors(self) -> Self {
        Self { pair: true }
    }

    async fn give(self, session: &Session) -> Result<Value, SessionError> {
        let tokens = session.visitor().await?.generate().await?;
        // An object of two, as the SDK has it.
        let mut given = serde_json::to_value(&tokens).unwrap_or_default();
        if !self.pair || tokens.role() != Role::Visitor {
            given["refreshToken"]["value"] = "".into();
        }
        let left = tokens.access.map_or(0, |access| access.expires_at.since(session.now()).as_secs());
        given["expiresIn"] = left.into();
        Ok(given)
    }
}

/// Takes over the tokens that the page's own `@wix/sdk` has kept, in `localStorage` or a cookie, for a session that has no visitor
/// yet: a tower service to mount, say at `/wix-visitor/take-over`, inside of the [`SessionLayer`](crate::SessionLayer).
///
/// It takes a `POST` of the SDK's own JSON from a page of this very host and answers 204. Where the session has a visitor already, it
/// answers 409 with `{"code": "has_visitor"}` and overwrites nothing: two carts cannot be made one here.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TakeOver;

impl TakeOver {
    /// Takes over tokens.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What an answer is made of.
struct Answer {
    status: StatusCode,
    body: Value,
}

impl Answer {
    fn refused(status: StatusCode, why: &str) -> Self {
        Self { status, body: json!({ "error": why }) }
    }

    fn response(self) -> Response<String> {
        let body = if self.body.is_null() { String::new() } else { self.body.to_string() };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

impl From<SessionError> for Answer {
    fn from(error: SessionError) -> Self {
        tracing::warn!(%error, "no hand-over");
        let body = json!({ "error": error.for_shoppers(), "code": error.name() });
        Self { status: error.status(), body }
    }
}

/// The session of a request that may be answered at all.
fn admitted(request: &request::Parts) -> Result<Session, Answer> {
    let kind = request.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if request.method != Method::POST {
        return Err(Answer::refused(StatusCode::METHOD_NOT_ALLOWED, "this takes POST alone"));
    }
    if !is_same_origin(request.into()) {
        return Err(Answer::refused(StatusCode::FORBIDDEN, "this is for pages of this very host"));
    }
    // No form of another site can send this type without being asked about it first.
    if !kind.eq_ignore_ascii_case(b"application/json") {
        return Err(Answer::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this takes application/json alone"));
    }
    request.extensions.get::<Session>().cloned().ok_or_else(|| {
        tracing::error!("a hand-over has no session: mount it inside of the SessionLayer");
        Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong on our side")
    })
}

async fn read<B>(body: B) -> Result<Bytes, Answer>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let too_much = |_| Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, "that is more than 64 KiB, or broke off");
    Ok(Limited::new(body, MOST).collect().await.map_err(too_much)?.to_bytes())
}

async fn take(session: &Session, body: &[u8]) -> Result<(), Answer> {
    let bad = |why: &str| Answer::refused(StatusCode::BAD_REQUEST, why);
    let text = std::str::from_utf8(body).map_err(|_| bad("that is no JSON"))?;
    let given: Value = serde_json::from_str(text).map_err(|_| bad("that is no JSON"))?;
    let ours = |id: &Value| id.as_str().is_some_and(|id| session.is_of(id));
    if !given.get("clientId").is_none_or(ours) {
        return Err(bad("these tokens are of another site"));
    }
    let tokens = Tokens::from_json(text).map_err(|_| bad("these are no tokens as the JavaScript SDK keeps them"))?;
    if tokens.refresh.is_none() {
        return Err(bad("there is no refresh token among these, so there is nothing to take over"));
    }
    Ok(session.take_over(tokens).await?)
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

impl<B> Service<Request<B>> for HandOver
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let this = *self;
        let (parts, _) = request.into_parts();
        Box::pin(async move {
            let answer = match admitted(&parts) {
                Ok(session) => match this.give(&session).await {
                    Ok(body) => Answer { status: StatusCode::OK, body },
                    Err(error) => error.into(),
                },
                Err(refused) => refused,
            };
            Ok(answer.response())
        })
    }
}

impl<B> Service<Request<B>> for TakeOver
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            let taken = async {
                let session = admitted(&parts)?;
                take(&session, &read(body).await?).await
            };
            let answer = match taken.await {
                Ok(()) => Answer { status: StatusCode::NO_CONTENT, body: Value::Null },
                Err(refused) => refused,
            };
            Ok(answer.response())
        })
    }
}
