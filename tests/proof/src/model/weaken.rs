//! How a rule is left out: by tampering with what stands between the code that decides and its surroundings.

use wix_visitor_core::protocol::flight::Seen;
use wix_visitor_core::protocol::reconcile::{Reconciled, reconcile};
use wix_visitor_core::record::{Nonce, Record, Standing};
use wix_visitor_core::{Now, Policy};

use crate::model::instance::{Answer, Flying};
use crate::model::world::Cx;

/// A rule of the protocol that is left out, by tampering with what stands between the code that decides and its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A claim is not used once too little of its lease is left: here, its holder never sees time go by.
    Deadline,
    /// What counts is the clock that saw more time go by: here, only the monotonic one.
    SleepGuard,
    /// A claim of others is honoured: here, others do not see it.
    Claim,
    /// A claim is broken once this very nonce was watched for a lease: here, all nonces look the same.
    Nonce,
    /// Refresh tokens are kept aside: here, alternates are never stored.
    Alternates,
    /// A record that the store lost is put back: here, whatever the store shows is adopted.
    PutBack,
    /// The application's changes count: here, every epoch is zero.
    Epoch,
    /// An identity has a name: here, all have the same.
    Lineage,
    /// To forget leaves a tombstone: here, an empty record.
    Tombstone,
    /// After a refusal the record is read again: here, what stands there is overwritten unseen.
    ReRead,
    /// A mint notes what it replaces: here, it does not.
    Replaces,
    /// The claim is kept when a grant's fate is unknown: here, it is released.
    KeptClaim,
    /// A claim is broken only once it was watched for a lease: here, at the second look, however soon.
    Watch,
}

impl Rule {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "the deadline: no grant on a claim that may run out",
            Self::SleepGuard => "the guard for sleep: the clock that saw more time go by counts",
            Self::Claim => "the claim: who talks to the endpoint",
            Self::Nonce => "the nonce: whose claim it is",
            Self::Alternates => "alternates: tokens of the same visitor kept aside",
            Self::PutBack => "put-back: what the store lost goes there again",
            Self::Epoch => "the epoch: what the application did counts for more",
            Self::Lineage => "the lineage: whose tokens they are",
            Self::Tombstone => "the tombstone: forgotten on purpose",
            Self::ReRead => "re-read on refusal: what stands there is looked at before it is overwritten",
            Self::Replaces => "replaces: what a mint took the place of",
            Self::KeptClaim => "the claim kept after *unknown*",
            Self::Watch => "the watched takeover: a claim is broken only after a whole lease",
        }
    }
}

/// The only name there is, where identities and claims have none.
pub(crate) const SAME: u128 = 2 << 64;

/// Whether a rule that is left out is what an instance that sees this would go by: then it adopts what it sees.
pub(crate) fn misses(cx: &Cx<'_>, flying: &Flying, seen: Option<&Seen>, now: Now, policy: &Policy) -> bool {
    let Some(mine) = flying.flight.held() else { return false };
    match reconcile(mine, seen.map(|seen| &seen.record), now, policy) {
        Reconciled::Put { .. } => cx.is_without(Rule::PutBack),
        Reconciled::Join { .. } => cx.is_without(Rule::Alternates),
        Reconciled::Adopt => false,
    }
}

/// What an instance is shown of a record, where a rule about claims is left out.
pub(crate) fn shown(cx: &Cx<'_>, mut seen: Seen, own: Option<u128>) -> Seen {
    if seen.record.claim.is_some_and(|nonce| Some(nonce.0) != own) {
        if cx.is_without(Rule::Claim) {
            seen.record.claim = None;
        }
        if cx.is_without(Rule::Nonce) {
            seen.record.claim = Some(Nonce(SAME));
        }
    }
    seen
}

/// Takes out of a record what a rule that is left out would have put there; whether there was anything.
pub(crate) fn tamper(cx: &Cx<'_>, record: &mut Record, last: Option<&Answer>) -> bool {
    let before = record.clone();
    match (cx.config.without, &mut record.standing) {
        (Some(Rule::Alternates), Standing::Held(chain)) => chain.alternates.clear(),
        (Some(Rule::Replaces), Standing::Held(chain)) => chain.replaces = None,
        (Some(Rule::KeptClaim), _) if record.trouble.is_some() && last == Some(&Answer::GrantUnknown) => {
            record.claim = None;
        }
        _ => {}
    }
    *record != before
}
