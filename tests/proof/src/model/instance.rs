//! One instance: what the driver and its entry keep for a visitor, and the little they decide.
//!
//! Mirrors `crates/core/src/{driver,entry}.rs`: [`Instance::publish`] and [`Instance::impose`] line by line.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::protocol::flight::{Flight, Goal, Seen, Swap};
use wix_visitor_core::protocol::intent::Intent;
use wix_visitor_core::protocol::reconcile::Held;
use wix_visitor_core::protocol::schedule::Schedule;
use wix_visitor_core::protocol::watch::Watch;
use wix_visitor_core::record::Lineage;
use wix_visitor_core::{Etag, Grant, Now, Policy, Secret};

use crate::model::canon::Canon;
use crate::model::world::access;

/// What a flight waits for, or what has come and was not looked at yet.
#[allow(clippy::large_enum_variant, reason = "most of what is cloned all the time is this large")]
#[derive(Clone, Debug, Hash)]
pub(crate) enum Doing {
    Load,
    Swap {
        swap: Box<Swap>,
        /// When it was asked for.
        asked: Now,
        /// Done whatever stands there: a rule is left out.
        blind: bool,
    },
    Grant(Grant),
    /// Watching: until what was seen has changed, or time has gone on.
    Sleep {
        looked: Option<Etag>,
        since: Duration,
    },
    Answered {
        answer: Answer,
        asked: Now,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Loaded(Option<Seen>),
    Swapped,
    Conflict(Option<Seen>),
    Unavailable,
    Unknown,
    Tokens { access: Secret, refresh: Secret },
    Refused,
    GrantTransient,
    GrantUnknown,
}

/// A flight under way.
#[derive(Clone, Debug)]
pub(crate) struct Flying {
    pub(crate) flight: Flight,
    pub(crate) goal: Goal,
    /// What the entry's count of intents was when it took off.
    pub(crate) intents: u64,
    pub(crate) doing: Doing,
    /// What the store showed when it was last looked at.
    pub(crate) looked: Option<Etag>,
    /// It stood still, for a lease, between its decision to send a grant and the sending: nothing can help that.
    pub(crate) stale: bool,
    /// The nonce of its claim.
    pub(crate) nonce: Option<u128>,
    /// The last grant was refused, or its fate is unknown.
    pub(crate) last: Option<Answer>,
}

/// What the application is having done: `Driver::impose`.
#[derive(Clone, Debug)]
pub(crate) struct Imposing {
    pub(crate) intent: Intent,
    pub(crate) lineage: Lineage,
    pub(crate) doing: Doing,
    /// What its last write is to be.
    pub(crate) wrote: Option<Seen>,
}

/// Why an instance stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Frozen {
    Pause { long: bool },
    Sleep { long: bool },
}

/// Somebody who waits for a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) goal: Goal,
    /// The flight it waits for was under way before it called.
    pub(crate) joined: bool,
}

/// One instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance {
    pub(crate) held: Option<Held>,
    pub(crate) intents: u64,
    pub(crate) watch: Watch,
    pub(crate) cooldown: Option<Duration>,
    /// Those who wait.
    pub(crate) owed: Vec<Caller>,
    /// What those who called in this round want.
    pub(crate) wish: Option<Goal>,
    pub(crate) flying: Option<Flying>,
    pub(crate) imposing: Option<Imposing>,
    pub(crate) frozen: Option<Frozen>,
    /// Its monotonic clock, in seconds.
    pub(crate) monotonic: u64,
}

impl Instance {
    /// All that bears on what it may still do, or come to.
    pub(crate) fn hash_into(&self, hasher: &mut Canon) {
        let Self { held, intents, watch, cooldown, owed, wish, flying, imposing, frozen, monotonic } = self;
        (held, intents, watch, cooldown, owed, wish, frozen, monotonic).hash(hasher);
        match flying {
            None => 0u8.hash(hasher),
            Some(flying) => {
                flying.flight.fingerprint(hasher);
                (flying.intents, &flying.doing, flying.looked, flying.stale, &flying.last).hash(hasher);
            }
        }
        match imposing {
            None => 0u8.hash(hasher),
            Some(imposing) => {
                let forgets = matches!(imposing.intent, Intent::Forget);
                (forgets, imposing.lineage, &imposing.wrote, &imposing.doing).hash(hasher);
            }
        }
    }

    pub(crate) fn publish(&mut self, held: Option<Held>, intents: u64) {
        if self.intents != intents {
            let lineage = |held: &Held| held.record.version().map(|version| version.lineage);
            let chosen = self.held.as_ref().and_then(lineage);
            if chosen != held.as_ref().and_then(lineage) {
                return;
            }
        }
        self.held = held;
    }

    pub(crate) fn impose(&mut self, held: Held) {
        self.intents += 1;
        self.cooldown = None;
        let later = self.held.as_ref().is_some_and(|now| now.record.epoch > held.record.epoch);
        if !later {
            self.held = Some(held);
        }
    }

    pub(crate) fn is_unsaved(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.etag.is_none())
    }

    /// Whether what is in memory serves this goal, as `Visitor::present` has it.
    pub(crate) fn serves(&self, goal: &Goal, now: Now, policy: &Policy) -> bool {
        let Some(chain) = self.held.as_ref().and_then(|held| held.record.chain()) else { return false };
        let schedule = Schedule::of(chain, policy, 0);
        if !schedule.is_usable(now.wall) {
            return false;
        }
        match goal {
            Goal::Replace(rejected) => chain.tokens.access.as_ref().is_some_and(|token| token.value != *rejected),
            Goal::Renew => !schedule.is_due(now.wall),
            _ => true,
        }
    }

    /// Somebody calls.
    pub(crate) fn call(&mut self, goal: Goal) {
        self.owed.push(Caller { goal, joined: self.flying.is_some() });
    }

    /// A flight ended well: whom what it brought serves, however short-lived that is, as `Visitor::obtain` has it. The others go
    /// on to a flight of their own.
    pub(crate) fn landed(&mut self, granted: bool) {
        let newest = self.held.as_ref().and_then(|held| access(&held.record));
        self.owed.retain_mut(|Caller { goal, joined }| {
            let stale = std::mem::take(joined) && newest.clone().map(Goal::Replace).as_ref() == Some(goal);
            !(*goal == Goal::Renew || granted && newest.is_some() && !stale)
        });
    }

    /// Whether it may have something to do that it has not begun.
    pub(crate) fn is_free(&self) -> bool {
        let wants = !self.owed.is_empty() || self.is_unsaved() || self.cooldown.is_some();
        wants && self.flying.is_none() && self.frozen.is_none()
    }

    /// Takes off towards what is wanted and not there, if anything is: `Driver::board`.
    pub(crate) fn takes_off(&mut self, now: Now, policy: &Arc<Policy>) -> bool {
        if self.cooldown.is_some_and(|until| now.monotonic >= until) {
            self.cooldown = None;
        }
        let goal = match self.owed.first() {
            Some(caller) if self.cooldown.is_none() => caller.goal.clone(),
            _ if self.is_unsaved() => Goal::Save,
            _ => return false,
        };
        let flight = Flight::new(Arc::clone(policy), 0, goal.clone(), self.held.clone(), self.watch.clone());
        self.flying = Some(Flying {
            flight,
            goal,
            intents: self.intents,
            doing: Doing::Load,
            looked: None,
            stale: false,
            nonce: None,
            last: None,
        });
        true
    }
}
