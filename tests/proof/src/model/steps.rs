//! Every step that is possible next, and what it does.

use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::protocol::flight::{Action, Flight, Goal, Input, Landing, Seen, Swap};
use wix_visitor_core::protocol::intent::{Intent, intended, stems_from};
use wix_visitor_core::protocol::reconcile::{Held, Reconciled, newer, reconcile};
use wix_visitor_core::record::{Lineage, Nonce, Record, Standing};
use wix_visitor_core::{
    AccessToken, Error, ErrorKind, Etag, Grant, GrantError, GrantFailure, GrantReply, Now, RefreshToken, Role, Secret,
    StoreError, StoreErrorKind, Tokens,
};

use crate::model::config::{Config, Fault, Rule, Start};
use crate::model::endpoint::{Redeemed, family_of};
use crate::model::finding::{Finding, Findings};
use crate::model::instance::{Answer, Doing, Flying, Frozen, Imposing, Instance};
use crate::model::world::{Cx, Label, Limbo, Rightful, World, back};

/// The only name there is, where identities and claims have none.
const SAME: u128 = 2 << 64;

/// Who calls in a round, by bit mask.
const ROUNDS: [&str; 8] = [
    "a life goes by",
    "a life goes by, A calls",
    "a life goes by, B calls",
    "a life goes by, A and B call",
    "a life goes by, C calls",
    "a life goes by, A and C call",
    "a life goes by, B and C call",
    "a life goes by, all call",
];

type Steps = Vec<(Label, World, Findings)>;

/// Collects successors.
struct Collector<'a> {
    world: &'a World,
    config: &'a Config,
    steps: &'a mut Steps,
}

impl Collector<'_> {
    fn add(
        &mut self,
        who: Option<usize>,
        what: &'static str,
        fault: Option<Fault>,
        act: impl FnOnce(&mut World, &mut Cx<'_>),
    ) {
        if fault.is_some_and(|fault| !self.world.budget.has(fault)) {
            return;
        }
        let mut next = self.world.clone();
        let mut cx = Cx::new(self.config);
        if let Some(fault) = fault {
            next.budget = next.budget.without(fault);
        }
        act(&mut next, &mut cx);
        next.take_off(&mut cx);
        if next.rolled {
            next.recall();
        }
        if !next.budget.has(Fault::FailoverOne) && !next.budget.has(Fault::FailoverTwo) {
            next.history.clear();
        }
        next.inspect(&mut cx);
        self.steps.push((Label { who, what, fault: fault.is_some() }, next, cx.found));
    }
}

impl World {
    /// Every step that is possible next.
    pub(crate) fn steps(&self, config: &Config, steps: &mut Steps) {
        let mut to = Collector { world: self, config, steps };
        for (who, instance) in self.instances.iter().enumerate() {
            if instance.frozen.is_none() {
                self.flight_steps(who, instance, &mut to);
                self.intent_steps(who, instance, &mut to);
            }
        }
        let busy = to.steps.iter().any(|(label, ..)| !label.fault);
        for (who, instance) in self.instances.iter().enumerate() {
            let some = instance.held.is_some() || instance.flying.is_some() || instance.imposing.is_some();
            if some {
                to.add(Some(who), "crashes", Some(Fault::Crash), |world, _| world.crash(who));
            }
            if instance.frozen.is_some() {
                to.add(Some(who), "goes on", None, |world, _| world.at(who).frozen = None);
            }
        }
        for fault in [Fault::FailoverOne, Fault::FailoverTwo] {
            let Some(to_be) = self.history.len().checked_sub(back(fault)) else { continue };
            to.add(None, fault.name(), Some(fault), |world, _| {
                world.store = world.history.get(to_be).cloned().flatten();
                world.history.truncate(to_be);
                world.rolled = true;
            });
        }
        if !self.late.is_empty() {
            to.add(None, "the late grant acts", None, |world, cx| {
                let grant = world.late.remove(0);
                world.act(cx, &grant);
            });
        }
        if !self.limbo.is_empty() {
            to.add(None, "the late write is applied, or conflicts", None, |world, cx| {
                let Limbo { expected, new } = world.limbo.remove(0);
                world.exchange(cx, expected, new, false);
            });
        }
        if busy || !self.late.is_empty() {
            return;
        }
        let active = || self.instances.iter().filter(|instance| instance.frozen.is_none());
        let waits = active().any(|instance| {
            let sleeps = instance.flying.as_ref().is_some_and(|flying| matches!(flying.doing, Doing::Sleep { .. }));
            sleeps || (instance.owed.is_some() && instance.cooldown.is_some())
        });
        let overdue = self.instances.iter().any(|instance| {
            matches!(instance.frozen, Some(Frozen::Pause { long: false } | Frozen::Sleep { long: false }))
        });
        if waits || overdue {
            let lease = self.policy.lease.as_secs();
            to.add(None, "a lease goes by", None, |world, cx| world.go_on(cx, lease));
        }
        let idle = active().all(|i| i.flying.is_none() && i.imposing.is_none() && i.owed.is_none());
        if idle && self.round < config.rounds.len() {
            let until = self.until(config);
            for callers in 1..1usize << self.instances.len() {
                let what = ROUNDS.get(callers).copied().unwrap_or("a token's life goes by");
                to.add(None, what, None, |world, cx| {
                    world.go_on(cx, until);
                    world.endpoint.grow_old();
                    world.begin_round(cx, callers);
                });
            }
        }
    }

