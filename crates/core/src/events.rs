//! What happened to visitors, as a stream.

use std::fmt;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::error::Error;
use crate::key::VisitorId;
use crate::tokens::Role;

/// Something that happened to one visitor. Holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// To whom.
    pub visitor: VisitorId,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A new visitor exists.
    Minted,
    /// A new access token for the same visitor.
    Renewed {
        /// How many renewals this identity has seen.
        generation: u64,
    },
    /// Another instance's tokens were taken over from the store.
    Adopted,
    /// A visitor was replaced by a new one, or cannot go on: its cart is out of reach.
    VisitorLost(Arc<VisitorLost>),
    /// A member's refresh token was refused: sign in again, or forget.
    MemberSessionEnded,
    /// A grant failed; the visitor is unharmed.
    RenewalFailed(Error),
    /// New tokens serve from memory, but are not in the store yet; saving is tried again until it works.
    SavePending(Error),
    /// Tokens that were pending are in the store.
    Saved,
    /// A claim whose holder let it run out was taken over: that holder was killed or stopped, or had no answer to its grant.
    ClaimTakenOver,
    /// A refresh token that was kept aside had to go.
    AlternateDropped,
    /// This many events came faster than they were taken, and are gone.
    Missed(u64),
}

/// How a visitor was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VisitorLost {
    /// Why.
    pub reason: LossReason,
    /// Whose tokens they were.
    pub role: Role,
    /// After how many renewals.
    pub generation: u64,
    /// Whether a new visitor took its place.
    pub replaced: bool,
}

/// Why a visitor was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// The endpoint definitively refused every refresh token there was.
    Refused,
    /// The endpoint never gave a refresh token, and the access token has ended.
    NoRefreshToken,
    /// It was not in the store, or no longer: another instance made a new visitor, which is the one that counts; or it was gone
    /// for longer than the policy's `put_back`.
    Superseded,
}

impl fmt::Display for VisitorLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.reason {
            LossReason::Refused => "every refresh token was refused",
            LossReason::NoRefreshToken => "there was no refresh token to renew with",
            LossReason::Superseded => "it was no longer in the store,",
        };
        let then = if self.replaced { "a new visitor took its place" } else { "no new one was minted" };
        write!(f, "{why} after {} renewals; {then}", self.generation)
    }
}

/// The stream of a site's events, from the moment it was asked for. One that is not read costs nothing but what it misses.
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<Event>);

/// Whose events were missed is not known.
const NOBODY: &str = "none/00000000";

impl Events {
    /// The next event; `None` once the site and all its visitors are gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Self::missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(Self::missed(missed)),
            Err(_) => None,
        }
    }

    fn missed(count: u64) -> Event {
        Event { visitor: VisitorId::of(NOBODY), kind: EventKind::Missed(count) }
    }
}
