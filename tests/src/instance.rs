//! A site in memory whose clock, store and endpoint a test commands.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use wix_visitor_core::{
    AccessToken, Authorization, ClientId, Error, Event, EventKind, Events, Policy, RefreshToken, Role, Secret,
    Timestamp, TokenStore, Tokens, Visitor, Visitors,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, FaultyStore, Rotation, TestClock};

/// The client id of every suite.
pub const CLIENT_ID: &str = "5c5f0f0e-7c1e-4d9a-9d3a-0123456789ab";

/// One instance of an application: its own memory, on a store and an endpoint that others may share.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The instance's visitors.
    pub visitors: Visitors,
    /// The instance's handle on the shared store.
    pub store: FaultyStore,
    /// The shared endpoint.
    pub endpoint: FakeEndpoint,
    /// The instance's clock.
    pub clock: TestClock,
    /// One visitor's key.
    pub key: Arc<str>,
    shared: Arc<dyn TokenStore>,
}

impl Instance {
    /// The first instance, on an empty store.
    pub fn new(rotation: Rotation) -> Self {
        Self::with_policy(rotation, Policy::default())
    }

    /// The first instance, with a policy of its own.
    pub fn with_policy(rotation: Rotation, policy: Policy) -> Self {
        Self::with_store(MemoryStore::new(), rotation, policy)
    }

    /// The first instance, on this store.
    pub fn with_store(store: impl TokenStore, rotation: Rotation, policy: Policy) -> Self {
        let shared = crate::sealing::as_asked(store);
        Self::on(shared, FakeEndpoint::new(rotation), TestClock::default(), policy, secret_key("visitor").into())
    }

    fn on(
        shared: Arc<dyn TokenStore>,
        endpoint: FakeEndpoint,
        clock: TestClock,
        policy: Policy,
        key: Arc<str>,
    ) -> Self {
        crate::trace::to_stderr();
        let store = FaultyStore::new(Arc::clone(&shared));
        let visitors = Visitors::builder(client_id(), endpoint.clone(), store.clone())
            .clock(clock.clone())
            .policy(policy)
            .build()
            .expect("the policy of a test");
        Self { visitors, store, endpoint, clock, key, shared }
    }

    /// Another instance on the same store and endpoint: a second process, or this one started again.
    #[must_use]
    pub fn another(&self) -> Self {
        self.another_with(self.clock.clone())
    }

    /// Another instance, whose handle on the store is this one.
    #[must_use]
    pub fn another_on(&self, store: impl TokenStore) -> Self {
        let policy = self.visitors.policy().clone();
        Self::on(Arc::new(store), self.endpoint.clone(), self.clock.clone(), policy, Arc::clone(&self.key))
    }

    /// Another instance, on a machine with this clock.
    #[must_use]
    pub fn another_with(&self, clock: TestClock) -> Self {
        let policy = self.visitors.policy().clone();
        Self::on(Arc::clone(&self.shared), self.endpoint.clone(), clock, policy, Arc::clone(&self.key))
    }

    /// The visitor of the test.
    pub fn visitor(&self) -> Visitor {
        self.visitors.visitor(&*self.key)
    }

    /// The identity that a call returned.
    pub fn identity(&self, authorization: &Authorization) -> u64 {
        self.endpoint.identity(authorization).expect("a token of this endpoint")
    }

    /// Asks for an authorization and says whose it is.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn who(&self) -> Result<u64, Error> {
        Ok(self.identity(&self.visitor().authorization().await?))
    }

    /// Asks in a task of its own.
    pub fn ask(&self) -> JoinHandle<Result<u64, Error>> {
        let instance = self.clone();
        tokio::spawn(async move { instance.who().await })
    }

    /// Lets the present access token end, on all clocks.
    pub async fn expire(&self) {
        tokio::time::sleep(hours(5)).await;
    }

    /// Tokens of somebody who signed in elsewhere: valid for four hours.
    pub fn sign_in(&self, role: Role) -> (u64, Tokens) {
        let (identity, access, refresh) = self.endpoint.issue();
        let ends = self.now() + hours(4);
        (identity, Tokens::new(Some(AccessToken::new(access, ends)), Some(RefreshToken::new(refresh, role))))
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        use wix_visitor_core::Clock;
        self.clock.wall()
    }

    /// The refresh token that is held.
    pub async fn refresh_token(&self) -> Secret {
        self.visitor().tokens().await.expect("tokens").refresh.expect("a refresh token").value
    }
}

/// The client id of every suite.
pub fn client_id() -> ClientId {
    ClientId::new(CLIENT_ID).expect("a client id")
}

/// Hours.
pub const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// Seconds.
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The events that have come by now.
pub fn drain(events: &mut Events) -> Vec<EventKind> {
    std::iter::from_fn(|| events.try_recv()).map(|Event { kind, .. }| kind).collect()
}
