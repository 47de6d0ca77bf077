//! A token endpoint without a network: issues, renews and refuses tokens as told, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use wix_visitor_core::{ClientId, Grant, GrantError, GrantFailure, GrantReply, Secret, TokenEndpoint};

/// What becomes of a refresh token that was redeemed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// The reply holds the same one.
    #[default]
    Same,
    /// The reply holds a new one; the old one stays good.
    New,
    /// The reply holds a new one; the old one is dead.
    Single,
    /// As `Single`, and redeeming a dead one kills the whole family.
    Strict,
    /// The reply holds none; the old one stays good.
    Omitted,
}

/// What happens to the next grant instead of, or after, its being carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Plan {
    /// It is carried out.
    Act,
    /// It fails without having acted.
    Fail(GrantError),
    /// It acts, and the answer is lost: the caller learns this instead.
    ActAndFail(GrantError),
    /// It acts, and answers this.
    Reply(GrantReply),
    /// It never answers.
    Hang,
}

/// An endpoint in memory. Clones are the same endpoint.
#[derive(Clone, Debug)]
pub struct FakeEndpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    issuer: String,
    state: Mutex<State>,
    arrived: Notify,
    opened: Notify,
}

#[derive(Debug)]
struct State {
    rotation: Rotation,
    expires_in: Option<Duration>,
    latency: Duration,
    plans: VecDeque<Plan>,
    standing: Option<Plan>,
    standing_renewal: Option<Plan>,
    closed: bool,
    waiting: usize,
    in_flight: usize,
    /// Refresh token to identity; dead ones stay, with `false`.
    refresh: HashMap<Secret, (u64, bool)>,
    access: HashMap<Secret, u64>,
    identities: u64,
    issued: u64,
    mints: usize,
    renewals: usize,
    redeemed: HashMap<Secret, usize>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            rotation: Rotation::Same,
            expires_in: Some(Duration::from_secs(14_400)),
            latency: Duration::ZERO,
            plans: VecDeque::new(),
            standing: None,
            standing_renewal: None,
            closed: false,
            waiting: 0,
            in_flight: 0,
            refresh: HashMap::new(),
            access: HashMap::new(),
            identities: 0,
            issued: 0,
            mints: 0,
            renewals: 0,
            redeemed: HashMap::new(),
        }
    }
}

impl FakeEndpoint {
    /// An endpoint of this rotation that issues tokens for four hours.
    pub fn new(rotation: Rotation) -> Self {
        let endpoint = Self::default();
        endpoint.state().rotation = rotation;
        endpoint
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An endpoint under this issuer's name.
    pub fn issued_by(issuer: &str) -> Self {
        let inner =
            Inner { issuer: issuer.to_owned(), state: Mutex::default(), arrived: Notify::new(), opened: Notify::new() };
        Self { inner: Arc::new(inner) }
    }

    /// For how long access tokens live from now on; `None`: the reply does not say.
    pub fn set_expires_in(&self, expires_in: Option<Duration>) {
        self.state().expires_in = expires_in;
    }

    /// How long every grant takes.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// What becomes of the next grant; plans queue up.
    pub fn plan(&self, plan: Plan) {
        self.state().plans.push_back(plan);
    }

    /// What becomes of every grant from now on for which nothing else is planned; `None`: it is carried out.
    pub fn plan_always(&self, plan: Option<Plan>) {
        self.state().standing = plan;
    }

    /// What becomes of every renewal from now on for which nothing else is planned; `None`: it is carried out.
    pub fn plan_renewals(&self, plan: Option<Plan>) {
        self.state().standing_renewal = plan;
    }

    /// Holds every grant before it acts, until [`open`](Self::open).
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// Lets held grants go on.
    pub fn open(&self) {
        self.state().closed = false;
        self.inner.opened.notify_waiters();
    }

    /// Returns once a grant is being held.
    pub async fn arrived(&self) {
        loop {
            let notified = self.inner.arrived.notified();
            if self.state().waiting > 0 {
                return;
            }
            notified.await;
        }
    }

    async fn pass(&self) {
        let mut waiting = None;
        loop {
            let opened = self.inner.opened.notified();
            if !self.state().closed {
                return;
            }
            if waiting.is_none() {
                waiting = Some(Waiting::new(&self.inner));
                self.inner.arrived.notify_waiters();
            }
            opened.await;
        }
    }

    /// How many anonymous grants acted.
    pub fn mints(&self) -> usize {
        self.state().mints
    }

    /// How many renewals acted.
    pub fn renewals(&self) -> usize {
        self.state().renewals
    }

    /// How many grants are under way: neither answered nor given up.
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// How many grants arrived, whatever became of them.
    pub fn grants(&self) -> usize {
        self.state().redeemed.values().sum()
    }

    /// The most often that one refresh token arrived.
    pub fn most_redeemed(&self) -> usize {
        let state = self.state();
        state.redeemed.iter().filter(|(token, _)| !token.is_empty()).map(|(_, count)| *count).max().unwrap_or(0)
    }

    /// The identity behind an access token that this endpoint issued.
    pub fn identity(&self, access: impl AsRef<[u8]>) -> Option<u64> {
        let access = std::str::from_utf8(access.as_ref()).ok()?.to_owned();
        self.state().access.get(access.as_str()).copied()
    }

    /// Whether a renewal with this refresh token would work.
    pub fn is_good(&self, refresh: &Secret) -> bool {
        self.state().refresh.get(refresh).is_some_and(|(_, good)| *good)
    }

    /// Makes every refresh token of this identity dead.
    pub fn revoke(&self, identity: u64) {
        self.state().refresh.values_mut().filter(|(owner, _)| *owner == identity).for_each(|(_, good)| *good = false);
    }

    /// Tokens of a new identity, without a grant: what a sign-in elsewhere would bring.
    pub fn issue(&self) -> (u64, Secret, Secret) {
        let mut state = self.state();
        state.identities += 1;
        let identity = state.identities;
        let (access, refresh) = (state.access_token(identity), state.refresh_token(identity));
        (identity, access, refresh)
    }
}

/// Counts a grant as under way no more.
struct InFlight<'a>(&'a Inner);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).in_flight -= 1;
    }
}

