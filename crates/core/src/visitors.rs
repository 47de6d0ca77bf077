//! The visitors of one site.

use std::sync::Arc;

use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy, Timestamp};
use crate::driver::{Driver, Setup, runtime};
use crate::endpoint::TokenEndpoint;
use crate::error::{Error, ErrorKind};
use crate::events::Events;
use crate::health::Health;
use crate::key::ClientId;
use crate::last::Last;
use crate::policy::Policy;
use crate::snapshots::Snapshots;
use crate::store::TokenStore;
use crate::visitor::Visitor;

/// The bytes of snapshots that are kept, unless said otherwise.
const SNAPSHOT_BYTES: usize = 256 << 20;

/// The visitors of one site: one client id, one endpoint, one store. Cheap to clone; clones share everything.
///
/// Two sites in one process or on one store never see each other's visitors.
#[derive(Clone, Debug)]
pub struct Visitors {
    driver: Arc<Driver>,
    /// Only for what happens when it is dropped.
    _last: Arc<Last>,
}

impl Visitors {
    /// Starts to set up a site.
    pub fn builder(client_id: ClientId, endpoint: impl TokenEndpoint, store: impl TokenStore) -> VisitorsBuilder {
        VisitorsBuilder {
            client_id,
            endpoint: Arc::new(endpoint),
            store: Arc::new(store),
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy),
            policy: Policy::default(),
            snapshot_bytes: SNAPSHOT_BYTES,
        }
    }

    /// The visitor with this key, which need not exist yet: nothing is read, written or sent by asking for it.
    ///
    /// The key is the application's own name for one visitor: a session id on a server, `"default"` on a desktop.
    pub fn visitor(&self, key: impl AsRef<str>) -> Visitor {
        let driver = &self.driver;
        let entry = driver.snapshots.of(driver.keys.hash(key.as_ref()));
        Visitor::new(Arc::clone(driver), entry)
    }

    /// What happens to this site's visitors, from now on.
    pub fn events(&self) -> Events {
        Events(self.driver.events.subscribe())
    }

    /// The site's client id.
    pub fn client_id(&self) -> &ClientId {
        &self.driver.client_id
    }

    /// Who issues the tokens.
    pub fn issuer(&self) -> &str {
        self.driver.endpoint.issuer()
    }

    /// The time, by this site's clock.
    pub fn now(&self) -> Timestamp {
        self.driver.clock.wall()
    }

    /// The numbers of the flow.
    pub fn policy(&self) -> &Policy {
        &self.driver.policy
    }

    /// How this instance is: for readiness checks and dashboards. Asks the store for a record that nobody has, and within a second
    /// once, however many ask; answers within the policy's `save`.
    ///
    /// [`Health::is_ready`] says whether to send shoppers here.
    pub async fn health(&self) -> Health {
        self.driver.health().await
    }

    /// Ends in good order: no new grant is sent, grants under way are waited for and saved, claims not yet used are given
    /// back. Call it before `main` returns. Usable tokens are served from memory even afterwards.
    ///
    /// Without it, the last handle that is dropped in the `main` of a multi-threaded runtime waits likewise; anywhere else, what is
    /// under way then may be lost with its runtime, and with it a token that can be redeemed only once. A handle on a visitor is none on
    /// the site: keep one of the site as long as its visitors are to be renewed.
    ///
    /// Waits for at most a lease, a save and a second. What could not be saved until then is reported as an error; a later call tries
    /// again.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if tokens are not in the store yet, which would be lost with this process;
    /// [`ErrorKind::NoRuntime`] outside of a tokio runtime.
    pub async fn shutdown(&self) -> Result<(), Error> {
        runtime()?;
        let finished = self.driver.finish().await;
        let unsaved = self.driver.snapshots.unsaved();
        if unsaved > 0 {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "the tokens of {unsaved} visitors are not in the store yet: keep this process and call shutdown again"
                ),
            ));
        }
        if !finished {
            return Err(Error::new(ErrorKind::Unavailable, "a grant is still under way: call shutdown again"));
        }
        Ok(())
    }
}

/// Sets up a site.
#[derive(Debug)]
#[must_use]
pub struct VisitorsBuilder {
    client_id: ClientId,
    endpoint: Arc<dyn TokenEndpoint>,
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    policy: Policy,
    snapshot_bytes: usize,
}

impl VisitorsBuilder {
    /// The numbers of the flow, in place of [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock, in place of the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The source of random numbers, in place of the operating system's. They must be unguessable outside of tests.
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// How many bytes of visitors are kept in memory; 256 MiB unless said otherwise, which are some 120,000 visitors. One that is in
    /// use, or not in the store yet, is kept beyond that.
    pub fn snapshot_bytes(mut self, bytes: usize) -> Self {
        self.snapshot_bytes = bytes;
        self
    }

    /// The site. Sends nothing, reads nothing, starts no task.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the policy cannot work, naming the rule.
    pub fn build(self) -> Result<Visitors, Error> {
        self.policy.check()?;
        let driver = Driver::new(Setup {
            client_id: self.client_id,
            endpoint: self.endpoint,
            store: self.store,
            clock: self.clock,
            entropy: self.entropy,
            policy: Arc::new(self.policy),
            snapshots: Snapshots::new(self.snapshot_bytes),
        });
        let driver = Arc::new(driver);
        Ok(Visitors { _last: Arc::new(Last::new(Arc::clone(&driver))), driver })
    }
}
