//! Those who ask, renew and look, the whole time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wix_visitor::Site;
use wix_visitor_core::{Authorization, Entropy, Error, ErrorKind, Etag, StoreKey, Stored, SystemEntropy, TokenStore};
use wix_visitor_redis::RedisStore;
use wix_visitor_testkit::sandbox::Sandbox;

use super::OPERATION;
use super::fleet::{Fleet, Member, Use, identity, policy};
use super::tally::Shared;

/// A usable token is served at once; this much is what a busy machine may add to that.
const AT_ONCE: Duration = Duration::from_millis(1500);
/// And this much to a deadline.
const LATE: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3600);

/// How often each of them asks.
const CALLS: Duration = Duration::from_millis(20);
const RENEWALS: Duration = Duration::from_millis(100);

/// What all workers of a round share.
pub(super) struct Workers {
    tally: Arc<Shared>,
    over: Arc<AtomicBool>,
    /// When the last call began that renewed this visitor on this instance.
    renewed: Arc<Mutex<HashMap<(usize, String), Instant>>>,
    tasks: JoinSet<()>,
    wanted: usize,
}

#[derive(Clone)]
struct Worker {
    sandbox: Arc<Sandbox>,
    tally: Arc<Shared>,
    over: Arc<AtomicBool>,
    member: Member,
}

impl Workers {
    /// Sets them to work.
    pub(super) fn start(fleet: &Fleet, newcomer: Site, probe: RedisStore, tally: &Arc<Shared>) -> Self {
        let mut workers = Self {
            tally: Arc::clone(tally),
            over: Arc::default(),
            renewed: Arc::default(),
            tasks: JoinSet::new(),
            wanted: 0,
        };
        for member in &fleet.members {
            let worker = || Worker {
                sandbox: Arc::clone(&fleet.sandbox),
                tally: Arc::clone(tally),
                over: Arc::clone(&workers.over),
                member: member.clone(),
            };
            for (n, site) in fleet.sites.iter().enumerate() {
                if member.used == Use::Served {
                    workers.tasks.spawn(worker().call(site.clone()));
                } else {
                    workers.wanted += 1;
                    workers.tasks.spawn(worker().renew(n, site.clone(), Arc::clone(&workers.renewed)));
                }
            }
            workers.tasks.spawn(worker().drop_in(newcomer.clone()));
        }
        workers.tasks.spawn(operate(probe, Arc::clone(tally), Arc::clone(&workers.over)));
        workers
    }

    /// Whether everybody has renewed by a call that began after this moment.
    pub(super) fn all_renewed_since(&self, moment: Instant) -> bool {
        let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.values().filter(|begun| **begun >= moment).count() == self.wanted
    }

    /// Lets everybody finish what they are at.
    pub(super) async fn finish(mut self) {
        self.over.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            if let Err(error) = done {
                self.tally.find(format!("a worker ended badly: {error}"));
            }
        }
    }
}

impl Worker {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Asks for the token of somebody who has a usable one.
    async fn call(self, site: Site) {
        let visitor = site.visitor(&self.member.key);
        while !self.is_over() {
            let begun = Instant::now();
            let answer = visitor.authorization().await;
            let took = begun.elapsed();
            let served = self.is_right(&answer);
            {
                let mut tally = self.tally.lock();
                tally.asked += 1;
                tally.served += u64::from(served && took <= AT_ONCE);
                tally.slowest_served = tally.slowest_served.max(took);
            }
            if took > AT_ONCE {
                self.tally.find(format!("a caller with a usable token waited {took:?}"));
            }
            if let Err(error) = answer {
                self.tally.find(format!("a caller with a usable token was refused: {error}"));
            }
            sleep(CALLS).await;
        }
    }

    /// Asks for a token where there is no usable one, then renews it again and again.
    async fn renew(self, n: usize, site: Site, renewed: Arc<Mutex<HashMap<(usize, String), Instant>>>) {
        let visitor = site.visitor(&self.member.key);
        let mut lapsed = self.member.used == Use::Lapsed;
        while !self.is_over() {
            let begun = Instant::now();
            let answer =
                self.bounded(async { if lapsed { visitor.authorization().await } else { visitor.renew().await } });
            if self.is_right(&answer.await) {
                lapsed = false;
                self.tally.lock().renewed += 1;
                let mut renewed = renewed.lock().unwrap_or_else(PoisonError::into_inner);
                renewed.insert((n, self.member.key.clone()), begun);
            }
            sleep(RENEWALS).await;
        }
    }

    /// Asks at an instance that remembers nobody.
    async fn drop_in(self, site: Site) {
        while !self.is_over() {
            let visitor = site.visitor(&self.member.key);
            let answer = self.bounded(visitor.authorization()).await;
            self.is_right(&answer);
            drop(visitor);
            sleep(RENEWALS).await;
        }
    }

    async fn bounded(&self, call: impl Future<Output = Result<Authorization, Error>>) -> Result<Authorization, Error> {
        let begun = Instant::now();
        let most = policy().wait + LATE;
        let answer = timeout(most, call).await.unwrap_or_else(|_| {
            self.tally.find(format!("a call had no end within {most:?}"));
            Err(Error::new(ErrorKind::Busy, "no end"))
        });
        let mut tally = self.tally.lock();
        tally.slowest_call = tally.slowest_call.max(begun.elapsed());
        answer
    }

    /// Whether it is a token of this very visitor; an error has to be one that says that the visitor is unharmed.
    fn is_right(&self, answer: &Result<Authorization, Error>) -> bool {
        match answer {
            Ok(authorization) => {
                let owner = identity(&self.sandbox, authorization);
                let right = owner == self.member.identity && authorization.lost().is_none();
                if !right {
                    self.tally.lock().lost += 1;
                    self.tally.find("a caller got the token of another visitor");
                }
                right
            }
            Err(error) => {
                let kind = match error.store_error() {
                    Some(store) => format!("{:?}/{:?}", error.kind(), store.kind()),
                    None => format!("{:?}", error.kind()),
                };
                *self.tally.lock().failed.entry(kind).or_default() += 1;
                let harmless = [ErrorKind::Store, ErrorKind::Busy, ErrorKind::Unavailable, ErrorKind::OutcomeUnknown];
                if !harmless.contains(&error.kind()) {
                    self.tally.find(format!("a call failed in a way that an outage does not explain: {error}"));
                }
                false
            }
        }
    }
}

/// Loads and swaps a record of its own: each operation ends within its deadline.
async fn operate(store: RedisStore, tally: Arc<Shared>, over: Arc<AtomicBool>) {
    let key = StoreKey::parse(&format!("probe/{:032x}", SystemEntropy.draw())).expect("a key");
    let mut standing = None;
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let loaded = store.load(&key).await;
        let load = begun.elapsed();
        if let Ok(loaded) = loaded {
            standing = loaded;
        }
        let new = Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes: vec![7; 500] };
        let begun = Instant::now();
        let _ = store.compare_exchange(&key, standing.as_ref().map(|old: &Stored| &old.etag), &new, HOUR).await;
        let longest = load.max(begun.elapsed());
        {
            let mut tally = tally.lock();
            tally.slowest_operation = tally.slowest_operation.max(longest);
        }
        if longest > OPERATION + LATE {
            tally.find(format!("an operation of the store took {longest:?}; its deadline is {OPERATION:?}"));
        }
        sleep(CALLS).await;
    }
}