/// Counts a grant as held, until it goes on or its caller goes away.
struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn new(inner: &'a Inner) -> Self {
        inner.state.lock().unwrap_or_else(PoisonError::into_inner).waiting += 1;
        Self(inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }
}

impl State {
    fn fresh(&mut self, kind: &str, identity: u64) -> Secret {
        self.issued += 1;
        let text = crate::ledger::secret_key(&format!("{kind}-{identity}-{}", self.issued));
        Secret::new(text)
    }

    fn access_token(&mut self, identity: u64) -> Secret {
        let token = self.fresh("access", identity);
        self.access.insert(token.clone(), identity);
        token
    }

    fn refresh_token(&mut self, identity: u64) -> Secret {
        let token = self.fresh("refresh", identity);
        self.refresh.insert(token.clone(), (identity, true));
        token
    }

    fn act(&mut self, grant: &Grant) -> Result<GrantReply, GrantError> {
        let mut reply = GrantReply::default();
        reply.expires_in = self.expires_in;
        reply.request_id = Some(format!("fake-{}", self.issued));
        let Grant::Refresh(used) = grant else {
            self.mints += 1;
            self.identities += 1;
            let identity = self.identities;
            reply.access_token = Some(self.access_token(identity));
            reply.refresh_token = Some(self.refresh_token(identity));
            return Ok(reply);
        };
        let refused = Err(GrantError::new(GrantFailure::Refused, "invalid_grant").with_status(400));
        let Some(&(identity, good)) = self.refresh.get(used) else { return refused };
        if !good {
            if self.rotation == Rotation::Strict {
                self.refresh.values_mut().filter(|(owner, _)| *owner == identity).for_each(|(_, good)| *good = false);
            }
            return refused;
        }
        self.renewals += 1;
        reply.access_token = Some(self.access_token(identity));
        reply.refresh_token = match self.rotation {
            Rotation::Same => Some(used.clone()),
            Rotation::Omitted => None,
            Rotation::New => Some(self.refresh_token(identity)),
            Rotation::Single | Rotation::Strict => {
                self.refresh.insert(used.clone(), (identity, false));
                Some(self.refresh_token(identity))
            }
        };
        Ok(reply)
    }
}

impl Default for FakeEndpoint {
    fn default() -> Self {
        Self::issued_by("https://fake.test")
    }
}

#[async_trait]
impl TokenEndpoint for FakeEndpoint {
    fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    async fn grant(&self, _client_id: &ClientId, grant: &Grant, _timeout: Duration) -> Result<GrantReply, GrantError> {
        let (plan, latency) = {
            let mut state = self.state();
            let used = match grant {
                Grant::Refresh(token) => token.clone(),
                _ => Secret::new(""),
            };
            *state.redeemed.entry(used).or_default() += 1;
            state.in_flight += 1;
            let renewal = state.standing_renewal.clone().filter(|_| *grant != Grant::Anonymous);
            let plan = state.plans.pop_front().or(renewal).or_else(|| state.standing.clone()).unwrap_or(Plan::Act);
            (plan, state.latency)
        };
        let _in_flight = InFlight(&self.inner);
        self.pass().await;
        if latency > Duration::ZERO {
            tokio::time::sleep(latency).await;
        }
        match plan {
            Plan::Act => self.state().act(grant),
            Plan::Fail(error) => Err(error),
            Plan::ActAndFail(error) => {
                self.state().act(grant)?;
                Err(error)
            }
            Plan::Reply(reply) => {
                self.state().act(grant)?;
                Ok(reply)
            }
            Plan::Hang => std::future::pending().await,
        }
    }
}
