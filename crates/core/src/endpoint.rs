//! What the flow needs of a token endpoint, and how its answers are told apart.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::key::ClientId;
use crate::secret::Secret;

/// What is asked of the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grant {
    /// A mint: a new visitor. Always succeeds at a working endpoint, which is why it is never a fallback.
    Anonymous,
    /// A renewal: the same visitor, a new access token.
    Refresh(Secret),
}

/// A reply with tokens in it. All of it is untrusted input: the flow keeps first and judges after.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GrantReply {
    /// The access token, if the reply held one.
    pub access_token: Option<Secret>,
    /// The refresh token, if the reply held one that is not empty.
    pub refresh_token: Option<Secret>,
    /// For how long the access token lives, if the reply said so in a way that can be read. Zero: already expired.
    pub expires_in: Option<Duration>,
    /// The endpoint's name for the request, for its support.
    pub request_id: Option<String>,
}

/// How a grant failed: the classes that the flow tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantFailure {
    /// A definitive `invalid_grant`: the refresh token is dead.
    Refused,
    /// The request can never work as it is: an unknown client id and the like. Touches no tokens.
    Misconfigured,
    /// Not now: 5xx, 429, throttled, not sent, an unreadable body, any 4xx not named here.
    Transient,
    /// Sent, and nobody knows whether it acted: a timeout, a connection lost after sending. Not sent again.
    Unknown,
    /// 400 or 401 on a renewal, with a body in one of Wix's two JSON shapes that is not `invalid_grant`. What Wix answers
    /// to a dead visitor token is not documented, so this counts as a refusal only once it keeps coming.
    Doubtful,
}

impl GrantReply {
    /// Whether it holds no token at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.access_token.is_none() && self.refresh_token.is_none()
    }
}

/// A grant that brought no tokens. Cheap to clone; holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrantError {
    /// The class.
    pub failure: GrantFailure,
    /// What happened, in words; no secret, no URL.
    pub message: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The endpoint's name for the request, for its support.
    pub request_id: Option<String>,
    /// For how long the endpoint asked to be left alone.
    pub retry_after: Option<Duration>,
    /// What lies beneath.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl GrantError {
    /// A failure of this class.
    pub fn new(failure: GrantFailure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into(), status: None, request_id: None, retry_after: None, source: None }
    }

    /// With the status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With the endpoint's name for the request.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// With the time for which the endpoint asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// With what lies beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for GrantError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

/// The endpoint that issues tokens.
///
/// `wix-visitor-http` implements it for Wix. An implementation sends each grant once, follows no redirect, caches nothing,
/// and ends within the given time; the flow gives up on it shortly after that in any case.
#[async_trait]
pub trait TokenEndpoint: fmt::Debug + Send + Sync + 'static {
    /// Who issues the tokens, as a name that stays the same: the API's origin. Part of every [`StoreKey`](crate::StoreKey),
    /// so that tokens of two issuers never meet.
    fn issuer(&self) -> &str;

    /// Sends one grant.
    ///
    /// # Errors
    /// A [`GrantError`] whose class decides what happens to the visitor: be sure before answering
    /// [`Refused`](GrantFailure::Refused), and answer [`Unknown`](GrantFailure::Unknown) whenever the request may have left.
    async fn grant(&self, client_id: &ClientId, grant: &Grant, timeout: Duration) -> Result<GrantReply, GrantError>;
}
