//! How a rule is left out: by tampering with what stands between the code that decides and its surroundings.

use wix_visitor_core::protocol::flight::Seen;
use wix_visitor_core::protocol::reconcile::{Reconciled, reconcile};
use wix_visitor_core::record::{Nonce, Record, Standing};
use wix_visitor_core::{Now, Policy};

use crate::model::config::Rule;
use crate::model::instance::{Answer, Flying};
use crate::model::world::Cx;

/// The only name there is, where identities and claims have none.
pub(crate) const SAME: u128 = 2 << 64;

/// Whether an instance that sees this would put back what it holds.
pub(crate) fn would_put_back(flying: &Flying, seen: Option<&Seen>, now: Now, policy: &Policy) -> bool {
    let theirs = seen.map(|seen| &seen.record);
    flying.flight.held().is_some_and(|mine| matches!(reconcile(mine, theirs, now, policy), Reconciled::Put { .. }))
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
