//! How a flight is carried out: `Driver::perform` and what surrounds it.

use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::protocol::flight::{Action, Flight, Goal, Input, Landing};
use wix_visitor_core::{
    Error, ErrorKind, Grant, GrantError, GrantFailure, GrantReply, Now, StoreError, StoreErrorKind,
};

use crate::model::finding::Finding;
use crate::model::instance::{Answer, Doing, Flying, Frozen, Instance};
use crate::model::weaken::{Rule, SAME, misses, shown, tamper};
use crate::model::world::{Cx, World};

impl World {
    pub(crate) fn at(&mut self, who: usize) -> &mut Instance {
        Arc::make_mut(&mut self.instances[who])
    }

    pub(crate) fn crash(&mut self, who: usize) {
        let old = std::mem::take(self.at(who));
        // It starts again, and its callers ask again: somebody has to renew within the grace of what it may have redeemed.
        let wishes: Vec<_> = old.owed.into_iter().map(|caller| caller.goal).collect();
        let fresh = Instance { wish: old.wish.clone(), monotonic: old.monotonic, ..Instance::default() };
        *self.at(who) = fresh;
        if wishes.is_empty() {
            self.at(who).call(old.wish.unwrap_or(Goal::Serve));
        }
        wishes.into_iter().for_each(|wish| self.at(who).call(wish));
    }

    /// Time goes on, for those who stand still too; on the monotonic clock of a machine that sleeps it does not.
    pub(crate) fn go_on(&mut self, seconds: u64) {
        self.time += seconds;
        let long = seconds >= self.policy.lease.as_secs();
        for instance in self.instances.iter_mut().map(Arc::make_mut) {
            instance.frozen = instance.frozen.map(|frozen| match frozen {
                Frozen::Pause { long: before } => Frozen::Pause { long: before || long },
                Frozen::Sleep { long: before } => Frozen::Sleep { long: before || long },
            });
            if !matches!(instance.frozen, Some(Frozen::Sleep { .. })) {
                instance.monotonic += seconds;
            }
            if let (Some(flying), Some(_)) = (&mut instance.flying, instance.frozen) {
                flying.stale |= long && matches!(flying.doing, Doing::Grant(_));
            }
        }
    }

    /// Whoever wants something and may ask for it, does.
    pub(crate) fn take_off(&mut self, cx: &mut Cx<'_>) {
        for who in 0..self.instances.len() {
            // A flight may end at once, and leave its callers to another; not over and over.
            for turn in 0.. {
                if turn > 8 {
                    cx.found.add(Finding::Livelock);
                    break;
                }
                let (now, policy) = (self.now(who), Arc::clone(&self.policy));
                self.served(who);
                if !self.instances[who].is_free() || !self.at(who).takes_off(now, &policy) {
                    break;
                }
                self.drive(cx, who, Input::Start, now);
                if self.at(who).flying.is_some() {
                    break;
                }
            }
        }
    }

    /// Takes note of a caller who has now got what it waited for.
    pub(crate) fn served(&mut self, who: usize) {
        let (now, policy) = (self.now(who), Arc::clone(&self.policy));
        let instance = &self.instances[who];
        if instance.owed.iter().any(|caller| instance.serves(&caller.goal, now, &policy)) {
            let instance = self.at(who);
            let mut owed = std::mem::take(&mut instance.owed);
            owed.retain(|caller| !instance.serves(&caller.goal, now, &policy));
            instance.owed = owed;
            self.serve(who);
        }
    }

    /// An answer has come: looked at now, or later.
    pub(crate) fn answer(&mut self, cx: &mut Cx<'_>, who: usize, answer: Answer, later: bool, frozen: Option<Frozen>) {
        let now = self.now(who);
        self.at(who).frozen = frozen;
        let Some(flying) = &mut self.at(who).flying else { return };
        let asked = match &flying.doing {
            Doing::Swap { asked, .. } => *asked,
            _ => now,
        };
        if later {
            flying.doing = Doing::Answered { answer, asked };
        } else {
            self.deliver(cx, who, answer, asked);
        }
    }

