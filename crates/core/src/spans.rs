//! Spans for those who trace: the only place that names one. None is made on the way to a token that is usable.

use tracing::field::Empty;
use tracing::{Span, debug_span, info_span};

use crate::key::VisitorId;
use crate::protocol::flight::Goal;
use crate::sight::{GrantKind, Operation};

/// The field that says how it ended; unset where it never did, as its runtime was dropped.
const OUTCOME: &str = "outcome";

/// One flight. It follows from the call that it took off for, and is no child of it: it may outlive that, which would look as
/// if the call had taken so long.
pub(crate) fn flight(visitor: VisitorId, goal: &Goal) -> Span {
    let goal = match goal {
        Goal::Save => "save",
        Goal::Look => "look",
        Goal::Renew => "renew",
        Goal::Serve => "serve",
        Goal::Replace(_) => "replace",
    };
    let span = debug_span!(parent: None, "wix_visitor.flight", %visitor, goal, outcome = Empty);
    span.follows_from(Span::current());
    span
}

/// One change that the application wished for, likewise.
pub(crate) fn change(visitor: VisitorId) -> Span {
    let span = debug_span!(parent: None, "wix_visitor.change", %visitor, outcome = Empty);
    span.follows_from(Span::current());
    span
}

/// One grant.
pub(crate) fn grant(visitor: VisitorId, kind: GrantKind) -> Span {
    info_span!("wix_visitor.grant", %visitor, kind = kind.name(), outcome = Empty)
}

/// One store operation.
pub(crate) fn store(operation: Operation) -> Span {
    debug_span!("wix_visitor.store", operation = operation.name(), outcome = Empty)
}

/// Says how it ended.
pub(crate) fn ended(span: &Span, outcome: &'static str) {
    span.record(OUTCOME, outcome);
}
