//! An API's answer, whose body streams.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use wix_visitor_core::{Error, ErrorKind, VisitorLost};

use crate::call::not_answered;
use crate::memory::Rejection;
use crate::quote::request_id;

/// An error body above this is not looked into, only passed on.
const LARGEST_LOOKED_INTO: usize = 64 * 1024;
const AMBIGUOUS_CODE: &str = "WDE0117";

/// The answer to an API call, of any status. The body is read as it is asked for: [`chunk`](Self::chunk) for a large one.
///
/// An answer of 400 and above is an answer, not an error: see [`status`](Self::status).
pub struct ApiResponse {
    status: StatusCode,
    headers: HeaderMap,
    request_id: Option<String>,
    rejection: Option<Rejection>,
    lost: Option<VisitorLost>,
    /// What was read to look into it, and comes first.
    ahead: Bytes,
    /// What went wrong while that was read, to be met where the caller's reading meets it.
    broken: Option<Error>,
    rest: Option<reqwest::Response>,
}

impl ApiResponse {
    pub(crate) async fn read(mut response: reqwest::Response) -> Self {
        let headers = std::mem::take(response.headers_mut());
        let mut this = Self {
            status: response.status(),
            request_id: request_id(&headers, &[]),
            headers,
            rejection: None,
            lost: None,
            ahead: Bytes::new(),
            broken: None,
            rest: Some(response),
        };
        if this.status == StatusCode::UNAUTHORIZED {
            this.rejection = Some(Rejection::Unauthorized);
        } else if (this.status.is_client_error() || this.status.is_server_error()) && this.may_be_json() {
            this.look_ahead().await;
            if holds_ambiguous_code(&this.ahead) {
                this.rejection = Some(Rejection::Ambiguous);
            }
        }
        this
    }

    pub(crate) fn rejection(&self) -> Option<Rejection> {
        self.rejection
    }

    pub(crate) fn with_lost(mut self, lost: Option<VisitorLost>) -> Self {
        self.lost = lost;
        self
    }

    fn may_be_json(&self) -> bool {
        self.headers.get(CONTENT_TYPE).is_none_or(|t| t.to_str().is_ok_and(|t| t.to_ascii_lowercase().contains("json")))
    }

    async fn look_ahead(&mut self) {
        let mut ahead = BytesMut::new();
        while ahead.len() <= LARGEST_LOOKED_INTO {
            match self.next().await {
                Ok(Some(chunk)) => ahead.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        self.ahead = ahead.freeze();
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(rest) = &mut self.rest else { return Ok(None) };
        match rest.chunk().await {
            Ok(Some(chunk)) => Ok(Some(chunk)),
            Ok(None) => {
                self.rest = None;
                Ok(None)
            }
            Err(error) => {
                self.rest = None;
                Err(self.tell(not_answered(error)))
            }
        }
    }

    fn tell(&self, error: Error) -> Error {
        error.with_status(Some(self.status.as_u16())).with_request_id(self.request_id.clone())
    }

    /// The status that the API answered, after the renewal and the retry, if there were any.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers that the API answered.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Wix's name for this request (`x-wix-request-id`): what its support asks for.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Set if this call met the loss of the visitor: it was made as a new one.
    pub fn visitor_lost(&self) -> Option<&VisitorLost> {
        self.lost.as_ref()
    }

    /// The next piece of the body as it arrives, or `None` at its end.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the connection or the call's time ended before the body did. After an
    /// error there is nothing more.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.ahead.is_empty() {
            return Ok(Some(std::mem::take(&mut self.ahead)));
        }
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.next().await
    }

    /// The whole body in memory, however large: use [`chunk`](Self::chunk) where it may be too large.
    ///
    /// # Errors
    /// As for [`chunk`](Self::chunk).
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The whole body as UTF-8, with replacement characters for what is not.
    ///
    /// # Errors
    /// As for [`chunk`](Self::chunk).
    pub async fn text(self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The whole body as a `T`, whatever the status.
    ///
    /// # Errors
    /// As for [`chunk`](Self::chunk); also [`Unavailable`](ErrorKind::Unavailable) if the body is not JSON, and
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is, but no `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let (status, id) = (self.status.as_u16(), self.request_id.clone());
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|e| {
            // Said in our words: serde's quote the body.
            let at = format!("at line {}, column {}", e.line(), e.column());
            let error = if e.is_data() {
                Error::new(ErrorKind::InvalidInput, format!("the API's answer is not of the type asked for, {at}"))
            } else {
                Error::new(ErrorKind::Unavailable, format!("the API's answer is not JSON, {at}"))
            };
            error.with_status(Some(status)).with_request_id(id)
        })
    }
}

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither body nor headers: either may hold what is the shopper's alone.
        f.debug_struct("ApiResponse")
            .field("status", &self.status)
            .field("request_id", &self.request_id)
            .field("visitor_lost", &self.lost.is_some())
            .finish_non_exhaustive()
    }
}

/// Whether an error body names the code that a dead token may get.
fn holds_ambiguous_code(body: &[u8]) -> bool {
    // Most error bodies do not hold it at all, and then are not parsed.
    if body.len() > LARGEST_LOOKED_INTO || !body.windows(AMBIGUOUS_CODE.len()).any(|w| w == AMBIGUOUS_CODE.as_bytes()) {
        return false;
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let application = body.get("details").and_then(|d| d.get("applicationError"));
    let codes = [body.get("code"), body.get("errorCode"), application.and_then(|a| a.get("code"))];
    codes.into_iter().flatten().any(|code| code == AMBIGUOUS_CODE)
        || body.get("message").and_then(Value::as_str).is_some_and(|m| m.starts_with(AMBIGUOUS_CODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ambiguous_code_is_found_where_wix_puts_codes() {
        for body in [
            r#"{"code":"WDE0117","message":"MetaSite not found"}"#,
            r#"{"message":"x","details":{"applicationError":{"code":"WDE0117","description":"MetaSite not found"}}}"#,
            r#"{"message":"WDE0117: MetaSite not found"}"#,
        ] {
            assert!(holds_ambiguous_code(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "WDE0117",
            r#"{"code":"WDE0118"}"#,
            r#"{"code":"WDE01170"}"#,
            r#"{"message":"see WDE0117"}"#,
            r#"{"item":{"code":"WDE0117"}}"#,
        ] {
            assert!(!holds_ambiguous_code(body.as_bytes()), "{body}");
        }
    }
}
