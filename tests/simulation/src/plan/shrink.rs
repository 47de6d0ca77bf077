//! The least of a failing plan that still fails.

use std::sync::Arc;

use crate::plan::{Episode, Plan};
use crate::run::{Scrutiny, run};
use crate::verdict::judge::Breach;

/// How often a plan is run again at most.
const RUNS: usize = 1_500;

struct Shrinking {
    best: Plan,
    breach: Breach,
    runs: usize,
}

/// Takes out of a plan what its breach does not need: episodes, visitors, instances, faults, calls.
pub fn shrink(plan: &Plan, breach: Breach) -> Plan {
    let mut shrinking = Shrinking { best: plan.clone(), breach, runs: 0 };
    loop {
        let before = shrinking.runs;
        if !shrinking.round() || shrinking.runs >= RUNS || shrinking.runs == before {
            return shrinking.best;
        }
    }
}

impl Shrinking {
    /// Keeps a smaller plan if it still fails.
    fn keeps(&mut self, smaller: Plan) -> bool {
        if self.runs >= RUNS {
            return false;
        }
        self.runs += 1;
        let smaller = Arc::new(smaller);
        let fails = run(&smaller, Scrutiny::default()).findings.iter().any(|finding| finding.breach == self.breach);
        if fails {
            self.best = Arc::unwrap_or_clone(smaller);
        }
        fails
    }

    /// Tries everything once; whether anything could go.
    fn round(&mut self) -> bool {
        let mut shrunk = self.episodes();
        for visitor in 0..self.best.visitors.len() {
            shrunk |= self.best.visitors[visitor] && self.keeps(without_visitor(&self.best, visitor));
        }
        for node in 0..self.best.nodes.len() {
            shrunk |= self.best.nodes[node].used && self.keeps(without_node(&self.best, node));
        }
        for node in 0..self.best.nodes.len() {
            let mut smaller = self.best.clone();
            smaller.nodes[node].skew = 0;
            shrunk |= self.best.nodes[node].skew != 0 && self.keeps(smaller);
        }
        for episode in 0..self.best.episodes.len() {
            shrunk |= self.thin(episode, |episode| &mut episode.strikes);
            shrunk |= self.thin(episode, |episode| &mut episode.disturbances);
            shrunk |= self.thin(episode, |episode| &mut episode.calls);
        }
        shrunk
    }

    fn episodes(&mut self) -> bool {
        let mut shrunk = false;
        let mut at = self.best.episodes.len();
        while at > 0 {
            at -= 1;
            let mut smaller = self.best.clone();
            smaller.episodes.remove(at);
            shrunk |= !smaller.episodes.is_empty() && self.keeps(smaller);
        }
        shrunk
    }

    /// Takes out halves, quarters, and so on, down to single ones.
    fn thin<T: Clone>(&mut self, episode: usize, of: impl Fn(&mut Episode) -> &mut Vec<T>) -> bool {
        let mut shrunk = false;
        let mut size = of(&mut self.best.episodes[episode]).len();
        while size > 0 {
            let mut at = 0;
            loop {
                let mut smaller = self.best.clone();
                let list = of(&mut smaller.episodes[episode]);
                if at >= list.len() {
                    break;
                }
                list.drain(at..(at + size).min(list.len()));
                if self.keeps(smaller) {
                    shrunk = true;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        shrunk
    }
}

fn without_visitor(plan: &Plan, visitor: usize) -> Plan {
    let mut smaller = plan.clone();
    smaller.visitors[visitor] = false;
    for episode in &mut smaller.episodes {
        episode.calls.retain(|call| call.visitor != visitor);
        episode.strikes.retain(|strike| strike.visitor != visitor);
    }
    smaller
}

fn without_node(plan: &Plan, node: usize) -> Plan {
    let mut smaller = plan.clone();
    smaller.nodes[node].used = false;
    for episode in &mut smaller.episodes {
        episode.calls.retain(|call| call.node != node);
        episode.disturbances.retain(|disturbance| disturbance.node != node);
    }
    smaller
}
