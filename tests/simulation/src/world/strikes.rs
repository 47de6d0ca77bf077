//! Faults that concern more than the operation they strike, and who asks again after them.

use std::sync::Arc;

use wix_visitor_core::Stored;
use wix_visitor_core::record::{Lineage, Record, decode};

use crate::fleet::machine::Machine;
use crate::plan::chance::Chance;
use crate::plan::fault::Fault;
use crate::plan::{Behaviour, Call, Campaign, Millis, Wish};
use crate::world::issuer::family_of_refresh;
use crate::world::{State, World, as_u64};

impl World {
    /// An instance crashes, stands still, or sleeps with its machine.
    pub fn strike_instance(self: &Arc<Self>, machine: &Arc<Machine>, fault: Fault, span: Millis) {
        if machine.is_dead() {
            return;
        }
        let busy = self.busy();
        // Who is idle may be called before it is over.
        let served =
            (0..self.plan.visitors.len()).filter(|visitor| self.plan.homes(*visitor).any(|home| home == machine.node));
        self.injected(fault, served);
        let node = machine.node;
        self.note(&mut self.state(), &[5, as_u64(node), fault as u64, span], || {
            format!("instance {node}: {} for {} s", fault.name(), span / 1_000)
        });
        match fault {
            Fault::Crash => self.crash(machine, span),
            _ => machine.freeze(span, fault == Fault::Sleep),
        }
        for visitor in busy {
            self.follow_up(Some(visitor));
        }
    }

    /// Ends an instance, and starts it again after a while.
    pub fn crash(self: &Arc<Self>, machine: &Arc<Machine>, down: Millis) {
        machine.kill();
        let (world, node, life) = (Arc::clone(self), machine.node, machine.life);
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(down)).await;
            world.revive(node, life);
        });
    }

    /// Starts an instance again, if it is still that life of it that has ended.
    pub fn revive(self: &Arc<Self>, node: usize, life: u64) {
        let ended = self
            .state()
            .stations
            .get(node)
            .and_then(Option::as_ref)
            .is_some_and(|station| station.machine.life == life && station.machine.is_dead());
        if ended {
            self.start_node(node);
        }
    }

    /// With an endpoint that does not take a spent token for ever, somebody has to renew soon after one was spent in vain: nothing
    /// stands in the way of that once half of the time is over.
    pub fn follow_up(self: &Arc<Self>, visitor: Option<usize>) {
        let site = self.plan.site;
        let Some(visitor) = visitor.filter(|_| site.behaviour != Behaviour::Static) else { return };
        let (now, within) = (self.now(), site.within());
        let mut chance = Chance::of(&[self.plan.seed, as_u64(visitor), now]);
        if self.plan.campaign == Campaign::Ok
            && let Some(spared) = self.state().spared.get_mut(visitor)
            && spared.1 <= now
        {
            *spared = (now + within / 2, now + within);
        }
        let homes: Vec<usize> = self.plan.homes(visitor).collect();
        for node in homes {
            let at = now + within * chance.between(10, 60) / 100;
            self.insist(Call { at, node, visitor, wish: Wish::Renew, dropped_after: None }, now + within);
        }
    }

    /// The store forgets the last writes of this visitor, and all that was written since.
    pub fn fail_over(self: &Arc<Self>, visitor: usize, fault: Fault) {
        let back = if fault == Fault::FailoverTwo { 2 } else { 1 };
        let mut state = self.state();
        let Some(since) = state.shelf.tail(visitor, back).first().map(|(_, since)| *since) else { return };
        if !self.may_lose(&state, visitor, back) {
            return;
        }
        let mut affected = Vec::new();
        for other in 0..state.shelf.len() {
            let gone = state.shelf.tail(other, back).iter().filter(|(_, at)| *at >= since).count();
            if gone > 0 && self.may_lose(&state, other, gone) {
                let before = self.standing(&state, other);
                state.shelf.roll_back(other, gone);
                if self.standing(&state, other) != before {
                    state.deed_lost.push(other);
                }
                affected.push(other);
                self.note(&mut state, &[6, as_u64(other), as_u64(gone)], || {
                    format!("    failover: visitor {other} goes {gone} writes back")
                });
            }
        }
        drop(state);
        self.injected(fault, affected.iter().copied());
        for visitor in affected {
            self.follow_up(Some(visitor));
        }
    }

    fn standing(&self, state: &State, visitor: usize) -> Option<Lineage> {
        state.shelf.load(visitor).and_then(|stored| decode(&stored.bytes).ok()).and_then(|record| lineage(&record))
    }

    /// Whether the tables promise something after these writes are lost. They do not where a visitor's first record is gone,
    /// of which nobody else knows, nor where two things that the application did are, or one of which no process was told, or whose process may end.
    fn may_lose(&self, state: &State, visitor: usize, count: usize) -> bool {
        if self.plan.campaign == Campaign::Rest {
            return true;
        }
        let read = |stored: &Stored| decode(&stored.bytes).ok();
        let stays = state.shelf.before(visitor, count).and_then(read).and_then(|record| lineage(&record));
        let mut lost: Vec<Record> = Vec::new();
        for record in state.shelf.tail(visitor, count).into_iter().filter_map(|(stored, _)| read(stored)) {
            let known = lineage(&record);
            if known.is_some() && known != stays && !lost.iter().any(|other| lineage(other) == known) {
                lost.push(record);
            }
        }
        let minted = |record: &Record| {
            let refresh = record.chain().and_then(|chain| chain.tokens.refresh.clone());
            let family = refresh.and_then(|token| family_of_refresh(&token.value));
            family.and_then(|family| state.issuer.family(family)).is_some_and(|family| !family.member)
        };
        match lost.as_slice() {
            [] => true,
            [deed] => {
                let known = state.judge.is_known(visitor, deed.epoch);
                !minted(deed) && known && !state.crashes && !state.deed_lost.contains(&visitor)
            }
            _ => false,
        }
    }
}

fn lineage(record: &Record) -> Option<Lineage> {
    record.version().map(|version| version.lineage)
}