    fn flight_steps(&self, who: usize, instance: &Instance, to: &mut Collector<'_>) {
        let Some(flying) = &instance.flying else { return };
        let some = Some(who);
        // An intent on the same instance may come between an answer and what the flight makes of it.
        let split = instance.imposing.is_some();
        match &flying.doing {
            Doing::Load => {
                to.add(some, "loads", None, |world, cx| {
                    let answer = Answer::Loaded(world.store.clone());
                    world.answer(cx, who, answer, split, None);
                });
                to.add(some, "cannot load", Some(Fault::Transient), |world, cx| {
                    world.answer(cx, who, Answer::Unavailable, false, None);
                });
                freeze(who, to, "before it loads", "asleep before it loads");
            }
            Doing::Swap { swap, .. } => {
                let what = match (&swap.new.record.claim, swap.precious) {
                    (_, true) => "commits",
                    (Some(_), false) => "claims",
                    (None, false) => "releases, or puts back",
                };
                to.add(some, what, None, |world, cx| {
                    let answer = world.perform(cx, who);
                    world.answer(cx, who, answer, split, None);
                });
                to.add(some, "paused after its write", Some(Fault::Pause), |world, cx| {
                    let answer = world.perform(cx, who);
                    world.answer(cx, who, answer, true, Some(Frozen::Pause { long: false }));
                });
                to.add(some, "asleep after its write", Some(Fault::Sleep), |world, cx| {
                    let answer = world.perform(cx, who);
                    world.answer(cx, who, answer, true, Some(Frozen::Sleep { long: false }));
                });
                freeze(who, to, "before it writes", "asleep before it writes");
                to.add(some, "cannot write", Some(Fault::Transient), |world, cx| {
                    world.answer(cx, who, Answer::Unavailable, false, None);
                });
                to.add(some, "writes, hears nothing, writes again", Some(Fault::StoreUnknown), |world, cx| {
                    world.perform(cx, who);
                });
                to.add(some, "writes, hears nothing", Some(Fault::StoreUnknown), |world, cx| {
                    world.perform(cx, who);
                    world.answer(cx, who, Answer::Unknown, false, None);
                });
                let limbo = Limbo { expected: swap.expected, new: swap.new.clone() };
                to.add(some, "its write is under way, it writes again", Some(Fault::StoreUnknown), |world, _| {
                    world.limbo.push(limbo.clone());
                });
                to.add(some, "its write is under way, it gives up", Some(Fault::StoreUnknown), |world, cx| {
                    world.limbo.push(limbo.clone());
                    world.answer(cx, who, Answer::Unknown, false, None);
                });
                to.add(some, "its write is lost", Some(Fault::StoreUnknown), |world, cx| {
                    world.answer(cx, who, Answer::Unknown, false, None);
                });
            }
            Doing::Grant(grant) => {
                let sent = grant.clone();
                to.add(some, "its grant acts", None, |world, cx| {
                    world.overlap(cx, &sent);
                    let answer = world.act(cx, &sent);
                    world.answer(cx, who, answer, split, None);
                });
                let sent = grant.clone();
                to.add(some, "its grant acts, paused before it hears", Some(Fault::Pause), |world, cx| {
                    let answer = world.act(cx, &sent);
                    world.answer(cx, who, answer, true, Some(Frozen::Pause { long: false }));
                });
                let sent = grant.clone();
                to.add(some, "its grant acts, asleep before it hears", Some(Fault::Sleep), |world, cx| {
                    let answer = world.act(cx, &sent);
                    world.answer(cx, who, answer, true, Some(Frozen::Sleep { long: false }));
                });
                freeze(who, to, "before it sends", "asleep before it sends");
                to.add(some, "is answered 503", Some(Fault::Transient), |world, cx| {
                    world.answer(cx, who, Answer::GrantTransient, false, None);
                });
                to.add(some, "its request is lost", Some(Fault::RequestLost), |world, cx| {
                    world.answer(cx, who, Answer::GrantUnknown, false, None);
                });
                let sent = grant.clone();
                to.add(some, "its grant acts, the reply is lost", Some(Fault::ReplyLost), |world, cx| {
                    world.act(cx, &sent);
                    world.answer(cx, who, Answer::GrantUnknown, false, None);
                });
                let sent = grant.clone();
                to.add(some, "gives up on its grant, which is late", Some(Fault::Late), |world, cx| {
                    world.late.push(sent);
                    world.answer(cx, who, Answer::GrantUnknown, false, None);
                });
            }
            Doing::Sleep { looked, since } => {
                let changed = *looked != self.store.as_ref().map(|seen| seen.etag);
                if changed || self.now(who).monotonic > *since {
                    to.add(some, "wakes", None, |world, cx| world.drive(cx, who, Input::Woke, world.now(who)));
                }
            }
            Doing::Answered { answer, asked } => {
                to.add(some, "hears", None, |world, cx| {
                    world.deliver(cx, who, answer.clone(), *asked);
                });
            }
        }
    }

