//! What the store and the endpoint make of what they are asked, and what is found out by it.

use wix_visitor_core::protocol::flight::{Seen, Swap};
use wix_visitor_core::protocol::reconcile::newer;
use wix_visitor_core::record::{Nonce, Record};
use wix_visitor_core::{Etag, Grant, Secret, Timestamp};

use crate::model::config::{Fault, Start};
use crate::model::endpoint::{Redeemed, family_of};
use crate::model::finding::Finding;
use crate::model::instance::{Answer, Doing};
use crate::model::weaken::{Rule, SAME, tamper};
use crate::model::world::{Cx, Rightful, World, family_in};

impl World {
    /// Carries out a flight's write.
    pub(crate) fn perform(&mut self, cx: &mut Cx<'_>, who: usize) -> Answer {
        let Some(flying) = &self.instances[who].flying else { return Answer::Unknown };
        let Doing::Swap { swap, blind, .. } = &flying.doing else { return Answer::Unknown };
        let (swap, blind) = (swap.clone(), *blind);
        let Swap { expected, mut new, .. } = *swap;
        let tampered = tamper(cx, &mut new.record, flying.last.as_ref());
        let own = new.etag;
        if cx.is_without(Rule::Nonce) && new.record.claim == Some(Nonce(SAME)) {
            new.record.claim = self.store.as_ref().and_then(|seen| seen.record.claim);
        }
        if tampered {
            // Under another name, so that its writer sees what was made of it.
            new.etag = Etag::from_bits(self.draw());
            return match self.exchange(cx, expected, new.clone(), blind) {
                Answer::Swapped => Answer::Conflict(Some(new)),
                answer => answer,
            };
        }
        match self.exchange(cx, expected, new, blind) {
            Answer::Conflict(Some(seen)) if seen.etag == own => Answer::Swapped,
            answer => answer,
        }
    }

    /// The store's compare-and-swap.
    pub(crate) fn exchange(&mut self, cx: &mut Cx<'_>, expected: Option<Etag>, new: Seen, blind: bool) -> Answer {
        if !blind && self.store.as_ref().map(|seen| seen.etag) != expected {
            return Answer::Conflict(self.store.clone());
        }
        let before = self.store.as_ref().map(|seen| &seen.record);
        let intent = self.intents_etags.contains(&new.etag);
        if let (Some(before), false, false) = (before, intent, self.rolled)
            && goes_back(before, &new.record, self.wall())
        {
            cx.found.add(Finding::Backwards);
        }
        if let (Some(claim), Some(mine)) = (before.and_then(|before| before.claim), new.record.claim)
            && claim != mine
            && self.is_live(claim)
        {
            cx.found.add(Finding::Broken);
        }
        if intent {
            self.served = None;
            let epoch = new.record.epoch;
            self.rightful = match family_in(&new.record) {
                Some(family) => Rightful::Set { family, epoch },
                None => Rightful::Forgotten { families: self.endpoint.families(), epoch },
            };
        }
        if self.budget.has(Fault::FailoverOne) || self.budget.has(Fault::FailoverTwo) {
            self.history.push(self.store.take());
            if self.history.len() > 2 {
                self.history.remove(0);
            }
        }
        self.store = Some(new);
        Answer::Swapped
    }

    /// Whether the holder of this claim has a grant to send, or one under way, within its lease.
    fn is_live(&self, claim: Nonce) -> bool {
        self.instances
            .iter()
            .filter_map(|instance| instance.flying.as_ref())
            .any(|flying| flying.nonce == Some(claim.0) && matches!(flying.doing, Doing::Grant(_)) && !flying.stale)
    }

    pub(crate) fn overlap(&self, cx: &mut Cx<'_>, grant: &Grant) {
        let family = |grant: &Grant| match grant {
            Grant::Refresh(refresh) => family_of(refresh),
            _ => None,
        };
        if !self.rolled && self.late.iter().any(|(late, _)| family(late) == family(grant)) {
            cx.found.add(Finding::Overlap);
        }
    }

    /// A grant acts at the endpoint.
    pub(crate) fn act(&mut self, cx: &mut Cx<'_>, grant: &Grant) -> Answer {
        let clean = cx.config.faults.iter().all(|fault| *fault == Fault::Call);
        let refresh = match grant {
            Grant::Refresh(refresh) => {
                self.endpoint.renewals += u8::from(clean);
                if self.endpoint.renewals > 1 {
                    cx.found.add(Finding::ManyGrants);
                }
                match self.endpoint.redeem(refresh) {
                    Redeemed::Refused => return Answer::Refused,
                    Redeemed::Renewed { refresh, twice } => {
                        if twice {
                            cx.found.add(Finding::Twice);
                        }
                        refresh
                    }
                }
            }
            _ => {
                self.endpoint.mints += u8::from(clean);
                if self.endpoint.mints > u8::from(cx.config.start == Start::Absent) {
                    cx.found.add(Finding::ManyMints);
                }
                self.endpoint.begin()
            }
        };
        Answer::Tokens { access: Secret::new(format!("a{}-{}", refresh.expose(), self.time)), refresh }
    }
}

/// Whether a write takes the place of something that counts for more.
fn goes_back(before: &Record, after: &Record, now: Timestamp) -> bool {
    let Some(old) = before.version() else { return false };
    let Some(new) = after.version() else { return true };
    if old.lineage != new.lineage {
        return !newer(after, before, now);
    }
    let kept = match (before.chain(), after.chain()) {
        (Some(before), Some(after)) => {
            let main = before.tokens.refresh.as_ref();
            after.generation > before.generation || main.is_none_or(|token| after.knows(&token.value))
        }
        _ => true,
    };
    new.generation < old.generation || !kept
}
