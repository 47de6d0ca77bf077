//! The fleet, its store, its endpoint and its time.
//!
//! **Steps.** A store operation or a grant, with what its instance makes of the answer, is one step: what an instance does
//! between an answer and its next action is seen by nobody else. Only a pause, a sleep, a crash and an intent on the same instance can
//! come between, and have steps of their own for that.
//!
//! **Time** stands still while anybody who is not frozen has something to do. When somebody sits out a pause after a failure,
//! that goes by; when all watch a claim, or stand still, a lease does; when nobody has anything left to do, so does a token's
//! life, and with it every grace. So a slow machine is one that was frozen, and a grace is as long as it takes until everybody has called.
//! Watchers look again when the record has changed, or when time has gone on: a look that shows what the last one did decides
//! nothing.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::protocol::flight::{Goal, Seen};
use wix_visitor_core::record::{Chain, Lineage, Record, Spent, Standing};
use wix_visitor_core::{AccessToken, Grant, Now, Policy, RefreshToken, Role, Secret, Timestamp, Tokens};

use crate::model::canon::Canon;
use crate::model::config::{Budget, Call, Config, Fault, Start};
use crate::model::endpoint::{Endpoint, family_of};
use crate::model::finding::Findings;
use crate::model::instance::Instance;
use crate::model::weaken::Rule;

/// A step, for a person to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    pub(crate) who: Option<usize>,
    pub(crate) what: &'static str,
    /// Nothing that has to happen.
    pub(crate) fault: bool,
}

impl Label {
    pub(crate) const START: Self = Self { who: None, what: "start", fault: false };
}

impl std::fmt::Debug for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.who.and_then(|who| ["A", "B", "C", "D"].get(who)) {
            Some(who) => write!(f, "{who}: {}", self.what),
            None => f.write_str(self.what),
        }
    }
}

/// Whose tokens ought to be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rightful {
    /// Those of this family.
    Family(usize),
    /// Those of any: it was not there at first.
    Any,
    /// What the application set, in this epoch.
    Set { family: usize, epoch: u64 },
    /// None of those families that were there when it was forgotten, in this epoch.
    Forgotten { families: usize, epoch: u64 },
    /// A failover lost what the application did, and everybody who knew of it.
    Unclear,
}

/// A write whose time is yet to come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limbo {
    pub(crate) expected: Option<wix_visitor_core::Etag>,
    pub(crate) new: Seen,
}

/// All there is.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) store: Option<Seen>,
    /// Versions that a failover can go back to, latest last.
    pub(crate) history: Vec<Option<Seen>>,
    pub(crate) limbo: Vec<Limbo>,
    pub(crate) endpoint: Endpoint,
    /// Grants that nobody listens to any more, and that have yet to act: each before this moment, when its lease is over.
    pub(crate) late: Vec<(Grant, u64)>,
    /// Shared by the states in which they are the same.
    pub(crate) instances: Vec<Arc<Instance>>,
    pub(crate) time: u64,
    pub(crate) round: usize,
    pub(crate) budget: Budget,
    /// The versions that are the application's doing.
    pub(crate) intents_etags: Vec<wix_visitor_core::Etag>,
    /// The next id to be drawn.
    pub(crate) ids: u128,
    /// The store went back.
    pub(crate) rolled: bool,
    pub(crate) rightful: Rightful,
    /// The family whose token was first given to a caller, where the visitor is new.
    pub(crate) served: Option<usize>,
    pub(crate) policy: Arc<Policy>,
}

/// Where the wall clock starts.
const BEGIN: i64 = 1_000_000;

impl World {
    pub(crate) fn new(config: &Config) -> Self {
        let mut policy = Policy::default();
        policy.lifetime = Duration::from_secs(config.life);
        let mut world = Self {
            store: None,
            history: Vec::new(),
            limbo: Vec::new(),
            endpoint: Endpoint::new(config.behaviour),
            late: Vec::new(),
            instances: vec![Arc::default(); config.instances],
            time: 0,
            round: 0,
            budget: Budget::new(&config.faults),
            intents_etags: Vec::new(),
            ids: 1,
            rolled: false,
            rightful: Rightful::Any,
            served: None,
            policy: Arc::new(policy),
        };
        if config.start == Start::Visitor {
            let refresh = world.endpoint.begin();
            let chain = Chain {
                lineage: Lineage(world.draw()),
                generation: 0,
                replaces: None,
                began: Timestamp::from_secs(0),
                tokens: Tokens::new(
                    Some(AccessToken::new("first", world.wall())),
                    Some(RefreshToken::new(refresh, Role::Visitor)),
                ),
                lifetime: Duration::from_secs(config.life),
                refused: false,
                alternates: Vec::new(),
                spent: Spent::default(),
                doubt: None,
            };
            let etag = wix_visitor_core::Etag::from_bits(world.draw());
            world.store = Some(Seen { etag, record: Record { standing: Standing::Held(chain), ..Record::default() } });
            world.rightful = Rightful::Family(0);
        }
        world
    }

