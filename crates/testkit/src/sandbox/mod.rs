//! A sandbox Wix: a small HTTP server on loopback that does what is known of Wix's token endpoint and of a few of its APIs.
//!
//! ```
//! use wix_visitor_testkit::sandbox::{Fault, Sandbox, SandboxOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start(SandboxOptions::new().token_lifetime(60)).await?;
//! sandbox.fault(Fault::on_renew().status(503).retry_after(5));
//! // ... point a client at `sandbox.url()`, and then ask what it did:
//! assert_eq!(sandbox.mints(), 0);
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! What is documented or was observed is fixed; what is not known about Wix is a [switch](Switches). Answers that Wix's
//! documents do not tell, such as the code of an error in Wix's own shape, are inventions of the sandbox, and no client should
//! rest on them.
//!
//! A test steers a sandbox by its handle: [`set`](Sandbox::set) changes switches, [`advance`](Sandbox::advance) moves its
//! clock so that tokens expire without waiting, [`fault`](Sandbox::fault) plans failures, [`hold`](Sandbox::hold) keeps requests
//! at a point, and [`log`](Sandbox::log) and [`counters`](Sandbox::counters) tell what came in.
//!
//! The work on a request does not end when its client goes away, as at a real server: a renewal whose client timed out still
//! rotates the token, when its delay or its [`Gate`] lets it.
//!
//! Beside Wix's paths there are some of its own: `/_sandbox/echo` answers what it received, without credentials;
//! `/_sandbox/redirect?to=URL` (and `&status=307`) redirects anywhere; `/_sandbox/status/NNN` answers that status;
//! `/_sandbox/login?redirect_uri=URL&state=…` is a page where a member signs in, which leads back to a loopback URL with a `code` for
//! the grant `authorization_code`; `/_sandbox/faults` takes faults as text, one a line, by POST, shows them by GET, and clears them by DELETE.

mod act;
mod api;
mod asked;
mod cart;
mod catalog;
mod clock;
mod control;
mod error;
mod fault;
mod fault_text;
mod gate;
mod log;
mod login;
mod oauth;
mod options;
mod persist;
mod reply;
mod server;
mod state;
mod token;
mod tools;
mod wire;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    asked::{Authorization, Encoding, RequestKind},
    error::{SandboxError, SandboxErrorKind},
    fault::{Fault, On},
    fault_text::FaultTextError,
    gate::{Gate, Point},
    log::{Answers, Counters, LogEntry},
    options::{ClientIds, DeadToken, ErrorShape, ExpiresIn, RefreshField, Rotation, SandboxOptions, Switches},
    token::{IssuedTokens, fingerprint},
};
use self::{
    clock::Clock,
    persist::StateFile,
    server::{Kept, Shared},
    state::{State, Subject},
};

