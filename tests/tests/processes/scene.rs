//! A sandbox, a store and a visitor key, for processes to share.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use wix_visitor::{HttpOptions, Site};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Rotation, Sandbox, SandboxOptions};
use wix_visitor_tests::ahead_clock::AheadClock;
use wix_visitor_tests::instance::CLIENT_ID;
use wix_visitor_tests::{sealing, trace};

use crate::child::{Called, Pace, VisitorProcess};
use crate::place::{Kind, Place};

/// A renewal that presents a token which was redeemed already is fine, but not for ever.
pub(crate) const GRACE: Rotation = Rotation::Grace(Duration::from_secs(60));

/// What a token's life is over after.
pub(crate) const LATER: Duration = Duration::from_secs(5 * 3600);

pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    pub(crate) directory: TempDir,
    pub(crate) key: String,
    place: Place,
    pace: Pace,
    ahead: Duration,
}

impl Scene {
    pub(crate) async fn new(kind: Kind, rotation: Rotation, pace: Pace) -> Self {
        trace::to_stderr();
        Self {
            sandbox: Sandbox::start_on_thread(SandboxOptions::new().rotation(rotation)).unwrap(),
            directory: tempfile::tempdir().unwrap(),
            key: secret_key("process"),
            place: Place::new(kind).await,
            pace,
            ahead: Duration::ZERO,
        }
    }

    /// Where SQLite keeps it.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("visitors.db")
    }

    /// What a process opens the store by.
    pub(crate) fn store_url(&self) -> String {
        self.place.url(&self.directory, self.pace.store_ms())
    }

    pub(crate) async fn start(&self) -> VisitorProcess {
        VisitorProcess::start(&self.sandbox, &self.store_url(), &self.key, self.pace, self.ahead).await
    }

    pub(crate) async fn start_many(&self, count: usize) -> Vec<VisitorProcess> {
        let mut processes = Vec::with_capacity(count);
        for _ in 0..count {
            processes.push(self.start().await);
        }
        processes
    }

    /// Lets all access tokens end: at the sandbox, and for processes that are started from now on.
    pub(crate) fn expire(&mut self) {
        self.sandbox.advance(LATER);
        self.ahead += LATER;
    }

    /// A process comes, mints the visitor, fills its cart and goes; then the token's life ends. Returns whose the visitor is
    /// and its cart.
    pub(crate) async fn expired_visitor(&mut self) -> (String, String) {
        let mut process = self.start().await;
        let identity = self.identity(&process.call(1).await);
        let cart = process.add_to_cart().await;
        process.end().await;
        self.expire();
        (identity, cart)
    }

    /// Whom the token that all were served was issued to.
    pub(crate) fn identity(&self, called: &Called) -> String {
        self.identity_of(called.token())
    }

    /// Whom the token with this fingerprint was issued to.
    pub(crate) fn identity_of(&self, fingerprint: &str) -> String {
        let log = self.sandbox.log();
        let entry = log.iter().find(|entry| entry.issued_access.as_deref() == Some(fingerprint));
        entry.and_then(|entry| entry.identity.clone()).expect("a token of this sandbox")
    }

    /// The same site in this process, with a clock that tests set ahead.
    pub(crate) async fn site(&self) -> (Site, AheadClock) {
        let clock = AheadClock::default();
        clock.advance(self.ahead);
        let site = wix_visitor::builder(CLIENT_ID)
            .store(sealing::as_asked(wix_visitor::open_store(&self.store_url()).await.unwrap()))
            .http(HttpOptions::new().base_url(self.sandbox.url()))
            .policy(self.pace.policy())
            .clock(clock.clone())
            .connect()
            .await
            .unwrap();
        (site, clock)
    }
}
