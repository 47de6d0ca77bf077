//! What the sandbox answers, before it is put on the wire, and the error bodies of Wix.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ErrorShape;
use crate::random;

/// A whole answer.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, "application/json", body.to_string())
    }

    pub(super) fn html(status: u16, body: &str) -> Self {
        Self::raw(status, "text/html; charset=utf-8", body.to_owned())
    }

    pub(super) fn raw(status: u16, content_type: &str, body: String) -> Self {
        Self { status, content_type: Some(content_type.to_owned()), headers: Vec::new(), body: Bytes::from(body) }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: Bytes::new() }
    }

    #[must_use]
    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// An error in the shape asked for; `code` is OAuth's, and the Wix shapes spell it in capitals.
    pub(super) fn error(shape: ErrorShape, status: u16, code: &str, description: &str) -> Self {
        match shape {
            ErrorShape::OAuth => Self::json(status, &json!({ "error": code, "error_description": description })),
            ErrorShape::WixApplication => Self::application_error(status, &code.to_ascii_uppercase(), description),
            ErrorShape::WixValidation => {
                Self::validation_error(status, description, "token_request", &code.to_ascii_uppercase())
            }
            ErrorShape::Empty => Self::empty(status),
            ErrorShape::Html => {
                Self::html(status, "<!doctype html><title>Error</title><h1>Something went wrong</h1>\n")
            }
        }
    }

    /// Wix's shape for an error of the application.
    pub(super) fn application_error(status: u16, code: &str, description: &str) -> Self {
        Self::json(
            status,
            &json!({
                "message": description,
                "details": {
                    "applicationError": { "code": code, "description": description, "data": {} }
                }
            }),
        )
    }

    /// Wix's shape for a request that does not validate.
    pub(super) fn validation_error(status: u16, message: &str, field: &str, rule: &str) -> Self {
        Self::json(
            status,
            &json!({
                "message": message,
                "details": {
                    "validationError": {
                        "fieldViolations": [
                            { "field": field, "description": message, "violatedRule": rule }
                        ]
                    }
                }
            }),
        )
    }
}

/// A request id in the form of Wix's: seconds, a dot, and digits.
pub(super) fn request_id(now_ms: u64) -> String {
    let digits = u64::from_be_bytes(random::bytes());
    format!("{}.{digits:020}", now_ms / 1000)
}
