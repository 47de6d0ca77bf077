//! What is explored, on all processors, and what of it is not as promised.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::{Behaviour, Call, Config, Explored, Fault, Start, explore};
use crate::promise::{Verdict, forbidden, promised};

/// More states than any exploration here has; one that is cut off there proves nothing, and fails.
const MOST: usize = 40_000_000;

/// How much is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What every change can be held against.
    Quick,
    /// All of it.
    Full,
}

/// An exploration, and what it came to.
#[derive(Clone, Debug)]
pub struct Done {
    /// What was explored.
    pub config: Config,
    /// What it came to.
    pub explored: Explored,
}

/// The rows of a table: no fault and each single one.
pub fn singles() -> Vec<Vec<Fault>> {
    let none = std::iter::once(Vec::new());
    none.chain(Fault::ALL.map(|fault| vec![fault])).collect()
}

/// Every pair, a fault that strikes twice among them.
pub fn pairs() -> Vec<Vec<Fault>> {
    let from = |(number, one)| Fault::ALL.into_iter().skip(number).map(move |other| vec![one, other]);
    Fault::ALL.into_iter().enumerate().flat_map(from).collect()
}

/// Whether three instances are explored under this pair: all of them without what the application does at any moment, and with it
/// where an endpoint rotates with a grace and nobody stands still. The rest would be tens of millions of states each.
fn is_small(behaviour: Behaviour, pair: &[Fault]) -> bool {
    let count = |which: fn(Fault) -> bool| pair.iter().filter(|fault| which(**fault)).count();
    let intents = count(Fault::is_intent);
    intents == 0 || (intents == 1 && behaviour == Behaviour::Grace && count(Fault::is_pause) == 0)
}

/// All explorations of this extent, the large ones first.
pub fn configs(extent: Extent) -> Vec<Config> {
    use Call::{Reject, Renew, Serve};
    let full = extent == Extent::Full;
    let starts = [Start::Visitor, Start::Absent];
    let mut all = Vec::new();
    for behaviour in Behaviour::ALL {
        for faults in singles() {
            let config = Config::new(behaviour, &faults);
            let more = [faults.as_slice(), &[Fault::Call]].concat();
            let callers = Config::new(behaviour, &more);
            for start in starts {
                all.push(config.clone().from(start));
                if full || start == Start::Visitor || faults.is_empty() {
                    all.push(config.clone().from(start).among(3));
                }
                all.push(callers.clone().from(start).among(1));
            }
            for rounds in [[Serve, Reject, Serve], [Serve, Renew, Serve]] {
                all.push(config.clone().over(&rounds));
                all.push(callers.clone().over(&rounds).among(1));
            }
            if full {
                all.push(callers);
                for start in starts {
                    all.push(config.clone().from(start).over(&[Serve, Serve, Serve]));
                }
            }
        }
        for faults in pairs() {
            let intents = faults.iter().filter(|fault| fault.is_intent()).count();
            let config = Config::new(behaviour, &faults);
            if full
                || intents == 0
                || (intents == 1 && behaviour == Behaviour::Grace && !faults.contains(&Fault::Forget))
            {
                all.push(config.clone());
            }
            if full {
                let more = [faults.as_slice(), &[Fault::Call]].concat();
                all.push(Config::new(behaviour, &more).among(1));
                all.push(config.clone().from(Start::Absent));
            }
            if full && is_small(behaviour, &faults) {
                all.push(config.among(3));
            }
        }
    }
    all.sort_by_key(|config| {
        let intents = config.faults.iter().filter(|fault| fault.is_intent()).count();
        std::cmp::Reverse((config.faults.len(), intents, config.instances))
    });
    all
}

