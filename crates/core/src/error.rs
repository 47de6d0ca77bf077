//! The two error types: what went wrong in a store, and what went wrong in the flow.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::key::VisitorId;
use crate::store::Etag;

type Source = Arc<dyn StdError + Send + Sync>;

/// What kind of trouble a store is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached or cannot work just now. The operation was *not* applied.
    Unavailable,
    /// A write was sent and its answer is missing. It may have been applied, or may yet be.
    Unknown,
    /// What is there cannot be read as what it should be.
    Corrupt,
    /// It was set up wrongly: no rights, wrong path, wrong password.
    Misconfigured,
    /// It cannot do what was asked: a newer schema, an older server, a record too large.
    Unsupported,
}

impl StoreErrorKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "is unavailable",
            Self::Unknown => "gave no answer to a write",
            Self::Corrupt => "holds something unreadable",
            Self::Misconfigured => "is set up wrongly",
            Self::Unsupported => "cannot do this",
        }
    }
}

/// A failure of a store. Cheap to clone; holds no secret.
///
/// `Display` says which backend failed, how, and what to do; [`source`](StdError::source) is the backend's own error.
#[derive(Clone)]
pub struct StoreError(Arc<StoreErrorInner>);

struct StoreErrorInner {
    kind: StoreErrorKind,
    backend: &'static str,
    message: String,
    standing: Option<Etag>,
    source: Option<Source>,
}

impl StoreError {
    /// A failure of the named backend. The message says what failed and what to do, in lower case, without a secret.
    pub fn new(kind: StoreErrorKind, backend: &'static str, message: impl Into<String>) -> Self {
        Self(Arc::new(StoreErrorInner { kind, backend, message: message.into(), standing: None, source: None }))
    }

    /// With the backend's own error beneath.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let StoreErrorInner { kind, backend, ref message, standing, .. } = *self.0;
        let source = Some(Arc::from(source.into()));
        Self(Arc::new(StoreErrorInner { kind, backend, message: message.clone(), standing, source }))
    }

    /// With the etag under which a record stands that cannot be read: so an application that sets tokens or forgets may still
    /// write over it.
    #[must_use]
    pub fn with_standing(self, etag: Etag) -> Self {
        let StoreErrorInner { kind, backend, ref message, ref source, .. } = *self.0;
        let (message, source) = (message.clone(), source.clone());
        Self(Arc::new(StoreErrorInner { kind, backend, message, standing: Some(etag), source }))
    }

    /// What kind of trouble.
    pub fn kind(&self) -> StoreErrorKind {
        self.0.kind
    }

    /// The backend's name: `sqlite`, `redis` and so on.
    pub fn backend(&self) -> &'static str {
        self.0.backend
    }

    /// The etag of a record that stands there and cannot be read, where the store knows it.
    pub fn standing(&self) -> Option<Etag> {
        self.0.standing
    }

    /// Whether the same call may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, StoreErrorKind::Unavailable | StoreErrorKind::Unknown)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StoreErrorInner { kind, backend, message, .. } = &*self.0;
        write!(f, "the {backend} store {}: {message}", kind.as_str())
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StoreErrorInner { kind, backend, message, standing: _, source } = &*self.0;
        f.debug_struct("StoreError")
            .field("kind", kind)
            .field("backend", backend)
            .field("message", message)
            .field("source", source)
            .finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

/// What kind of failure a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What the caller passed cannot be used. Nothing was sent, nothing was changed.
    InvalidInput,
    /// The endpoint will never accept this configuration: a wrong client id and the like. No token was touched.
    Misconfigured,
    /// Wix could not be reached, or asked for patience. The visitor is unharmed; try again after
    /// [`retry_in`](Error::retry_in).
    Unavailable,
    /// A grant was sent and its answer is missing. It is not sent again before the claim has run out.
    OutcomeUnknown,
    /// Another instance holds the claim on this visitor, and the wait for it ran out.
    Busy,
    /// The store failed; [`source`](StdError::source) is the [`StoreError`]. The visitor is unharmed.
    Store,
    /// The member's refresh token was refused. The application decides: sign in again (*set tokens*), or *forget*.
    MemberSessionEnded,
    /// The visitor's tokens were refused, and the policy says not to replace it by a new one.
    VisitorLost,
    /// The visitor was [retired](crate::Visitor::retire): nothing is minted under its key any more.
    Retired,
    /// The site was shut down; no new grant is started.
    ShuttingDown,
    /// There is no tokio runtime to run on. It needs one with its timer on: tokio itself panics without.
    NoRuntime,
    /// A store or an endpoint panicked in the middle of its work.
    Panicked,
}