/// A running sandbox. Dropping it stops it.
pub struct Sandbox {
    shared: Arc<Shared>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("addr", &self.shared.addr)
            .field("switches", &self.shared.switches())
            .field("counters", &self.counters())
            .finish()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Sandbox {
    /// Starts a sandbox in tasks of the current runtime.
    ///
    /// # Errors
    ///
    /// When the address is not loopback or cannot be listened on, and when the state file is corrupt, a symbolic link, or cannot
    /// be read.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        if !options.listen.ip().is_loopback() {
            return Err(SandboxError::not_loopback(options.listen));
        }
        let kept = match options.state_file {
            None => Kept { state: State::default(), file: None },
            Some(path) => {
                let failed = path.clone();
                tokio::task::spawn_blocking(move || open(&path))
                    .await
                    .map_err(|error| SandboxError::file("read", &failed, std::io::Error::other(error)))??
            }
        };
        let listener =
            TcpListener::bind(options.listen).await.map_err(|error| SandboxError::listen(options.listen, error))?;
        let addr = listener.local_addr().map_err(|error| SandboxError::listen(options.listen, error))?;
        let shared = Arc::new(Shared {
            addr,
            switches: RwLock::new(options.switches),
            clock: Clock::default(),
            faults: fault::Faults::default(),
            gates: gate::Gates::default(),
            log: log::Log::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            has_file: kept.file.is_some(),
            kept: Mutex::new(kept),
        });
        shared.tasks.spawn(server::accept(Arc::clone(&shared), listener));
        Ok(Self { shared })
    }

    /// Starts a sandbox on a thread with a runtime of its own: for tests that pause, block or drop the runtime of the client.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start), and when the thread or its runtime cannot be made.
    pub fn start_on_thread(options: SandboxOptions) -> Result<Self, SandboxError> {
        // Made on the thread itself: inside another runtime none could be entered here.
        let (started, start) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("sandbox-wix".to_owned())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        // The caller waits for exactly one message.
                        let _ = started.send(Err(SandboxError::thread(error)));
                        return;
                    }
                };
                runtime.block_on(async {
                    let sandbox = Self::start(options).await;
                    let shared = sandbox.as_ref().ok().map(|it| Arc::clone(&it.shared));
                    let _ = started.send(sandbox);
                    if let Some(shared) = shared {
                        shared.stop.cancelled().await;
                        shared.tasks.close();
                        shared.tasks.wait().await;
                    }
                });
            })
            .map_err(SandboxError::thread)?;
        start.recv().map_err(|error| SandboxError::thread(std::io::Error::other(error)))?
    }

    /// Stops accepting, drops every connection and every request that is still held, and waits until all of that is over.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// The address listened on.
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Changes switches; requests that act from now on see them.
    pub fn set(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.shared.switches.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The switches as they are.
    pub fn switches(&self) -> Switches {
        self.shared.switches()
    }

    /// Moves the sandbox's clock forward.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Sets the sandbox's clock; it goes on from there.
    pub fn set_clock(&self, now: SystemTime) {
        self.shared.clock.set(now);
    }

    /// The time by the sandbox's clock.
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Plans a fault. Of several that match a request, the one planned first is used.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.plan(fault);
    }

    /// Drops all planned faults. What a request has already met stays.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Holds requests at a point, until the gate lets them go or is dropped.
    pub fn hold(&self, on: On, point: Point) -> Gate {
        self.shared.gates.hold(on, point)
    }

    /// Holds mints before they act.
    pub fn hold_mints(&self) -> Gate {
        self.hold(On::Mint, Point::BeforeActing)
    }

    /// Holds renewals before they act.
    pub fn hold_renewals(&self) -> Gate {
        self.hold(On::Renew, Point::BeforeActing)
    }

    /// The requests so far, in the order of their arrival; the last 100,000 of them.
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.log.entries()
    }

    /// The requests from now on, each as it is dealt with: for whoever shows them.
    pub fn answers(&self) -> Answers {
        self.shared.log.follow()
    }

    /// Empties the log. The counters go on.
    pub fn clear_log(&self) {
        self.shared.log.clear();
    }

    /// How often things happened since the start.
    pub fn counters(&self) -> Counters {
        self.shared.log.counters()
    }

    /// Visitors made.
    pub fn mints(&self) -> u64 {
        self.counters().mints
    }

    /// Renewals granted.
    pub fn renewals(&self) -> u64 {
        self.counters().renewals
    }

    /// Renewals refused.
    pub fn refusals(&self) -> u64 {
        self.counters().refusals
    }

    /// Presentations of a refresh token that a newer one had replaced: see [`Counters::redeemed_twice`].
    pub fn redeemed_twice(&self) -> u64 {
        self.counters().redeemed_twice
    }

    /// Requests that arrived at the token endpoint, whatever became of them.
    pub fn token_requests(&self) -> u64 {
        self.counters().token_requests
    }

    /// API calls that arrived, whatever became of them.
    pub fn api_calls(&self) -> u64 {
        self.counters().api_calls
    }

    /// Makes a visitor and its tokens without a request. Not counted as a mint.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read or written, as with every function below.
    pub fn visitor_tokens(&self, client_id: &str) -> Result<IssuedTokens, SandboxError> {
        self.issue(Subject::Visitor, client_id)
    }

    /// Makes a member of the site and tokens for it, as if somebody had signed in.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read or written.
    pub fn member_tokens(&self, client_id: &str) -> Result<IssuedTokens, SandboxError> {
        self.issue(Subject::Member, client_id)
    }

    /// Revokes a refresh token. `false` when there is no such token.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read or written.
    pub fn revoke_refresh(&self, token: &str) -> Result<bool, SandboxError> {
        self.shared.change(|state| state.revoke_refresh(token))
    }

    /// Revokes an access token. `false` when there is no such token.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read or written.
    pub fn revoke_access(&self, token: &str) -> Result<bool, SandboxError> {
        self.shared.change(|state| state.revoke_access(token))
    }

    /// Revokes every access token there is; the refresh tokens stay good.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read or written.
    pub fn revoke_all_access(&self) -> Result<(), SandboxError> {
        self.shared.change(State::revoke_all_access)
    }

    /// Revokes every token of an identity. `false` when there is no such identity.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read or written.
    pub fn revoke_visitor(&self, identity: &str) -> Result<bool, SandboxError> {
        self.shared.change(|state| state.revoke_identity(identity))
    }

    /// The identity that a token was issued to, access or refresh, good or not.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read.
    pub fn identity_of(&self, token: &str) -> Result<Option<String>, SandboxError> {
        self.shared.change(|state| state.owner(token))
    }

    /// Every identity ever made, visitors and members.
    ///
    /// # Errors
    ///
    /// When a state file cannot be read.
    pub fn identities(&self) -> Result<Vec<String>, SandboxError> {
        self.shared.change(|state| state.identities().cloned().collect())
    }

    fn issue(&self, subject: Subject, client_id: &str) -> Result<IssuedTokens, SandboxError> {
        let lifetimes = self.shared.switches().lifetimes();
        let now_ms = self.shared.clock.now_ms();
        self.shared.change(|state| {
            let identity = state.new_identity(subject, client_id);
            IssuedTokens {
                access: state.new_access(&identity, lifetimes, now_ms),
                refresh: state.new_refresh(&identity, lifetimes, now_ms),
                expires_in: lifetimes.access,
                identity,
            }
        })
    }
}

/// Opens a state file and reads it once, so that what is wrong with it is known at the start.
fn open(path: &std::path::Path) -> Result<Kept, SandboxError> {
    let mut file = StateFile::open(path)?;
    let mut state = State::default();
    file.change(&mut state, |_| ())?;
    Ok(Kept { state, file: Some(file) })
}
