//! Goes depth first through every interleaving, each state once.
//!
//! An explorer of our own rather than `stateright`: what is asked here is not whether a property holds, but which ends can be
//! reached (a cell of the tables), and that *no* execution goes on for ever, which stateright's `eventually` properties leave
//! open where paths join or cycle. Depth first, a cycle is an edge back into the present path; that there is none means that
//! every execution ends. Equal states are told by a fingerprint that forgets the names of random ids and the order of the
//! instances, for which it would want its own representatives anyway.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;

use crate::model::config::Config;
use crate::model::finding::{Finding, Findings};
use crate::model::world::{Label, World};

/// What an exploration came to.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Quiescent ends.
    pub ends: usize,
    /// The longest path.
    pub depth: usize,
    /// Whether it was given up for its size.
    pub cut: bool,
    /// In how many steps or ends something was found, and the shortest way to it that was met.
    pub found: BTreeMap<Finding, (usize, Vec<Label>)>,
    /// How long it took.
    pub took: Duration,
}

impl Explored {
    /// Whether something was found.
    pub fn has(&self, finding: Finding) -> bool {
        self.found.contains_key(&finding)
    }

    /// How often something was found.
    pub fn count(&self, finding: Finding) -> usize {
        self.found.get(&finding).map_or(0, |(count, _)| *count)
    }

    fn note(&mut self, findings: Findings, path: impl Iterator<Item = Label> + Clone) {
        for finding in findings.iter() {
            let length = path.clone().count();
            let (count, shortest) = self.found.entry(finding).or_insert_with(|| (0, path.clone().collect()));
            *count += 1;
            if length < shortest.len() {
                *shortest = path.clone().collect();
            }
        }
    }
}

struct Frame {
    fingerprint: u64,
    label: Label,
    todo: Vec<(Label, World, Findings)>,
}

/// Explores all of it, or as much as `most` states.
pub fn explore(config: &Config, most: usize) -> Explored {
    let start = Instant::now();
    let mut explored = Explored::default();
    // The value: whether the state is on the present path.
    let mut met: HashMap<u64, bool, FixedState> = HashMap::with_hasher(FixedState::default());
    let mut path: Vec<Frame> = Vec::new();
    let mut next = Some((Label::START, World::new(config)));
    loop {
        if let Some((label, world)) = next.take() {
            let fingerprint = world.fingerprint();
            match met.get(&fingerprint) {
                Some(true) => {
                    let mut findings = Findings::default();
                    findings.add(Finding::Livelock);
                    explored.note(findings, path.iter().map(|frame| frame.label).chain([label]));
                }
                Some(false) => {}
                None if met.len() >= most => explored.cut = true,
                None => {
                    met.insert(fingerprint, true);
                    let mut todo = Vec::new();
                    world.steps(config, &mut todo);
                    explored.steps += todo.len();
                    if todo.iter().all(|(label, _, _)| label.fault) {
                        explored.ends += 1;
                        let found = world.end(config);
                        explored.note(found, path.iter().map(|frame| frame.label).chain([label]));
                    }
                    path.push(Frame { fingerprint, label, todo });
                    explored.depth = explored.depth.max(path.len());
                }
            }
        }
        let Some(frame) = path.last_mut() else { break };
        if let Some((label, world, findings)) = frame.todo.pop() {
            if findings != Findings::default() {
                explored.note(findings, path.iter().map(|frame| frame.label).chain([label]));
            }
            next = Some((label, world));
        } else {
            met.insert(frame.fingerprint, false);
            path.pop();
        }
    }
    explored.states = met.len();
    explored.took = start.elapsed();
    explored
}
