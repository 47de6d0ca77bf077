//! Instances of one application on one store, and the visitors that they serve.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use wix_visitor::{HttpOptions, Site};
use wix_visitor_core::{Authorization, Clock, EventKind, Events, Policy, StoreKey, TokenStore};
use wix_visitor_redis::{RedisOptions, RedisStore};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Rotation, Sandbox, SandboxOptions};

use super::OPERATION;
use crate::ahead_clock::AheadClock;
use crate::cart;
use crate::halting::{HaltingStore, Step};
use crate::instance::CLIENT_ID;
use crate::redis::Patience;
use crate::sealing;

/// How long a refresh token that was redeemed stays good.
const GRACE: Duration = Duration::from_secs(60);

const MINUTE: Duration = Duration::from_secs(60);

/// After this much of its four hours a token is due, and still good for a round.
const SERVED: Duration = Duration::from_secs(225 * 60);

/// Numbers with the proportions of the default ones, so that an outage can outlast them.
pub(super) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.save = Duration::from_secs(1);
    policy.grant = Duration::from_secs(2);
    policy.margin = Duration::from_millis(500);
    policy.lease = Duration::from_millis(3500);
    policy.wait = Duration::from_secs(5);
    policy
}

/// What a visitor is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Has a usable token when the fault begins, and one that is due; is asked for it all the time.
    Served,
    /// Is renewed all the time, by two instances.
    Renewed,
    /// Has no usable token when the fault begins; then is renewed all the time.
    Lapsed,
}

/// One visitor.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) used: Use,
    pub(super) identity: String,
    /// The id of its cart, which is not empty.
    pub(super) cart: String,
}

/// Two instances that hold every visitor in memory. A third, that holds next to none, comes with each round.
pub(super) struct Fleet {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) members: Vec<Member>,
    pub(super) sites: [Site; 2],
    clock: AheadClock,
    url: String,
    events: [Events; 2],
    stores: [HaltingStore; 2],
    /// With whose record somebody was stopped.
    stopped: Mutex<mpsc::UnboundedReceiver<StoreKey>>,
}

/// A store of its own connections.
pub(super) async fn open(url: &str) -> RedisStore {
    let connect = || RedisOptions::from_url(url).expect("a URL of the suite").timeout(OPERATION).connect();
    // A machine that starts many servers at once may be too busy for the first connections.
    for _ in 0..4 {
        if let Ok(store) = connect().await {
            return store;
        }
    }
    connect().await.expect("a store that is well")
}

impl Fleet {
    /// Starts the endpoint and the instances, and mints the visitors.
    pub(super) async fn start(url: &str) -> Self {
        crate::trace::to_stderr();
        let options = SandboxOptions::new().rotation(Rotation::Grace(GRACE));
        let sandbox = Arc::new(Sandbox::start_on_thread(options).expect("a sandbox"));
        let clock = AheadClock::default();
        let (tell, stopped) = mpsc::unbounded_channel();
        let stores = [stoppable(url, &tell).await, stoppable(url, &tell).await];
        let sites = [
            site(stores[0].clone(), &sandbox, &clock, None).await,
            site(stores[1].clone(), &sandbox, &clock, None).await,
        ];
        let events = [sites[0].visitors().events(), sites[1].visitors().events()];
        let mut fleet = Self {
            sandbox,
            members: Vec::new(),
            sites,
            clock,
            url: url.to_owned(),
            events,
            stores,
            stopped: Mutex::new(stopped),
        };
        let uses = [(Use::Served, 4), (Use::Renewed, 2), (Use::Lapsed, 1)];
        for used in uses.into_iter().flat_map(|(used, count)| vec![used; count]) {
            let key = secret_key("fleet");
            let visitor = fleet.sites[0].visitor(&key);
            let authorization = visitor.authorization().await.expect("a first token");
            let identity = fleet.identity(&authorization);
            let cart = cart::fill(&visitor).await.expect("a first cart").expect("a cart");
            fleet.members.push(Member { key, used, identity, cart });
        }
        fleet
    }

    /// An instance with next to no memory: as good as one that has just been started, at every call.
    pub(super) async fn newcomer(&self) -> Site {
        site(sealing::as_asked(open(&self.url).await), &self.sandbox, &self.clock, Some(1)).await
    }

