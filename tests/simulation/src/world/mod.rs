//! What all instances share: store, endpoint, the judge, and the faults that wait for their moment.
pub mod disturb;
pub mod issuer;
pub mod shelf;
pub mod strikes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::Id;
use tokio::time::Instant;
use wix_visitor_core::record::decode;
use wix_visitor_core::{
    ClientId, Error, Etag, EventKind, Events, Exchange, Grant, GrantReply, Secret, StoreKey, Stored, Visitors,
};

use crate::fleet::machine::Machine;
use crate::fleet::seam::Seam;
use crate::fleet::turns::Turns;
use crate::plan::chance::{Chance, mix};
use crate::plan::fault::Fault;
use crate::plan::flaw::Flaw;
use crate::plan::{Millis, Plan, Strike};
use crate::verdict::judge::Judge;
use crate::world::issuer::{ACCESS, Issuer, REFRESH};
use crate::world::shelf::Shelf;

/// Who issues the tokens.
pub const ISSUER: &str = "https://www.wixapis.com";
/// What every visitor key begins with.
pub const KEY: &str = "shopper-key-";

/// What one operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A load.
    Load,
    /// A write.
    Write,
    /// Whether there is room.
    Reserve,
    /// A grant.
    Grant,
}

impl Op {
    fn is_struck_by(self, fault: Fault) -> bool {
        match fault {
            Fault::Transient | Fault::Throttled | Fault::Doubtful | Fault::Misconfigured => self == Self::Grant,
            Fault::RequestLost | Fault::ReplyLost | Fault::Late => self == Self::Grant,
            Fault::StoreDown | Fault::StoreSlow => matches!(self, Self::Load | Self::Write),
            Fault::StoreUnknown | Fault::StoreLate | Fault::StoreLost => self == Self::Write,
            Fault::FailoverOne | Fault::FailoverTwo => self == Self::Write,
            Fault::NoRoom => self == Self::Reserve,
            Fault::Crash | Fault::Pause | Fault::Sleep => self != Self::Reserve,
            _ => false,
        }
    }
}

/// What befalls one operation.
#[derive(Debug)]
pub struct Ordeal {
    /// The fault that waited for it.
    pub strike: Option<Strike>,
    /// Chance of its own.
    pub chance: Chance,
}

/// What callers were told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Calls that were served.
    pub served: u64,
    /// Calls that ended in an error.
    pub errors: u64,
    /// Events that said a visitor was lost, or a member's session.
    pub lost: u64,
    /// Texts that were searched for secrets.
    pub searched: u64,
}

/// One running instance.
#[derive(Clone, Debug)]
pub struct Station {
    /// Its surroundings.
    pub machine: Arc<Machine>,
    /// Its visitors.
    pub visitors: Visitors,
    events: Arc<Mutex<Events>>,
}

/// What changes.
#[derive(Debug)]
pub struct State {
    /// The endpoint.
    pub issuer: Issuer,
    /// The store.
    pub shelf: Shelf,
    /// The judge.
    pub judge: Judge,
    /// What was injected.
    pub injected: [u64; Fault::ALL.len()],
    /// What callers were told.
    pub told: Told,
    /// Strikes that wait.
    pub armed: Vec<Strike>,
    /// Until when the store is down.
    pub store_down: Millis,
    /// Until when the endpoint is down, and how.
    pub endpoint_down: (Millis, u64),
    /// Until when each instance is cut off from the store.
    pub cut_off: Vec<Millis>,
    /// Visitors of whom the store has lost something that the application did in this episode, and in which epoch.
    pub deed_lost: Vec<(usize, u64)>,
    /// Callers that are at it.
    pub turns: Turns,
    /// The instances.
    pub stations: Vec<Option<Station>>,
    /// One number for all that happened, in its order.
    pub trace: u64,
    /// One number for all that callers were told, in any order.
    pub answers: u64,
    /// What happened, in words.
    pub log: Option<Vec<String>>,
    /// How many grants each visitor has asked for.
    pub grants: Vec<u64>,
    operations: Vec<(u64, Millis)>,
    working_for: HashMap<Id, usize>,
    lives: Vec<u64>,
}

/// All that instances share.
#[derive(Debug)]
pub struct World {
    /// The plan.
    pub plan: Arc<Plan>,
    /// When it all began.
    pub start: Instant,
    /// Visitor keys.
    pub names: Vec<String>,
    keys: HashMap<StoreKey, usize>,
    client_id: ClientId,
    state: Mutex<State>,
    search: bool,
}

