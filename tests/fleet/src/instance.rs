//! One instance of an application and its shoppers, from the first call to the last.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};
use wix_visitor_core::{
    Authorization, Change, Changes, ClientId, Error, Etag, Exchange, Secret, StoreError, StoreKey, Stored, TokenStore,
    Visitors, async_trait,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::TestClock;

use crate::books::Books;
use crate::endpoint::{Endpoint, ISSUER, numbers_in};
use crate::machine::{SeededEntropy, millis_since};
use crate::scene::Scene;

/// Lets a scene happen, and tells what was asked of the endpoint.
///
/// # Errors
/// If there is no room for a runtime, or what the flow holds cannot be read or saved in the end.
pub fn run(scene: &Scene) -> Result<Books, Box<dyn std::error::Error + Send + Sync>> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let mut instance = Instance::new(scene)?;
        instance.live().await;
        instance.close().await
    })
}

/// A store that tells of changes, as Redis does. Nobody else makes any here, so it has nothing to tell.
#[derive(Clone, Debug)]
struct TellingStore(MemoryStore);

#[async_trait]
impl TokenStore for TellingStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.0.load(key).await
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        self.0.compare_exchange(key, expected, new, keep).await
    }

    async fn watch(&self, _: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        changes.tell(Change::Listening);
        std::future::pending().await
    }
}

struct Instance<'a> {
    scene: &'a Scene,
    start: Instant,
    endpoint: Endpoint,
    visitors: Visitors,
    /// Whose token each shopper got first.
    identities: Arc<[OnceLock<usize>]>,
    /// Who calls in which second.
    calls: Vec<Vec<u32>>,
}

impl<'a> Instance<'a> {
    fn new(scene: &'a Scene) -> Result<Self, Error> {
        // Paused, it leaps from one timer to the next.
        let (start, clock) = (Instant::now(), TestClock::default());
        let endpoint = Endpoint::new(start, scene.down.clone());
        let store = TellingStore(MemoryStore::with_clock(Arc::new(clock.clone())));
        let visitors = Visitors::builder(client_id(), endpoint.clone(), store)
            .policy(scene.policy.clone())
            .clock(clock)
            .entropy(SeededEntropy::new(scene.seed))
            .build()?;
        let mut calls = vec![Vec::new(); scene.end as usize];
        for (shopper, arrival) in (0..).zip(&scene.arrivals) {
            calls[*arrival as usize].push(shopper);
        }
        let identities = scene.arrivals.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { scene, start, endpoint, visitors, identities, calls })
    }

    async fn live(&mut self) {
        for second in 0..self.scene.end {
            let shoppers = std::mem::take(&mut self.calls[second as usize]);
            if shoppers.is_empty() {
                continue;
            }
            sleep_until(self.start + Duration::from_secs(second.into())).await;
            for shopper in shoppers {
                self.call(shopper);
                let identity = self.identities[shopper as usize].get();
                let granted = identity.map(|identity| self.endpoint.ledger().identities[*identity].granted);
                let next = self.scene.call_after(shopper, second, granted);
                if let Some(calls) = self.calls.get_mut(next as usize) {
                    calls.push(shopper);
                }
            }
        }
        // The last calls' grants.
        sleep(self.scene.policy.lease).await;
    }

    /// A call that is served at once, or else goes on beside the others.
    fn call(&self, shopper: u32) {
        let visitor = self.visitors.visitor(key(self.scene.seed, shopper));
        let mut call = Box::pin(async move { visitor.authorization().await });
        let (begun, called) = (millis_since(self.start), Caller::new(self, shopper));
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => called.note(&answer, begun, begun),
            Poll::Pending => {
                called.waits(true);
                let start = self.start;
                tokio::spawn(async move {
                    let answer = call.await;
                    called.waits(false);
                    called.note(&answer, begun, millis_since(start));
                });
            }
        }
    }

    /// Asks the store for everybody, and holds it against what the endpoint knows.
    async fn close(self) -> Result<Books, Box<dyn std::error::Error + Send + Sync>> {
        let mut miscounted = 0;
        for (shopper, identity) in (0..).zip(self.identities.iter()) {
            let status = self.visitors.visitor(key(self.scene.seed, shopper)).status().await?;
            let known = identity.get().map(|identity| self.endpoint.ledger().identities[*identity].renewals);
            let agree = known.is_some_and(|renewals| u64::from(renewals) == status.generation);
            miscounted += u64::from(!agree || !status.renewable || status.claimed);
        }
        self.visitors.shutdown().await?;
        let mut ledger = self.endpoint.ledger();
        let mut books = std::mem::take(&mut ledger.books);
        (books.miscounted, books.most_background) = (miscounted, ledger.background.most());
        Ok(books)
    }
}

