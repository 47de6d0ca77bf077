//! Faults that concern more than the operation they strike, and who asks again after them.

use std::sync::Arc;

use wix_visitor_core::Stored;
use wix_visitor_core::record::{Lineage, Record, decode};

use crate::fleet::machine::Machine;
use crate::plan::chance::Chance;
use crate::plan::fault::Fault;
use crate::plan::{Behaviour, Call, Campaign, Millis, Wish};
use crate::world::issuer::family_of_refresh;
use crate::world::{State, Station, World, as_u64};

impl World {
    /// An instance crashes, stands still, or sleeps with its machine.
    pub fn strike_instance(self: &Arc<Self>, machine: &Arc<Machine>, fault: Fault, span: Millis) {
        if machine.is_dead() || (fault == Fault::Crash && self.knows_alone(machine)) {
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
            .is_some_and(|station: &Station| station.machine.life == life && station.machine.is_dead());
        if ended {
            self.start_node(node);
        }
    }

    /// With an endpoint that does not take a spent token for ever, somebody has to renew soon after one was spent in vain:
    /// whoever calls, calls again until that is done, whatever stands in the way.
    pub fn follow_up(self: &Arc<Self>, visitor: Option<usize>) {
        let site = self.plan.site;
        let Some(visitor) = visitor.filter(|_| site.behaviour != Behaviour::Static) else { return };
        let (now, within) = (self.now(), site.within());
        let mut chance = Chance::of(&[self.plan.seed, as_u64(visitor), now]);
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
        if !self.may_lose(&state, visitor, &lost(&state, visitor, back)) {
            return;
        }
        let mut affected = Vec::new();
        for other in 0..state.shelf.len() {
            let gone = state.shelf.tail(other, back).iter().filter(|(_, at)| *at >= since).count();
            let lost = lost(&state, other, gone);
            if gone > 0 && self.may_lose(&state, other, &lost) {
                state.shelf.roll_back(other, gone);
                let deeds = lost.iter().filter(|lost| !lost.minted);
                let deeds: Vec<_> = deeds.map(|deed| (other, deed.epoch)).collect();
                state.judge.bereave(other, lost.iter().any(|lost| lost.minted), !deeds.is_empty());
                state.deed_lost.extend(deeds);
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

    /// Whether the tables promise something after these are lost. They do not where one is a visitor that is new, of whom nobody
    /// else knows, nor where two things are that the application did, or one that no process was told of which goes on living.
    fn may_lose(&self, state: &State, visitor: usize, lost: &[Lost]) -> bool {
        if self.plan.campaign == Campaign::Rest {
            return true;
        }
        let lives = |(node, life): (usize, u64)| {
            let station = state.stations.get(node).and_then(Option::as_ref);
            station.is_some_and(|station: &Station| station.machine.life == life && !station.machine.is_leaving())
        };
        match lost {
            [] => true,
            [one] => {
                let first = !state.deed_lost.iter().any(|(other, _)| *other == visitor);
                !one.minted && first && state.judge.told(visitor, one.epoch).any(lives)
            }
            _ => false,
        }
    }

    /// Whether this process was told of something that the application did and the store has lost, and may be the last one that
    /// knows: if it ends before that is put back, nothing is promised.
    pub fn knows_alone(&self, machine: &Machine) -> bool {
        let state = self.state();
        self.plan.campaign == Campaign::Ok
            && state.deed_lost.iter().any(|(visitor, epoch)| {
                let kept = state.shelf.load(*visitor).and_then(|stored| decode(&stored.bytes).ok());
                kept.is_none_or(|kept| kept.epoch < *epoch)
                    && state.judge.told(*visitor, *epoch).any(|at| at == (machine.node, machine.life))
            })
    }
}

/// An identity, or a tombstone, of which the store knows nothing any more.
struct Lost {
    lineage: Lineage,
    epoch: u64,
    /// It was minted, and the application did not set it.
    minted: bool,
}

/// What the store would know nothing of without this visitor's last writes.
fn lost(state: &State, visitor: usize, count: usize) -> Vec<Lost> {
    let read = |stored: &Stored| decode(&stored.bytes).ok();
    let lineage = |record: &Record| record.version().map(|version| version.lineage);
    let stays = state.shelf.before(visitor, count).and_then(read).and_then(|record| lineage(&record));
    let mut all: Vec<Lost> = Vec::new();
    for record in state.shelf.tail(visitor, count).into_iter().filter_map(|(stored, _)| read(stored)) {
        let Some(lineage) = lineage(&record) else { continue };
        if Some(lineage) != stays && !all.iter().any(|lost| lost.lineage == lineage) {
            let refresh = record.chain().and_then(|chain| chain.tokens.refresh.as_ref());
            let family = refresh.and_then(|token| family_of_refresh(&token.value));
            let minted = family.and_then(|family| state.issuer.family(family)).is_some_and(|family| !family.set);
            all.push(Lost { lineage, epoch: record.epoch, minted });
        }
    }
    all
}