/// Explores these, on as many processors as there are.
pub fn run(configs: &[Config], told: impl Fn(&Done, usize) + Sync) -> Vec<Done> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(configs.len()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(config) = configs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = Done { config: config.clone(), explored: explore(config, MOST) };
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    told(&one, done.len() + 1);
                    done.push(one);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What must not be in an exploration, in lines.
pub fn breaches(done: &Done) -> Vec<String> {
    let Done { config, explored } = done;
    let mut breaches = Vec::new();
    if explored.cut {
        breaches.push(format!("{}: given up after {MOST} states", config.title()));
    }
    for (finding, (count, _)) in explored.found.iter().filter(|(finding, _)| forbidden(config, **finding)) {
        breaches.push(format!("{}: {finding:?}, {count} times", config.title()));
    }
    let (found, worst) =
        (Verdict::of(config.start, explored), promised(config.behaviour, config.start, &config.faults));
    if found > worst {
        breaches.push(format!("{}: {}, where {} is promised", config.title(), found.name(), worst.name()));
    }
    breaches
}

/// The worst of all explorations by start, faults and endpoint: the cells of the tables.
pub type Cells = BTreeMap<(Start, Vec<Fault>, usize), Verdict>;

/// The cells of what was explored.
pub fn cells(all: &[Done]) -> Cells {
    let mut cells = Cells::new();
    for Done { config, explored } in all {
        let faults: Vec<_> = config.faults.iter().copied().filter(|fault| *fault != Fault::Call).collect();
        let Some(column) = Behaviour::ALL.iter().position(|behaviour| *behaviour == config.behaviour) else { continue };
        let cell = cells.entry((config.start, faults, column)).or_insert(Verdict::Ok);
        *cell = (*cell).max(Verdict::of(config.start, explored));
    }
    cells
}

/// Everything that is not as promised: also a cell that is better, where all of it was explored, for then the promise can be.
pub fn failures(all: &[Done], extent: Extent) -> Vec<String> {
    let mut failures: Vec<_> = all.iter().flat_map(breaches).collect();
    if extent == Extent::Quick {
        return failures;
    }
    for ((start, faults, column), found) in cells(all) {
        let Some(behaviour) = Behaviour::ALL.get(column) else { continue };
        let worst = promised(*behaviour, start, &faults);
        // What loses a visitor who has been there for a while may take more rounds than a new one is given.
        let as_any = start == Start::Absent && worst == promised(*behaviour, Start::Visitor, &faults);
        if found < worst && !as_any {
            let title = Config::new(*behaviour, &faults).from(start).title();
            failures.push(format!("{title}: {}, though only {} is promised", found.name(), worst.name()));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rule;

    #[test]
    fn a_run_fails_where_a_rule_is_broken_and_where_more_is_lost_than_said() {
        let sound = Config::new(Behaviour::Grace, &[]);
        assert_eq!(failures(&run(std::slice::from_ref(&sound), |_, _| {}), Extent::Full), [""; 0]);
        let broken = failures(&run(&[Config { without: Some(Rule::Claim), ..sound }], |_, _| {}), Extent::Quick);
        assert!(broken.iter().any(|line| line.contains("ManyGrants")), "{broken:?}");
        let lossy = Config { without: Some(Rule::PutBack), ..Config::new(Behaviour::Grace, &[Fault::FailoverOne]) };
        let lost = failures(&run(&[lossy], |_, _| {}), Extent::Quick);
        assert!(lost.iter().any(|line| line.contains("lost, where ok dup is promised")), "{lost:?}");
    }

    #[test]
    fn a_run_fails_where_a_new_visitor_gives_way_to_another() {
        let sound = Config::new(Behaviour::Static, &[Fault::Transient]).from(Start::Absent);
        let broken = failures(&run(&[Config { without: Some(Rule::PutBack), ..sound }], |_, _| {}), Extent::Quick);
        assert!(broken.iter().any(|line| line.contains("Twins")), "{broken:?}");
        assert!(broken.iter().any(|line| line.contains("lost, where ok is promised")), "{broken:?}");
    }

    #[test]
    fn a_run_fails_where_less_is_lost_than_said() {
        let harmless = Done { config: Config::new(Behaviour::Single, &[Fault::Crash]), explored: Explored::default() };
        assert_eq!(failures(&[harmless], Extent::Full).len(), 1);
        let config = Config::new(Behaviour::Static, &[Fault::FailoverOne]).from(Start::Absent);
        assert_eq!(failures(&[Done { config, explored: Explored::default() }], Extent::Full).len(), 1);
    }

    #[test]
    fn what_is_explored_covers_every_cell() {
        for extent in [Extent::Quick, Extent::Full] {
            let configs = configs(extent);
            let all = singles().into_iter().chain(if extent == Extent::Full { pairs() } else { Vec::new() });
            for faults in all {
                for behaviour in Behaviour::ALL {
                    let title = Config::new(behaviour, &faults).title();
                    assert!(configs.iter().any(|config| config.title() == title), "{title}");
                }
            }
        }
    }
}