    /// A fresh id. Its lower half is zero, since that is what a pause's jitter is drawn from.
    pub(crate) fn draw(&mut self) -> u128 {
        self.ids += 1;
        self.ids << 64
    }

    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_secs(BEGIN) + Duration::from_secs(self.time)
    }

    pub(crate) fn now(&self, who: usize) -> Now {
        let monotonic = self.instances.get(who).map_or(0, |instance| instance.monotonic);
        Now { wall: self.wall(), monotonic: Duration::from_secs(monotonic) }
    }

    /// The instances of this bit mask want something.
    pub(crate) fn begin_round(&mut self, cx: &mut Cx<'_>, callers: usize) {
        let call = cx.config.rounds.get(self.round).copied().unwrap_or(Call::Serve);
        let standing = self.store.as_ref().and_then(|seen| access(&seen.record));
        for (who, instance) in self.instances.iter_mut().enumerate() {
            let instance = Arc::make_mut(instance);
            instance.wish = None;
            if callers >> who & 1 == 0 {
                continue;
            }
            let own = instance.held.as_ref().and_then(|held| access(&held.record));
            let wish = match call {
                Call::Serve => Goal::Serve,
                Call::Renew => Goal::Renew,
                Call::Reject => own.or_else(|| standing.clone()).map_or(Goal::Serve, Goal::Replace),
            };
            instance.call(wish.clone());
            instance.wish = Some(wish);
        }
        self.round += 1;
        self.take_off(cx);
    }

    /// How long it takes until the next round's callers want what they want.
    pub(crate) fn until(&self, config: &Config) -> u64 {
        match config.rounds.get(self.round) {
            _ if self.round == 0 => 0,
            Some(Call::Renew) => config.life - config.life / 24,
            Some(Call::Reject) => config.life / 4,
            _ => config.life,
        }
    }

    /// One number for all states that differ in nothing but the names of ids and the order of the instances: those of all
    /// orders that put the instances in the order of their own numbers, which leaves more than one only where two are alike.
    pub(crate) fn fingerprint(&self) -> u64 {
        let own: Vec<u64> = self
            .instances
            .iter()
            .map(|instance| {
                let mut hasher = Canon::new();
                instance.hash_into(&mut hasher);
                hasher.finish()
            })
            .collect();
        let sorted = |order: &&&[usize]| order.iter().map(|which| own.get(*which)).is_sorted();
        self.orders().iter().filter(sorted).map(|order| self.hashed(order)).min().unwrap_or_default()
    }

    pub(crate) fn orders(&self) -> &'static [&'static [usize]] {
        match self.instances.len() {
            1 => &[&[0]],
            2 => &[&[0, 1], &[1, 0]],
            _ => &[&[0, 1, 2], &[0, 2, 1], &[1, 0, 2], &[1, 2, 0], &[2, 0, 1], &[2, 1, 0]],
        }
    }

    fn hashed(&self, order: &[usize]) -> u64 {
        let Self { store, history, limbo, endpoint, late, instances, time, round, budget, .. } = self;
        let mut hasher = Canon::new();
        (store, history, limbo, endpoint, late, time, round, budget).hash(&mut hasher);
        (self.rolled, &self.rightful, self.served).hash(&mut hasher);
        for instance in order.iter().filter_map(|which| instances.get(*which)) {
            instance.hash_into(&mut hasher);
        }
        hasher.finish()
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        let held = self.instances.iter().filter_map(|instance| instance.held.as_ref());
        let flying = self.instances.iter().filter_map(|instance| instance.flying.as_ref()?.flight.held());
        self.store.iter().map(|seen| &seen.record).chain(held.chain(flying).map(|held| &held.record))
    }
}

/// What a transition needs, and what it came upon.
pub(crate) struct Cx<'a> {
    pub(crate) config: &'a Config,
    pub(crate) found: Findings,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(config: &'a Config) -> Self {
        Self { config, found: Findings::default() }
    }

    pub(crate) fn is_without(&self, rule: Rule) -> bool {
        self.config.without == Some(rule)
    }
}

pub(crate) fn access(record: &Record) -> Option<Secret> {
    record.chain()?.tokens.access.as_ref().map(|token| token.value.clone())
}

pub(crate) fn family_in(record: &Record) -> Option<usize> {
    record.chain()?.tokens.refresh.as_ref().and_then(|token| family_of(&token.value))
}

/// What a failover takes back.
pub(crate) fn back(fault: Fault) -> usize {
    if fault == Fault::FailoverTwo { 2 } else { 1 }
}
