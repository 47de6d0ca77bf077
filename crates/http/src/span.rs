//! The span of an API call. Neither path nor query: they are the application's, and may hold what is nobody's business.

use http::Method;
use tracing::field::{Empty, display};
use tracing::{Instrument, info_span};
use wix_visitor_core::{Error, VisitorId};

use crate::response::ApiResponse;

/// Performs a call within its span.
pub(crate) async fn api_call(
    visitor: Option<VisitorId>,
    method: &Method,
    call: impl Future<Output = Result<ApiResponse, Error>>,
) -> Result<ApiResponse, Error> {
    let visitor = visitor.map(display);
    let span = info_span!("wix_visitor.api_call", visitor, %method, status = Empty, outcome = Empty);
    let answer = call.instrument(span.clone()).await;
    match &answer {
        Ok(response) => span.record("status", response.status().as_u16()).record("outcome", "answered"),
        Err(error) => span.record("outcome", error.kind().name()),
    };
    answer
}