impl World {
    /// A world in which nothing has happened yet. To be called within a runtime.
    ///
    /// # Errors
    /// None that a fixed client id could cause.
    pub fn new(plan: &Arc<Plan>, log: bool, search: bool) -> Result<Arc<Self>, Error> {
        let count = plan.visitors.len();
        let client_id = ClientId::new("11111111-2222-4333-8444-555555555555")?;
        let names: Vec<String> =
            (0..count).map(|visitor| format!("{KEY}{:016x}", mix(&[plan.seed, as_u64(visitor)]))).collect();
        let key = |name: &String| StoreKey::new(ISSUER, &client_id, &Secret::new(name.clone()));
        let keys = names.iter().enumerate().map(|(visitor, name)| (key(name), visitor)).collect();
        let state = State {
            issuer: Issuer::new(plan.site, plan.seed),
            shelf: Shelf::new(count),
            judge: Judge::new(count),
            injected: [0; Fault::ALL.len()],
            told: Told::default(),
            armed: Vec::new(),
            store_down: 0,
            endpoint_down: (0, 0),
            cut_off: vec![0; plan.nodes.len()],
            deed_lost: Vec::new(),
            turns: Turns::default(),
            stations: plan.nodes.iter().map(|_| None).collect(),
            trace: 0,
            answers: 0,
            log: log.then(Vec::new),
            grants: vec![0; count],
            operations: vec![(0, 0); count],
            working_for: HashMap::new(),
            lives: vec![0; plan.nodes.len()],
        };
        Ok(Arc::new(Self {
            plan: Arc::clone(plan),
            start: Instant::now(),
            names,
            keys,
            client_id,
            state: Mutex::new(state),
            search,
        }))
    }

    /// What changes.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True time.
    pub fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment of this time.
    pub fn at(&self, time: Millis) -> Instant {
        self.start + Duration::from_millis(time)
    }

    /// Notes that something happened.
    pub fn note(&self, state: &mut State, parts: &[u64], text: impl FnOnce() -> String) {
        state.trace = mix(&[state.trace, self.now(), mix(parts)]);
        self.tell(state, text);
    }

    /// Notes what one of several callers was told, who hear of the end of one flight in any order.
    pub fn note_answer(&self, state: &mut State, parts: &[u64], text: impl FnOnce() -> String) {
        state.answers = state.answers.wrapping_add(mix(&[self.now(), mix(parts)]));
        self.tell(state, text);
    }

    fn tell(&self, state: &mut State, text: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(log) = &mut state.log {
            log.push(format!("{:>10.3} s  {}", Duration::from_millis(now).as_secs_f64(), text()));
        }
    }

    /// Whose record this is.
    pub fn visitor(&self, key: &StoreKey) -> usize {
        self.keys.get(key).copied().unwrap_or(usize::MAX)
    }

    /// Starts an instance, with nothing in memory.
    pub fn start_node(self: &Arc<Self>, node: usize) {
        let Some(described) = self.plan.nodes.get(node) else { return };
        let mut state = self.state();
        let skew = state.stations.get(node).and_then(Option::as_ref).map_or(described.skew, |s| s.machine.skew());
        let Some(life) = state.lives.get_mut(node) else { return };
        *life += 1;
        let machine = Arc::new(Machine::new(self.plan.seed, self.start, node, *life, skew));
        let seam = Seam::new(self, &machine);
        let built = Visitors::builder(self.client_id.clone(), seam.clone(), seam)
            .clock(Arc::clone(&machine))
            .entropy(Draws(Arc::clone(&machine)))
            .build();
        let Ok(visitors) = built else { return };
        let events = Arc::new(Mutex::new(visitors.events()));
        self.note(&mut state, &[1, as_u64(node)], || format!("instance {node} starts"));
        if let Some(station) = state.stations.get_mut(node) {
            *station = Some(Station { machine, visitors, events });
        }
    }

    /// The instance that runs there now.
    pub fn station(&self, node: usize) -> Option<Station> {
        self.state().stations.get(node).cloned().flatten().filter(|station| !station.machine.is_dead())
    }

    /// Reads what an instance reported.
    pub fn hear(&self, station: &Station) {
        let mut events = station.events.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(event) = events.try_recv() {
            if matches!(event.kind, EventKind::VisitorLost(_) | EventKind::MemberSessionEnded) {
                self.state().told.lost += 1;
            }
            self.search(|| format!("{event:?}"), "an event");
        }
    }

    /// Looks for a secret in what is printed.
    pub fn search(&self, text: impl FnOnce() -> String, what: &str) {
        if self.search {
            let leaks = leaks(&text());
            let mut state = self.state();
            state.told.searched += 1;
            if leaks {
                state.judge.leaked(0, self.now(), what);
            }
        }
    }

