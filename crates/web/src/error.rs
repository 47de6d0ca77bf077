//! What keeps a request from its visitor.

use std::fmt;

use wix_visitor_core::{Error, ErrorKind};

/// Why a request has no visitor. Nothing was minted, and no cookie is touched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionError {
    /// The session cookie is not one that was given out, or there are several. It may have been damaged on its way alone, so it is
    /// not replaced by itself: let the shopper reload, or [start over](crate::Session::start_over).
    Damaged,
    /// Another site started this request, so the browser may have kept the session cookie back.
    CrossSite,
    /// The session was replaced within the last minute, by a sign-in or sign-out, while this request was under way.
    Retired,
    /// The response has begun, so a new session's cookie can no longer be sent: ask for the visitor before that.
    TooLate,
    /// The session has a visitor already.
    HasVisitor,
    /// Getting or keeping tokens failed.
    Visitor(Error),
}

impl SessionError {
    /// The status that tells a client of it.
    pub fn status(&self) -> http::StatusCode {
        use http::StatusCode as Status;
        match self {
            Self::Damaged => Status::BAD_REQUEST,
            Self::CrossSite => Status::FORBIDDEN,
            Self::Retired | Self::HasVisitor => Status::CONFLICT,
            Self::TooLate => Status::INTERNAL_SERVER_ERROR,
            Self::Visitor(error) => match error.kind() {
                ErrorKind::InvalidInput => Status::BAD_REQUEST,
                ErrorKind::MemberSessionEnded => Status::UNAUTHORIZED,
                ErrorKind::Retired | ErrorKind::VisitorLost => Status::CONFLICT,
                ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Busy | ErrorKind::ShuttingDown => {
                    Status::SERVICE_UNAVAILABLE
                }
                ErrorKind::Store if error.store_error().is_some_and(wix_visitor_core::StoreError::is_transient) => {
                    Status::SERVICE_UNAVAILABLE
                }
                _ => Status::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// What it is in one word, for programs: `damaged`, `cross_site`, `retired`, `too_late`, `has_visitor`, or the name of the
    /// [error's kind](ErrorKind::name).
    pub fn name(&self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::CrossSite => "cross_site",
            Self::Retired => "retired",
            Self::TooLate => "too_late",
            Self::HasVisitor => "has_visitor",
            Self::Visitor(error) => error.kind().name(),
        }
    }

    /// What to tell a shopper: a sentence that fits a page, without what only the operator can mend.
    pub fn for_shoppers(&self) -> &'static str {
        match self.status().as_u16() {
            400 if matches!(self, Self::Damaged) => {
                "Your browser's session cookie arrived damaged. Reload the page; if that does not help, clear this site's cookies."
            }
            400 => "That could not be understood.",
            401 => "You have been signed out. Please sign in again.",
            403 => "This has to be done on the shop's own pages.",
            409 if matches!(self, Self::HasVisitor) => "There is a session already; nothing was changed.",
            409 => "You have signed in or out meanwhile. Please reload the page.",
            503 => "The shop cannot be reached just now. Your cart is safe; please try again in a moment.",
            _ => "Something went wrong on our side. Your cart is safe.",
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "the session cookie is damaged, or there are several; none was replaced",
            Self::CrossSite => {
                "another site started this request, so it has no session: answer it with a redirect to a page of your own"
            }
            Self::Retired => "the session was replaced by a sign-in or sign-out while this request was under way",
            Self::TooLate => {
                "the response has begun, so a new session's cookie cannot be sent: ask for the visitor before that"
            }
            Self::HasVisitor => "the session has a visitor already; nothing was overwritten",
            Self::Visitor(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Visitor(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for SessionError {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::Retired { Self::Retired } else { Self::Visitor(error) }
    }
}