    /// Stops whoever comes to this step, on either instance; returns with whose record the first was.
    pub(super) async fn stop_at(&self, step: Step) -> Option<StoreKey> {
        let mut stopped = self.stopped.lock().await;
        while stopped.try_recv().is_ok() {}
        self.stores.iter().for_each(|store| store.stop_at(step));
        timeout(Duration::from_secs(30), stopped.recv()).await.ok()?
    }

    /// Lets them go on.
    pub(super) fn go(&self) {
        self.stores.iter().for_each(HaltingStore::go);
    }

    /// Whose token this is.
    pub(super) fn identity(&self, authorization: &Authorization) -> String {
        identity(&self.sandbox, authorization)
    }

    /// Renews everybody on both instances, then lets so much time pass that those served are due, and the lapsed have no token
    /// that may be sent. Says what went wrong.
    pub(super) async fn age(&self) -> Result<(), String> {
        self.renew_all(|used| used == Use::Lapsed).await?;
        self.pass(60 * MINUTE);
        self.renew_all(|used| used != Use::Lapsed).await?;
        self.pass(SERVED);
        Ok(())
    }

    fn pass(&self, time: Duration) {
        self.sandbox.advance(time);
        self.clock.advance(time);
    }

    async fn renew_all(&self, which: impl Fn(Use) -> bool) -> Result<(), String> {
        for member in self.members.iter().filter(|member| which(member.used)) {
            for site in &self.sites {
                let visitor = site.visitor(&member.key);
                // A renewal that was under way since before time was passed brings a token that is older than now.
                let mut newest = false;
                while !newest {
                    let renewed = visitor.renew().await;
                    let renewed = renewed.map_err(|error| format!("all is well, and a renewal failed: {error}"))?;
                    if self.identity(&renewed) != member.identity {
                        return Err("all is well, and a visitor is another".into());
                    }
                    let tokens = visitor.tokens().await.map_err(|error| format!("all is well, and {error}"))?;
                    newest = tokens.access.is_some_and(|token| token.expires_at.since(self.clock.wall()) > SERVED);
                }
            }
        }
        let patience = Patience::default();
        while !self.is_saved().await {
            if !patience.lasts().await {
                return Err("all is well, and tokens are not saved".into());
            }
        }
        Ok(())
    }

    /// Whether all that the instances hold is in the store.
    pub(super) async fn is_saved(&self) -> bool {
        for site in &self.sites {
            for member in &self.members {
                if !site.visitor(&member.key).status().await.is_ok_and(|status| status.saved) {
                    return false;
                }
            }
        }
        true
    }

    /// How many losses were reported since the last look.
    pub(super) fn losses(&mut self) -> u64 {
        let events = self.events.iter_mut().flat_map(|events| std::iter::from_fn(|| events.try_recv()));
        let lost = |kind: &EventKind| matches!(kind, EventKind::VisitorLost(_) | EventKind::MemberSessionEnded);
        events.filter(|event| lost(&event.kind)).count() as u64
    }
}

/// Whose token this is, or nobody's.
pub(super) fn identity(sandbox: &Sandbox, authorization: &Authorization) -> String {
    let token = String::from_utf8_lossy(authorization.as_ref()).into_owned();
    sandbox.identity_of(&token).ok().flatten().unwrap_or_else(|| "nobody".to_owned())
}

async fn stoppable(url: &str, tell: &mpsc::UnboundedSender<StoreKey>) -> HaltingStore {
    let tell = tell.clone();
    HaltingStore::new(sealing::as_asked(open(url).await), move |_, key| drop(tell.send(key.clone())))
}

async fn site(store: impl TokenStore, sandbox: &Sandbox, clock: &AheadClock, snapshot_bytes: Option<usize>) -> Site {
    let builder = wix_visitor::builder(CLIENT_ID)
        .store(store)
        .http(HttpOptions::new().base_url(sandbox.url()))
        .policy(policy())
        .clock(clock.clone());
    let builder = match snapshot_bytes {
        Some(bytes) => builder.snapshot_bytes(bytes),
        None => builder,
    };
    builder.connect().await.expect("a site")
}
