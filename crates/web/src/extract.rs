//! What axum needs: the session as an extractor, its errors as answers.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, StatusCode, request};

use crate::error::SessionError;
use crate::session::Session;

/// There is no [`SessionLayer`](crate::SessionLayer) around this handler.
#[derive(Clone, Copy, Debug)]
pub struct NoSessionLayer;

impl IntoResponse for NoSessionLayer {
    fn into_response(self) -> Response {
        tracing::error!("a handler asks for a session, and there is no SessionLayer around it");
        (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.").into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = NoSessionLayer;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, NoSessionLayer> {
        parts.extensions.get::<Self>().cloned().ok_or(NoSessionLayer)
    }
}

/// A sentence for the shopper; the whole of it goes to the log.
impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        tracing::warn!(error = %self, "a request has no visitor");
        let mut response = (self.status(), self.for_shoppers()).into_response();
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            let wait = match &self {
                Self::Visitor(error) => error.retry_in().map_or(1, |wait| wait.as_secs().clamp(1, 60)),
                _ => 1,
            };
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}