    fn intent_steps(&self, who: usize, instance: &Instance, to: &mut Collector<'_>) {
        let some = Some(who);
        let Some(imposing) = &instance.imposing else {
            to.add(some, "begins to set tokens", Some(Fault::Set), |world, cx| world.begin_intent(cx, who, true));
            to.add(some, "begins to forget", Some(Fault::Forget), |world, cx| world.begin_intent(cx, who, false));
            return;
        };
        match &imposing.doing {
            Doing::Load => {
                to.add(some, "loads for the application", None, |world, cx| {
                    let standing = world.store.clone();
                    world.prepare_intent(cx, who, standing);
                });
                to.add(some, "cannot load for the application", Some(Fault::Transient), |world, _| {
                    world.at(who).imposing = None;
                });
            }
            Doing::Swap { swap, asked, .. } => {
                let write = |world: &mut World, cx: &mut Cx<'_>| {
                    let answer = world.exchange(cx, swap.expected, swap.new.clone(), false);
                    match answer {
                        Answer::Conflict(Some(seen)) if seen.etag == swap.new.etag => Answer::Swapped,
                        answer => answer,
                    }
                };
                to.add(some, "writes for the application", None, |world, cx| {
                    let answer = write(world, cx);
                    if let Some(imposing) = &mut world.at(who).imposing {
                        imposing.doing = Doing::Answered { answer, asked: *asked };
                    }
                });
                to.add(some, "cannot write for the application", Some(Fault::Transient), |world, _| {
                    world.at(who).imposing = None;
                });
                to.add(
                    some,
                    "writes for the application, hears nothing, writes again",
                    Some(Fault::StoreUnknown),
                    |world, cx| {
                        write(world, cx);
                    },
                );
                to.add(some, "writes for the application, hears nothing", Some(Fault::StoreUnknown), |world, cx| {
                    write(world, cx);
                    world.at(who).imposing = None;
                });
                to.add(
                    some,
                    "its write for the application is under way, it gives up",
                    Some(Fault::StoreUnknown),
                    |world, _| {
                        world.limbo.push(Limbo { expected: swap.expected, new: swap.new.clone() });
                        world.at(who).imposing = None;
                    },
                );
                to.add(
                    some,
                    "its write for the application is under way, it writes again",
                    Some(Fault::StoreUnknown),
                    |world, _| {
                        world.limbo.push(Limbo { expected: swap.expected, new: swap.new.clone() });
                    },
                );
                if instance.flying.is_none() {
                    freeze(
                        who,
                        to,
                        "before it writes for the application",
                        "asleep before it writes for the application",
                    );
                }
            }
            Doing::Answered { answer, .. } => {
                to.add(some, "hears for the application", None, |world, cx| match answer {
                    Answer::Conflict(Some(seen)) if stems_from(&seen.record, imposing.lineage) => {
                        let (Seen { etag, record }, seen) = (seen.clone(), world.now(who));
                        world.at(who).imposing = None;
                        world.at(who).impose(Held { record, etag: Some(etag), seen });
                        world.served(who);
                    }
                    Answer::Conflict(seen) => world.prepare_intent(cx, who, seen.clone()),
                    _ => {
                        if let Some(Imposing {
                            doing: Doing::Answered { asked, .. },
                            wrote: Some(Seen { etag, record }),
                            ..
                        }) = world.at(who).imposing.take()
                        {
                            world.at(who).impose(Held { record, etag: Some(etag), seen: asked });
                            world.served(who);
                        }
                    }
                })
            }
            Doing::Grant(_) | Doing::Sleep { .. } => {}
        }
    }

    pub(crate) fn at(&mut self, who: usize) -> &mut Instance {
        &mut self.instances[who]
    }

    fn crash(&mut self, who: usize) {
        let old = std::mem::take(self.at(who));
        // It starts again, and asks again: somebody has to renew within the grace of what it may have redeemed.
        let owed = old.owed.or(Some(Goal::Serve));
        *self.at(who) = Instance { owed, monotonic: old.monotonic, ..Instance::default() };
    }

    /// Time goes on, for those who stand still too; on the monotonic clock of a machine that sleeps it does not.
    pub(crate) fn go_on(&mut self, _: &mut Cx<'_>, seconds: u64) {
        self.time += seconds;
        for instance in &mut self.instances {
            instance.frozen = instance.frozen.map(|frozen| match frozen {
                Frozen::Pause { .. } => Frozen::Pause { long: true },
                Frozen::Sleep { .. } => Frozen::Sleep { long: true },
            });
            if !matches!(instance.frozen, Some(Frozen::Sleep { .. })) {
                instance.monotonic += seconds;
            }
            if let (Some(flying), Some(_)) = (&mut instance.flying, instance.frozen) {
                flying.stale |= matches!(flying.doing, Doing::Grant(_));
            }
        }
    }

    /// Whoever wants something and may ask for it, does.
    pub(crate) fn take_off(&mut self, cx: &mut Cx<'_>) {
        for who in 0..self.instances.len() {
            loop {
                let (now, policy) = (self.now(who), Arc::clone(&self.policy));
                self.served(who);
                if self.at(who).takes_off(now, &policy).is_none() {
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
    fn served(&mut self, who: usize) {
        let (now, policy) = (self.now(who), Arc::clone(&self.policy));
        let instance = self.at(who);
        if instance.owed.as_ref().is_some_and(|goal| instance.serves(goal, now, &policy)) {
            instance.owed = None;
            self.serve(who);
        }
    }

    /// Carries out a flight's write.
    fn perform(&mut self, cx: &mut Cx<'_>, who: usize) -> Answer {
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
    fn exchange(&mut self, cx: &mut Cx<'_>, expected: Option<Etag>, new: Seen, blind: bool) -> Answer {
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
            self.rightful = match crate::model::world::family_in(&new.record) {
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

    fn overlap(&self, cx: &mut Cx<'_>, grant: &Grant) {
        let family = |grant: &Grant| match grant {
            Grant::Refresh(refresh) => family_of(refresh),
            _ => None,
        };
        if !self.rolled && self.late.iter().any(|late| family(late) == family(grant)) {
            cx.found.add(Finding::Overlap);
        }
    }

    /// A grant acts at the endpoint.
    fn act(&mut self, cx: &mut Cx<'_>, grant: &Grant) -> Answer {
        let clean = cx.config.faults.is_empty();
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
        let family = family_of(&refresh).unwrap_or_default();
        Answer::Tokens { access: Secret::new(format!("a{family}-{}", self.time)), refresh }
    }

    /// An answer has come: looked at now, or later.
    fn answer(&mut self, cx: &mut Cx<'_>, who: usize, answer: Answer, later: bool, frozen: Option<Frozen>) {
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

    fn deliver(&mut self, cx: &mut Cx<'_>, who: usize, answer: Answer, asked: Now) {
        let mut now = self.now(who);
        let policy = Arc::clone(&self.policy);
        let Some(flying) = &mut self.at(who).flying else { return };
        let note = answer.clone();
        let input = match answer {
            Answer::Loaded(seen) | Answer::Conflict(seen) => {
                flying.looked = seen.as_ref().map(|seen| seen.etag);
                let seen = seen.map(|seen| shown(cx, seen, flying.nonce));
                let loaded = matches!(note, Answer::Loaded(_));
                if cx.is_without(Rule::PutBack) && would_put_back(flying, seen.as_ref(), now, &policy) {
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
    fn drive(&mut self, cx: &mut Cx<'_>, who: usize, input: Input, now: Now) {
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
                Doing::Swap { swap, asked: now, blind }
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
                let newest =
                    instance.held.as_ref().is_some_and(|held| crate::model::world::access(&held.record).is_some());
                let enough = (landing.granted && newest)
                    || instance.owed == Some(wix_visitor_core::protocol::flight::Goal::Renew);
                if enough {
                    instance.owed = None;
                }
            }
            Err(error) => {
                let pause = error.retry_in().filter(|_| instance.intents == flying.intents);
                instance.cooldown = pause.map(|pause| now.monotonic + pause);
                if matches!(error.kind(), ErrorKind::MemberSessionEnded | ErrorKind::VisitorLost) {
                    instance.owed = None;
                }
            }
        }
        self.served(who);
    }

    fn begin_intent(&mut self, cx: &mut Cx<'_>, who: usize, set: bool) {
        let intent = if set {
            let refresh = self.endpoint.begin();
            let access = AccessToken::new(
                format!("set-{}", refresh.expose()),
                self.wall() + Duration::from_secs(cx.config.life),
            );
            Intent::Set(Tokens::new(Some(access), Some(RefreshToken::new(refresh, Role::Member))))
        } else {
            Intent::Forget
        };
        let lineage = Lineage(if cx.is_without(Rule::Lineage) { SAME } else { self.draw() });
        let known = self.at(who).held.clone().filter(|held| held.etag.is_some());
        self.at(who).imposing = Some(Imposing { intent, lineage, doing: Doing::Load, wrote: None });
        if let Some(Held { record, etag: Some(etag), .. }) = known {
            self.prepare_intent(cx, who, Some(Seen { etag, record }));
        }
    }

    fn prepare_intent(&mut self, cx: &mut Cx<'_>, who: usize, standing: Option<Seen>) {
        let (now, policy) = (self.now(who), Arc::clone(&self.policy));
        let etag = Etag::from_bits(self.draw());
        let instance = self.at(who);
        let Some(imposing) = &mut instance.imposing else { return };
        let held = instance.held.as_ref().map(|held| &held.record);
        let standing_record = standing.as_ref().map(|seen| &seen.record);
        let mut record = intended(&imposing.intent, standing_record, held, imposing.lineage, now.wall, &policy);
        if cx.is_without(Rule::Epoch) {
            record.epoch = 0;
        }
        if cx.is_without(Rule::Tombstone) && record.is_tombstone() {
            record.standing = Standing::Empty;
        }
        let new = Seen { etag, record };
        imposing.wrote = Some(new.clone());
        let swap = Swap { expected: standing.map(|seen| seen.etag), new, precious: true };
        imposing.doing = Doing::Swap { swap: Box::new(swap), asked: now, blind: false };
        self.intents_etags.push(etag);
    }
}

fn freeze(who: usize, to: &mut Collector<'_>, paused: &'static str, asleep: &'static str) {
    to.add(Some(who), paused, Some(Fault::Pause), |world, _| {
        world.at(who).frozen = Some(Frozen::Pause { long: false });
    });
    to.add(Some(who), asleep, Some(Fault::Sleep), |world, _| {
        world.at(who).frozen = Some(Frozen::Sleep { long: false });
    });
}

fn failed(kind: StoreErrorKind) -> Input {
    Input::StoreFailed(StoreError::new(kind, "model", "a fault"))
}

fn refused(failure: GrantFailure) -> Input {
    Input::Granted(Err(GrantError::new(failure, "a fault")))
}

/// Whether a write takes the place of something that counts for more.
fn goes_back(before: &Record, after: &Record, now: wix_visitor_core::Timestamp) -> bool {
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

fn would_put_back(flying: &Flying, seen: Option<&Seen>, now: Now, policy: &wix_visitor_core::Policy) -> bool {
    let theirs = seen.map(|seen| &seen.record);
    flying.flight.held().is_some_and(|mine| matches!(reconcile(mine, theirs, now, policy), Reconciled::Put { .. }))
}

/// What an instance is shown of a record, where a rule about claims is left out.
fn shown(cx: &Cx<'_>, mut seen: Seen, own: Option<u128>) -> Seen {
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
fn tamper(cx: &Cx<'_>, record: &mut Record, last: Option<&Answer>) -> bool {
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
