//! What an operator sees of grants and store operations: a span and numbers for each, also of one that was given up half-way.

use std::time::Duration;

use tracing::{Instrument, Span};

use crate::clock::Clock;
use crate::driver::Driver;
use crate::endpoint::{Grant, GrantError, GrantFailure, GrantReply};
use crate::error::{StoreError, StoreErrorKind};
use crate::key::VisitorId;
use crate::spans;
use crate::store::Exchange;

macro_rules! names {
    ($(#[$attribute:meta])* $type:ident { $($variant:ident = $name:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($variant,)+ }

        impl $type {
            /// In the order of their numbers.
            pub(crate) const ALL: [Self; [$(Self::$variant,)+].len()] = [$(Self::$variant,)+];

            /// As spans and metrics say it.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

names! {
    /// What is granted.
    GrantKind { Mint = "mint", Renew = "renew", }
}

names! {
    /// How a grant ended.
    GrantOutcome {
        Granted = "granted",
        Refused = "refused",
        Misconfigured = "misconfigured",
        Transient = "transient",
        Unknown = "unknown",
        Doubtful = "doubtful",
        Abandoned = "abandoned",
    }
}

names! {
    /// What a store is asked.
    Operation { Load = "load", Swap = "swap", Reserve = "reserve", Health = "health", }
}

names! {
    /// How a store operation ended.
    StoreOutcome {
        Ok = "ok",
        Conflict = "conflict",
        Unavailable = "unavailable",
        Unknown = "unknown",
        Corrupt = "corrupt",
        Misconfigured = "misconfigured",
        Unsupported = "unsupported",
        Abandoned = "abandoned",
    }
}

impl GrantKind {
    fn of(grant: &Grant) -> Self {
        match grant {
            Grant::Anonymous => Self::Mint,
            Grant::Refresh(_) => Self::Renew,
        }
    }
}

impl GrantOutcome {
    fn of(answer: &Result<GrantReply, GrantError>) -> Self {
        match answer.as_ref().map_err(|error| error.failure) {
            // As the flow takes it.
            Ok(reply) if reply.is_empty() => Self::Transient,
            Ok(_) => Self::Granted,
            Err(GrantFailure::Refused) => Self::Refused,
            Err(GrantFailure::Misconfigured) => Self::Misconfigured,
            Err(GrantFailure::Transient) => Self::Transient,
            Err(GrantFailure::Unknown) => Self::Unknown,
            Err(GrantFailure::Doubtful) => Self::Doubtful,
        }
    }
}

/// An answer of a store.
pub(crate) trait Answer {
    /// Whether it was that another version stands there.
    fn is_conflict(&self) -> bool {
        false
    }
}

impl Answer for () {}
impl<T> Answer for Option<T> {}
impl Answer for Exchange {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }
}

impl StoreOutcome {
    fn of(answer: &Result<impl Answer, StoreError>) -> Self {
        match answer.as_ref().map_err(StoreError::kind) {
            Ok(answer) if answer.is_conflict() => Self::Conflict,
            Ok(_) => Self::Ok,
            Err(StoreErrorKind::Unavailable) => Self::Unavailable,
            Err(StoreErrorKind::Unknown) => Self::Unknown,
            Err(StoreErrorKind::Corrupt) => Self::Corrupt,
            Err(StoreErrorKind::Misconfigured) => Self::Misconfigured,
            Err(StoreErrorKind::Unsupported) => Self::Unsupported,
        }
    }
}

impl Driver {
    /// Sends a grant in sight of those who watch.
    pub(crate) async fn grant_in_sight(
        &self,
        visitor: VisitorId,
        grant: &Grant,
        sent: impl Future<Output = Result<GrantReply, GrantError>>,
    ) -> Result<GrantReply, GrantError> {
        let kind = GrantKind::of(grant);
        let span = spans::grant(visitor, kind);
        let _in_flight = self.meters.grant_sent(kind);
        let mut watched = Watched::new(&*self.clock, span.clone(), GrantOutcome::Abandoned, |outcome, took| {
            self.meters.grant_ended(kind, outcome, took);
            outcome.name()
        });
        let answer = sent.instrument(span).await;
        watched.outcome = GrantOutcome::of(&answer);
        answer
    }

    /// Asks the store in sight of those who watch.
    pub(crate) async fn store_in_sight<T: Answer>(
        &self,
        operation: Operation,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let span = spans::store(operation);
        let mut watched = Watched::new(&*self.clock, span.clone(), StoreOutcome::Abandoned, |outcome, took| {
            self.meters.store_ended(operation, outcome, took);
            outcome.name()
        });
        let answer = asked.instrument(span).await;
        watched.outcome = StoreOutcome::of(&answer);
        answer
    }
}

/// Something under way. Its end is told when this is dropped, so also where its runtime was, or where it panicked.
struct Watched<'a, O: Copy, T: Fn(O, Duration) -> &'static str> {
    clock: &'a dyn Clock,
    since: Duration,
    span: Span,
    outcome: O,
    /// Tells of the end, and gives its name.
    tell: T,
}

impl<'a, O: Copy, T: Fn(O, Duration) -> &'static str> Watched<'a, O, T> {
    fn new(clock: &'a dyn Clock, span: Span, outcome: O, tell: T) -> Self {
        Self { clock, since: clock.monotonic(), span, outcome, tell }
    }
}

impl<O: Copy, T: Fn(O, Duration) -> &'static str> Drop for Watched<'_, O, T> {
    fn drop(&mut self) {
        let took = self.clock.monotonic().saturating_sub(self.since);
        spans::ended(&self.span, (self.tell)(self.outcome, took));
    }
}