    /// An operation begins.
    pub fn begin(&self, visitor: usize, op: Op, machine: &Machine) -> Ordeal {
        let now = self.now();
        let mut state = self.state();
        if let Some(id) = tokio::task::try_id()
            && op != Op::Grant
        {
            state.working_for.insert(id, visitor);
        }
        if op == Op::Grant
            && let Some(grants) = state.grants.get_mut(visitor)
        {
            *grants += 1;
        }
        let number = match state.operations.get_mut(visitor) {
            Some((number, last)) => {
                (*number, *last) = (*number + 1, now);
                *number
            }
            None => 0,
        };
        let fits =
            |strike: &&mut Strike| strike.visitor == visitor && strike.at <= now && op.is_struck_by(strike.fault);
        let mut strike = None;
        if let Some(waiting) = state.armed.iter_mut().find(fits) {
            if waiting.skip == 0 {
                strike = Some(*waiting);
            } else {
                waiting.skip -= 1;
            }
        }
        if let Some(strike) = &strike {
            let found = state.armed.iter().position(|one| {
                (one.at, one.visitor, one.fault, one.skip) == (strike.at, strike.visitor, strike.fault, 0)
            });
            if let Some(found) = found {
                state.armed.remove(found);
            }
        }
        self.note(&mut state, &[2, as_u64(visitor), op as u64, as_u64(machine.node)], || {
            let struck = strike.map_or_else(String::new, |strike| format!("  <- {}", strike.fault.name()));
            format!("instance {} visitor {visitor}: {op:?}{struck}", machine.node)
        });
        Ordeal { strike, chance: Chance::of(&[self.plan.seed, as_u64(visitor), number]) }
    }

    /// For whom the present task works.
    pub fn working_for(&self) -> Option<usize> {
        let id = tokio::task::try_id()?;
        self.state().working_for.get(&id).copied()
    }

    /// A fault has struck.
    pub fn injected(&self, fault: Fault, visitors: impl IntoIterator<Item = usize>) {
        let mut state = self.state();
        state.injected[fault as usize] += 1;
        for visitor in visitors {
            state.judge.touch(visitor, fault);
        }
    }

    /// Visitors for whom something was under way a short while ago.
    pub fn busy(&self) -> Vec<usize> {
        let now = self.now();
        let state = self.state();
        let recent = |(_, (number, last)): &(usize, &(u64, Millis))| *number > 0 && *last + 60_000 >= now;
        state.operations.iter().enumerate().filter(recent).map(|(visitor, _)| visitor).collect()
    }

    /// Whether this instance cannot reach the store just now.
    pub fn is_cut_off(&self, node: usize) -> bool {
        let (now, state) = (self.now(), self.state());
        state.store_down > now || state.cut_off.get(node).is_some_and(|until| *until > now)
    }

    /// What stands there, as it is shown.
    pub fn load(&self, visitor: usize) -> Option<Stored> {
        let stored = self.state().shelf.load(visitor).cloned();
        stored.map(|stored| self.shown(stored))
    }

    fn shown(&self, stored: Stored) -> Stored {
        let bytes = self.plan.flaw.and_then(|flaw| flaw.shown(&stored.bytes));
        bytes.map_or_else(|| stored.clone(), |bytes| Stored { etag: stored.etag, bytes })
    }

    /// A write takes place, or conflicts.
    pub fn exchange(&self, visitor: usize, expected: Option<&Etag>, new: &Stored) -> Exchange {
        let now = self.now();
        let bytes = self.plan.flaw.and_then(|flaw| flaw.written(&new.bytes));
        let new = &bytes.map_or_else(|| new.clone(), |bytes| Stored { etag: new.etag, bytes });
        let mut state = self.state();
        let exchange = if self.plan.flaw == Some(Flaw::Comparison) {
            state.shelf.put(visitor, new, now);
            Exchange::Swapped
        } else {
            state.shelf.exchange(visitor, expected, new, now)
        };
        let swapped = exchange == Exchange::Swapped;
        let record = swapped.then(|| decode(&new.bytes).ok()).flatten();
        self.note(&mut state, &[3, as_u64(visitor), u64::from(swapped)], || match &record {
            Some(record) => format!("    visitor {visitor} stored: {}", crate::verdict::told::record(record)),
            None => format!("    visitor {visitor}: conflict"),
        });
        if let Some(record) = record {
            let State { judge, issuer, .. } = &mut *state;
            judge.written(visitor, &record, issuer, now);
        }
        drop(state);
        match exchange {
            Exchange::Conflict(Some(stored)) => Exchange::Conflict(Some(self.shown(stored))),
            other => other,
        }
    }

    /// A grant acts; nothing if it is refused.
    pub fn act(&self, visitor: Option<usize>, grant: &Grant) -> Option<GrantReply> {
        let now = self.now();
        let mut state = self.state();
        let reply = match grant {
            Grant::Refresh(refresh) => state.issuer.redeem(refresh, now),
            _ => Some(state.issuer.begin(visitor, false, now)),
        };
        self.note(&mut state, &[4, u64::from(reply.is_some())], || {
            format!("    the endpoint acts: {}", crate::verdict::told::grant(grant, reply.as_ref()))
        });
        reply
    }
}

/// Whether a text holds a secret.
pub fn leaks(text: &str) -> bool {
    [ACCESS, REFRESH, KEY].iter().any(|secret| text.contains(secret))
}

/// An index as a number to mix.
pub fn as_u64(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

/// An instance's chance.
#[derive(Debug)]
struct Draws(Arc<Machine>);

impl wix_visitor_core::Entropy for Draws {
    fn draw(&self) -> u128 {
        self.0.draw()
    }
}