    pub(crate) fn deliver(&mut self, cx: &mut Cx<'_>, who: usize, answer: Answer, asked: Now) {
        let mut now = self.now(who);
        let policy = Arc::clone(&self.policy);
        let Some(flying) = &mut self.at(who).flying else { return };
        let note = answer.clone();
        let input = match answer {
            Answer::Loaded(seen) | Answer::Conflict(seen) => {
                if cx.is_without(Rule::Watch) && seen.is_some() && flying.looked == seen.as_ref().map(|seen| seen.etag)
                {
                    now.monotonic += policy.lease;
                }
                flying.looked = seen.as_ref().map(|seen| seen.etag);
                let seen = seen.map(|seen| shown(cx, seen, flying.nonce));
                let loaded = matches!(note, Answer::Loaded(_));
                if misses(cx, flying, seen.as_ref(), now, &policy) {
                    let watch = flying.flight.watch().clone();
                    flying.flight = Flight::new(Arc::clone(&policy), 0, flying.goal.clone(), None, watch);
                    flying.flight.next(Input::Start, now, &mut || 0);
                    Input::Loaded(seen)
                } else if loaded {
                    Input::Loaded(seen)
                } else {
                    Input::Conflict(seen)
                }
            }
            Answer::Swapped => {
                if cx.is_without(Rule::Deadline) {
                    now = asked;
                }
                if cx.is_without(Rule::SleepGuard) {
                    now.wall = asked.wall;
                }
                Input::Swapped
            }
            Answer::Unavailable => failed(StoreErrorKind::Unavailable),
            Answer::Unknown => failed(StoreErrorKind::Unknown),
            Answer::Tokens { access, refresh } => {
                let mut reply = GrantReply::default();
                reply.access_token = Some(access);
                reply.refresh_token = Some(refresh);
                reply.expires_in = Some(Duration::from_secs(cx.config.life));
                Input::Granted(Ok(reply))
            }
            Answer::Refused => refused(GrantFailure::Refused),
            Answer::GrantTransient => refused(GrantFailure::Transient),
            Answer::GrantUnknown => refused(GrantFailure::Unknown),
        };
        if !matches!(note, Answer::Swapped | Answer::Conflict(_) | Answer::Loaded(_)) {
            flying.last = Some(note);
        }
        self.drive(cx, who, input, now);
    }

    /// `Driver::perform`, one turn of it.
    pub(crate) fn drive(&mut self, cx: &mut Cx<'_>, who: usize, input: Input, now: Now) {
        let Some(mut flying) = self.at(who).flying.take() else { return };
        let minted = cx.is_without(Rule::Lineage)
            && matches!(input, Input::Granted(Ok(_)))
            && matches!(&flying.doing, Doing::Grant(Grant::Anonymous) | Doing::Answered { .. });
        let mut first = minted;
        let step = flying.flight.next(input, now, &mut || {
            if std::mem::take(&mut first) { SAME } else { self.draw() }
        });
        if step.publish {
            let mut held = flying.flight.held().cloned();
            if let Some(held) = &mut held {
                tamper(cx, &mut held.record, None);
            }
            self.at(who).publish(held, flying.intents);
            self.served(who);
        }
        flying.doing = match step.action {
            Action::Load => Doing::Load,
            Action::Swap(swap) => {
                flying.nonce = swap.new.record.claim.map(|nonce| nonce.0).or(flying.nonce);
                let blind =
                    cx.is_without(Rule::ReRead) && flying.last.take_if(|last| *last == Answer::Refused).is_some();
                Doing::Swap { swap, asked: self.now(who), blind }
            }
            Action::Grant { grant, .. } => {
                let asked = match &flying.doing {
                    Doing::Swap { asked, .. } | Doing::Answered { asked, .. } => asked.wall,
                    _ => self.wall(),
                };
                if self.wall().since(asked) >= self.policy.lease {
                    cx.found.add(Finding::Overdue);
                }
                Doing::Grant(grant)
            }
            Action::Sleep(_) => Doing::Sleep { looked: flying.looked, since: self.now(who).monotonic },
            Action::Done(result) => return self.finish(who, &flying, result),
        };
        self.at(who).flying = Some(flying);
    }

    /// `Driver::fly`, its end, and what those who waited make of it.
    fn finish(&mut self, who: usize, flying: &Flying, result: Result<Landing, Error>) {
        let now = self.now(who);
        let instance = self.at(who);
        instance.watch = flying.flight.watch().clone();
        match result {
            Ok(landing) => {
                instance.landed(landing.granted);
            }
            Err(error) => {
                let pause = error.retry_in().filter(|_| instance.intents == flying.intents);
                instance.cooldown = pause.map(|pause| now.monotonic + pause);
                if matches!(
                    error.kind(),
                    ErrorKind::MemberSessionEnded | ErrorKind::VisitorLost | ErrorKind::InvalidInput
                ) {
                    instance.owed.clear();
                }
            }
        }
        self.served(who);
    }
}

fn failed(kind: StoreErrorKind) -> Input {
    Input::StoreFailed(StoreError::new(kind, "model", "a fault"))
}

fn refused(failure: GrantFailure) -> Input {
    Input::Granted(Err(GrantError::new(failure, "a fault")))
}
