//! Every step that is possible next, and what it does.

use wix_visitor_core::protocol::flight::Input;
use wix_visitor_core::record::Record;

use crate::model::config::{Config, Fault};
use crate::model::finding::Findings;
use crate::model::instance::{Answer, Doing, Frozen, Instance};
use crate::model::weaken::Rule;
use crate::model::world::{Cx, Label, Limbo, World, back};

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
pub(crate) struct Collector<'a> {
    world: &'a World,
    config: &'a Config,
    steps: &'a mut Steps,
}

impl Collector<'_> {
    pub(crate) fn add(
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
        if fault != Some(Fault::Crash) {
            self.world.inspect_step(&next, &mut cx);
        }
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
                if let Some(wish) = &instance.wish {
                    to.add(Some(who), "somebody else calls", Some(Fault::Call), |world, _| {
                        world.at(who).call(wish.clone());
                    });
                }
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
                let (grant, _) = world.late.remove(0);
                world.act(cx, &grant);
            });
        }
        if !self.limbo.is_empty() {
            to.add(None, "the late write is applied, or conflicts", None, |world, cx| {
                let Limbo { expected, new } = world.limbo.remove(0);
                world.exchange(cx, expected, new, false);
            });
        }
        if busy {
            return;
        }
        let active = || self.instances.iter().filter(|instance| instance.frozen.is_none());
        let lease = self.policy.lease.as_secs();
        let pauses = active().filter(|instance| !instance.owed.is_empty());
        let pauses = pauses.filter_map(|i| Some(i.cooldown?.as_secs().saturating_sub(i.monotonic).clamp(1, lease)));
        let pause = pauses.min();
        if let Some(pause) = pause.filter(|pause| self.late.iter().all(|(_, until)| self.time + pause < *until)) {
            to.add(None, "a pause goes by", None, |world, _| world.go_on(pause));
        }
        if !self.late.is_empty() || pause.is_some() {
            return;
        }
        let waits = active()
            .any(|instance| instance.flying.as_ref().is_some_and(|flying| matches!(flying.doing, Doing::Sleep { .. })));
        let overdue = self.instances.iter().any(|instance| {
            matches!(instance.frozen, Some(Frozen::Pause { long: false } | Frozen::Sleep { long: false }))
        });
        if waits || overdue {
            to.add(None, "a lease goes by", None, |world, _| world.go_on(lease));
        }
        let idle = active().all(|i| i.flying.is_none() && i.imposing.is_none() && i.owed.is_empty());
        if idle && self.round < config.rounds.len() {
            let until = self.until(config);
            for callers in 1..1usize << self.instances.len() {
                let what = ROUNDS.get(callers).copied().unwrap_or("a token's life goes by");
                to.add(None, what, None, |world, cx| {
                    world.go_on(until);
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
                freeze(who, to, "stands still before it loads", "falls asleep before it loads");
            }
            Doing::Swap { swap, .. } => {
                let Record { claim, trouble, .. } = &swap.new.record;
                let what = match (claim, trouble, swap.precious) {
                    (_, _, true) => "commits",
                    (_, Some(_), false) => "notes the failure",
                    (Some(_), None, false) => "claims",
                    (None, None, false) => "releases, or puts back",
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
                freeze(who, to, "stands still before it writes", "falls asleep before it writes");
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
                freeze(who, to, "stands still before it sends", "falls asleep before it sends");
                to.add(some, "has no room for a reply, and sends nothing", Some(Fault::Transient), |world, cx| {
                    world.answer(cx, who, Answer::Unavailable, false, None);
                });
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
                let lease_ends = self.time + self.policy.lease.as_secs();
                to.add(some, "gives up on its grant, which is late", Some(Fault::Late), |world, cx| {
                    world.late.push((sent, lease_ends));
                    world.answer(cx, who, Answer::GrantUnknown, false, None);
                });
            }
            Doing::Sleep { looked, since } => {
                let changed = *looked != self.store.as_ref().map(|seen| seen.etag);
                let hasty = to.config.without == Some(Rule::Watch);
                if changed || hasty || self.now(who).monotonic > *since {
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
}

/// It stands still here.
pub(crate) fn freeze(who: usize, to: &mut Collector<'_>, paused: &'static str, asleep: &'static str) {
    to.add(Some(who), paused, Some(Fault::Pause), |world, _| {
        world.at(who).frozen = Some(Frozen::Pause { long: false });
    });
    to.add(Some(who), asleep, Some(Fault::Sleep), |world, _| {
        world.at(who).frozen = Some(Frozen::Sleep { long: false });
    });
}
