//! What can go wrong in a handler, and what a shopper is told of it.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use wix_visitor::web::SessionError;
use wix_visitor::{Error, ErrorKind};

use crate::pages;
use crate::shopper::Shopper;

/// Why a request cannot be answered as it should. Holds no secret.
#[derive(Clone, Debug)]
pub(crate) enum ShopError {
    /// There is no visitor, or its tokens cannot be had.
    Session(SessionError),
    /// The API answered with an error.
    Refused { status: StatusCode, request_id: Option<String> },
    /// There is no such page or thing.
    NotFound,
    /// The request is not one that a page here makes.
    NotUnderstood(StatusCode),
    /// The sign-in did not come to its end.
    SignIn(&'static str),
}

impl ShopError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Session(error) => error.status(),
            Self::Refused { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotUnderstood(status) => *status,
            Self::SignIn(_) => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn for_shoppers(&self) -> &'static str {
        match self {
            Self::Session(error) => error.for_shoppers(),
            Self::Refused { .. } => {
                "The shop cannot be reached just now. Your cart is safe; please try again in a moment."
            }
            Self::NotFound => "There is nothing here. It may have been sold, or never made.",
            Self::NotUnderstood(_) => "That could not be understood.",
            Self::SignIn(why) => why,
        }
    }

    /// For the log.
    fn tell(&self) {
        match self {
            Self::Session(error) => tracing::warn!(%error, "a request has no visitor, or no token"),
            Self::Refused { status, request_id } => {
                // A 401 is here where the token was rejected and could not be renewed.
                tracing::warn!(%status, request_id, "the API refused a call");
            }
            Self::SignIn(why) => tracing::warn!(why, "a sign-in failed"),
            Self::NotFound | Self::NotUnderstood(_) => {}
        }
    }

    fn retry_after(&self) -> Option<u64> {
        let wait = match self {
            Self::Session(SessionError::Visitor(error)) => error.retry_in().map_or(1, |wait| wait.as_secs()),
            _ => 1,
        };
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(wait.clamp(1, 60))
    }
}

impl From<SessionError> for ShopError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<Error> for ShopError {
    fn from(error: Error) -> Self {
        Self::Session(error.into())
    }
}

/// Bare; [`show`] makes a page of it, which has to know whose page it is.
impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        self.tell();
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Around all handlers: an error becomes a page, or JSON where that was asked for.
pub(crate) async fn show(shopper: Shopper, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let error = match response.extensions_mut().remove::<ShopError>() {
        Some(error) => error,
        // What axum itself refuses: a form without its field, a method that a path does not have.
        None if is_bare_refusal(&response) => ShopError::NotUnderstood(response.status()),
        None => return response,
    };
    let path = shopper.here.as_str();
    let mut told = if path.starts_with("/api/") || path == "/panel/state" {
        axum::Json(json!({ "error": error.for_shoppers() })).into_response()
    } else {
        pages::trouble(&shopper, &error).await.into_response()
    };
    *told.status_mut() = error.status();
    told.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = error.retry_after() {
        told.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    told
}

fn is_bare_refusal(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    response.status().is_client_error() && (kind.is_empty() || kind.starts_with(b"text/plain"))
}

/// Whether a session is a member's whose sign-in has come to its end.
pub(crate) fn is_signed_out(error: &ShopError) -> bool {
    matches!(error, ShopError::Session(SessionError::Visitor(error)) if error.kind() == ErrorKind::MemberSessionEnded)
}