#[allow(clippy::expect_used)] // a fixed client id
fn client_id() -> ClientId {
    ClientId::new("5c5f0f0e-7c1e-4d9a-9d3a-0123456789ab").expect("a client id")
}

/// The application's own name for a shopper, which no other instance has.
pub(crate) fn key(seed: u64, shopper: u32) -> String {
    format!("{seed:016x}-{shopper}")
}

/// The number by which core spreads this visitor's renewals.
pub(crate) fn spread_of(key: &str) -> u64 {
    StoreKey::new(ISSUER, &client_id(), &Secret::new(key)).spread()
}

/// A shopper who has called.
struct Caller {
    shopper: usize,
    endpoint: Endpoint,
    identities: Arc<[OnceLock<usize>]>,
}

impl Caller {
    fn new(instance: &Instance<'_>, shopper: u32) -> Self {
        Self {
            shopper: shopper as usize,
            endpoint: instance.endpoint.clone(),
            identities: Arc::clone(&instance.identities),
        }
    }

    fn waits(&self, waits: bool) {
        if let Some(identity) = self.identities[self.shopper].get() {
            self.endpoint.ledger().identities[*identity].waited_for = waits;
        }
    }

    fn note(&self, answer: &Result<Authorization, Error>, begun: u64, ended: u64) {
        let mut ledger = self.endpoint.ledger();
        let ill = ledger.ill.start <= ended && begun < ledger.ill.end;
        let books = &mut ledger.books;
        books.calls += 1;
        if !ill {
            books.longest_wait = books.longest_wait.max(ended - begun);
        }
        match answer {
            Ok(authorization) => {
                let whose = numbers_in(authorization.header().as_bytes()).map(|(identity, _)| identity);
                let own = whose.map(|whose| *self.identities[self.shopper].get_or_init(|| whose));
                books.strangers += u64::from(own.is_none() || own != whose || authorization.lost().is_some());
            }
            Err(_) => {
                books.errors += 1;
                books.needless_errors += u64::from(!ill);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Purpose;
    use crate::scene::{HOUR, Seconds};
    use wix_visitor_core::Policy;

    fn scene(arrivals: Vec<Seconds>) -> Scene {
        Scene { policy: Policy::default(), arrivals, pause: (60, 300), down: 0..0, end: 12 * HOUR, seed: 4 }
    }

    #[test]
    fn a_day_is_the_same_again_from_the_same_seed() {
        let scene = scene((0..200).collect());
        let [one, two] = [run(&scene).unwrap(), run(&scene).unwrap()];
        assert_eq!((one.calls, one.granted), (two.calls, two.granted));
    }

    #[test]
    fn active_shoppers_are_renewed_in_the_background_and_never_wait_again() {
        let books = run(&scene(vec![5; 100])).unwrap();
        assert_eq!(books.breaches(100), [""; 0]);
        assert_eq!((books.granted(Purpose::Waiting).sum(), books.errors), (0, 0));
        // Three and a quarter hours apart, and some minutes until the next call.
        assert!((280..=400).contains(&books.granted(Purpose::Background).sum()), "{books:?}");
    }

    #[test]
    fn a_shopper_who_was_away_for_too_long_waits_for_the_endpoints_time_and_no_longer() {
        let books = run(&Scene { pause: (5 * HOUR, 5 * HOUR), ..scene(vec![0; 10]) }).unwrap();
        assert_eq!(books.breaches(10), [""; 0]);
        assert_eq!(books.granted(Purpose::Waiting).sum(), 20);
        assert_eq!(books.longest_wait, 200);
    }
}
