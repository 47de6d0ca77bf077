//! What is found out about a state, and about a quiescent end.

use std::sync::Arc;

use wix_visitor_core::record::{Lineage, Record};

use crate::model::config::{Budget, Config};
use crate::model::endpoint::family_of;
use crate::model::finding::{Finding, Findings};
use crate::model::instance::Instance;
use crate::model::world::{Cx, Rightful, World, family_in};

impl World {
    /// What has to hold in every state.
    pub(crate) fn inspect(&self, cx: &mut Cx<'_>) {
        let mut names: Vec<(Lineage, usize)> = Vec::new();
        for chain in self.records().filter_map(Record::chain) {
            let main = chain.tokens.refresh.iter().map(|token| &token.value);
            for family in main.chain(chain.alternates.iter().map(|a| &a.value)).filter_map(family_of) {
                match names.iter().find(|(lineage, _)| *lineage == chain.lineage) {
                    Some((_, known)) if *known != family => cx.found.add(Finding::Mixed),
                    Some(_) => {}
                    None => names.push((chain.lineage, family)),
                }
            }
        }
    }

    /// What has to hold of every step that is no crash: whoever knows what the application did goes on to know it, so a call that
    /// begins after it is never answered with what was there before.
    pub(crate) fn inspect_step(&self, next: &Self, cx: &mut Cx<'_>) {
        let epoch = |instance: &Instance| instance.held.as_ref().map_or(0, |held| held.record.epoch);
        let mut both = self.instances.iter().zip(&next.instances);
        if both.any(|(before, after)| !Arc::ptr_eq(before, after) && epoch(after) < epoch(before)) {
            cx.found.add(Finding::Behind);
        }
    }

    /// Whether the store or a live process still knows what the application did.
    pub(crate) fn recall(&mut self) {
        if let Rightful::Set { epoch, .. } | Rightful::Forgotten { epoch, .. } = self.rightful
            && self.rolled
            && !self.records().any(|record| record.epoch >= epoch)
        {
            self.rightful = Rightful::Unclear;
        }
    }

    fn accepts(&self, family: usize) -> bool {
        match self.rightful {
            Rightful::Family(own) | Rightful::Set { family: own, .. } => own == family,
            Rightful::Forgotten { families, .. } => family >= families,
            Rightful::Any | Rightful::Unclear => true,
        }
    }

    /// Whether a refresh token of the visitor that still works is in this record.
    fn has_working(&self, record: &Record) -> bool {
        record.chain().is_some_and(|chain| {
            chain.refresh_tokens().iter().any(|token| {
                self.endpoint.takes(&token.value) && family_of(&token.value).is_some_and(|family| self.accepts(family))
            })
        })
    }

    /// A caller was given a token: the first of a new visitor, or of the first after one that was forgotten, says who the visitor
    /// is. A mint that began before the visitor was forgotten belongs to what was forgotten.
    pub(crate) fn serve(&mut self, who: usize) {
        let Some(held) = self.instances.get(who).and_then(|instance| instance.held.as_ref()) else { return };
        let family = family_in(&held.record);
        let is_new = match self.rightful {
            Rightful::Any => true,
            Rightful::Forgotten { families, epoch } => {
                held.record.epoch >= epoch && family.is_some_and(|family| family >= families)
            }
            Rightful::Family(_) | Rightful::Set { .. } | Rightful::Unclear => false,
        };
        if is_new && self.served.is_none() {
            self.served = family;
        }
    }

    /// Judges a quiescent end: as it is, and after everybody has called once more, in any order.
    pub(crate) fn end(&self, config: &Config) -> Findings {
        let mut found = Findings::default();
        let waiting = self.instances.iter().any(|i| !i.owed.is_empty() || i.is_unsaved() || i.frozen.is_some());
        if waiting || self.round < config.rounds.len() {
            found.add(Finding::Stuck);
        }
        let forgotten = |record: &Record| {
            matches!(self.rightful, Rightful::Forgotten { epoch, .. } if record.epoch >= epoch && record.chain().is_none())
                || (matches!(self.rightful, Rightful::Unclear) && record.is_tombstone())
        };
        if !self.records().any(|record| self.has_working(record) || forgotten(record)) {
            found.add(Finding::Lost);
        }
        for order in self.orders() {
            let Some((after, met)) = self.settle(config, order) else {
                found.add(Finding::Stuck);
                continue;
            };
            met.iter().for_each(|finding| found.add(finding));
            let record = after.store.as_ref().map(|seen| &seen.record);
            if !record.is_some_and(|record| after.has_working(record)) {
                found.add(Finding::Replaced);
            }
            let family = record.and_then(family_in);
            if matches!(after.rightful, Rightful::Forgotten { .. }) && family.is_some_and(|f| !after.accepts(f)) {
                found.add(Finding::Returned);
            }
            let may_be_new = matches!(after.rightful, Rightful::Any | Rightful::Forgotten { .. });
            if may_be_new && after.served.is_some() && after.served != family {
                found.add(Finding::Twins);
            }
        }
        found
    }

    /// Everybody calls once more, one after the other, and nothing goes wrong any more; what is found meanwhile. How many grants
    /// and mints that takes says nothing after faults, so those are not counted.
    pub(crate) fn settle(&self, config: &Config, order: &[usize]) -> Option<(Self, Findings)> {
        let clean = Config { faults: Vec::new(), ..config.clone() };
        let mut cx = Cx::new(&clean);
        let mut found = Findings::default();
        let mut world = self.clone();
        world.budget = Budget::default();
        world.limbo.clear();
        world.go_on(config.life);
        world.endpoint.grow_old();
        world.begin_round(&mut cx, usize::MAX);
        for _ in 0..200 {
            let mut steps = Vec::new();
            world.steps(&clean, &mut steps);
            let first = order.iter().find_map(|who| steps.iter().position(|(label, ..)| label.who == Some(*who)));
            let Some(at) = first.or((!steps.is_empty()).then_some(0)) else {
                return Some((world, found));
            };
            let (_, next, met) = steps.swap_remove(at);
            world = next;
            let counts = |finding: &Finding| !matches!(finding, Finding::ManyGrants | Finding::ManyMints);
            met.iter().chain(cx.found.iter()).filter(counts).for_each(|finding| found.add(finding));
        }
        None
    }
}