impl ErrorKind {
    /// As spans and metrics say it: `outcome_unknown` and the like.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Misconfigured => "misconfigured",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Busy => "busy",
            Self::Store => "store",
            Self::MemberSessionEnded => "member_session_ended",
            Self::VisitorLost => "visitor_lost",
            Self::ShuttingDown => "shutting_down",
            Self::NoRuntime => "no_runtime",
            Self::Retired => "retired",
            Self::Panicked => "panicked",
        }
    }
}

/// A failure of the flow. Cheap to clone (all who waited for one grant get the same); holds no secret.
///
/// `Display` is one line that says what failed and what to do. [`source`](StdError::source) tells what lies beneath.
#[derive(Clone)]
pub struct Error(Arc<ErrorInner>);

#[derive(Clone)]
struct ErrorInner {
    kind: ErrorKind,
    message: String,
    visitor: Option<VisitorId>,
    status: Option<u16>,
    request_id: Option<String>,
    retry_in: Option<Duration>,
    source: Option<Source>,
}

impl Error {
    /// A failure of this kind. The message says what failed and what to do, in lower case, without a secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(ErrorInner {
            kind,
            message: message.into(),
            visitor: None,
            status: None,
            request_id: None,
            retry_in: None,
            source: None,
        }))
    }

    fn change(mut self, change: impl FnOnce(&mut ErrorInner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Says whose call it was.
    #[must_use]
    pub fn with_visitor(self, visitor: VisitorId) -> Self {
        self.change(|e| e.visitor = Some(visitor))
    }

    /// With the HTTP status that was answered.
    #[must_use]
    pub fn with_status(self, status: Option<u16>) -> Self {
        self.change(|e| e.status = status)
    }

    /// With the endpoint's name for the request.
    #[must_use]
    pub fn with_request_id(self, id: Option<String>) -> Self {
        self.change(|e| e.request_id = id)
    }

    /// With the time after which another try makes sense.
    #[must_use]
    pub fn with_retry_in(self, after: Option<Duration>) -> Self {
        self.change(|e| e.retry_in = after)
    }

    /// With what lies beneath.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source: Source = Arc::from(source.into());
        self.change(|e| e.source = Some(source))
    }

    /// What kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self.0.kind {
            ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Busy => true,
            ErrorKind::Store => self.store_error().is_some_and(StoreError::is_transient),
            _ => false,
        }
    }

    /// The store's error, if it was the store.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.0.source.as_deref()?.downcast_ref()
    }

    /// Whose call it was, if it was a visitor's.
    pub fn visitor(&self) -> Option<VisitorId> {
        self.0.visitor
    }

    /// The HTTP status that was answered, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The endpoint's name for the request (`x-wix-request-id`): what its support asks for.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// After how long another try makes sense, if that is known.
    pub fn retry_in(&self) -> Option<Duration> {
        self.0.retry_in
    }

    /// The message alone, without visitor, status and request id.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::new(ErrorKind::Store, error.to_string()).with_source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(&inner.message)?;
        if let Some(status) = inner.status {
            write!(f, " (status {status})")?;
        }
        if let Some(id) = &inner.request_id {
            write!(f, " (request id {id})")?;
        }
        if let Some(after) = inner.retry_in {
            write!(f, "; try again in {:.1} s", after.as_secs_f64())?;
        }
        if let Some(visitor) = inner.visitor {
            write!(f, " [visitor {visitor}]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("message", &inner.message)
            .field("visitor", &inner.visitor)
            .field("status", &inner.status)
            .field("request_id", &inner.request_id)
            .field("retry_in", &inner.retry_in)
            .field("source", &inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}
