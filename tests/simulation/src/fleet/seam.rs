//! What an instance sees of store and endpoint: the network between, and all that may happen on the way.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use wix_visitor_core::{
    ClientId, Clock as _, Etag, Exchange, Grant, GrantError, GrantFailure, GrantReply, StoreError, StoreErrorKind,
    StoreKey, Stored, TokenEndpoint, TokenStore, async_trait,
};

use crate::fleet::machine::Machine;
use crate::plan::Millis;
use crate::plan::fault::Fault;
use crate::plan::flaw::Flaw;
use crate::world::{ISSUER, Op, Ordeal, World};

/// One instance's way to store and endpoint.
#[derive(Clone)]
pub struct Seam {
    world: Arc<World>,
    machine: Arc<Machine>,
}

impl fmt::Debug for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seam").field("node", &self.machine.node).finish_non_exhaustive()
    }
}

async fn pass(millis: Millis) {
    sleep(Duration::from_millis(millis)).await;
}

fn store_error(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "simulated", "a fault")
}

fn grant_error(failure: GrantFailure) -> GrantError {
    GrantError::new(failure, "a fault")
}

impl Seam {
    /// The way of this instance.
    pub fn new(world: &Arc<World>, machine: &Arc<Machine>) -> Self {
        Self { world: Arc::clone(world), machine: Arc::clone(machine) }
    }

    /// Crash, pause and sleep, on this side of the operation or on that.
    fn suffer(&self, ordeal: &Ordeal, after: bool) {
        if let Some(strike) = ordeal.strike.filter(|strike| strike.after == after && strike.fault.is_of_instance()) {
            self.world.strike_instance(&self.machine, strike.fault, strike.span);
        }
    }

    /// An answer is on its way back: it travels on whether or not anybody is awake to hear it.
    async fn back(&self, ordeal: &Ordeal, distance: Millis) {
        self.suffer(ordeal, true);
        pass(distance).await;
        self.machine.awake().await;
    }

    /// A fault that is the network's or the store's, if there is one: noted as having struck.
    fn fault(&self, ordeal: &Ordeal, visitor: Option<usize>) -> Option<(Fault, Millis)> {
        let strike = ordeal.strike.filter(|strike| !strike.fault.is_of_instance())?;
        if !strike.fault.is_failover() {
            self.world.injected(strike.fault, visitor);
            if strike.fault.is_costly() {
                self.world.follow_up(visitor);
            }
        }
        Some((strike.fault, strike.span))
    }

    /// How long the way to the store is.
    fn distance(ordeal: &mut Ordeal, fault: Option<Fault>) -> Millis {
        if fault == Some(Fault::StoreSlow) { ordeal.chance.between(200, 4_000) } else { ordeal.chance.between(0, 8) }
    }

    /// Whether the store cannot be reached: an error, or no answer at all.
    async fn unreachable(&self, ordeal: &mut Ordeal) -> Option<StoreError> {
        if !self.world.is_cut_off(self.machine.node) {
            return None;
        }
        if ordeal.chance.percent(30) {
            pending::<()>().await;
        }
        pass(ordeal.chance.between(0, 50)).await;
        self.machine.awake().await;
        Some(store_error(StoreErrorKind::Unavailable))
    }

    /// The answer to a write is missing: at once, or for ever.
    async fn unknown(&self, ordeal: &mut Ordeal) -> StoreError {
        if ordeal.chance.percent(50) {
            pending::<()>().await;
        }
        pass(ordeal.chance.between(0, 500)).await;
        self.machine.awake().await;
        store_error(StoreErrorKind::Unknown)
    }

    /// The answer to a grant is missing: soon, or after all the time there is.
    async fn silence(&self, ordeal: &mut Ordeal, timeout: Duration) -> GrantError {
        let soon = Duration::from_millis(ordeal.chance.between(50, 3_000));
        sleep(if ordeal.chance.percent(50) { timeout } else { soon.min(timeout) }).await;
        self.machine.awake().await;
        grant_error(GrantFailure::Unknown)
    }

    async fn failing(&self, ordeal: &mut Ordeal, error: GrantError) -> GrantError {
        self.world.state().issuer.asked.failed += 1;
        pass(ordeal.chance.between(20, 400)).await;
        self.machine.awake().await;
        error
    }

    async fn granted(&self, grant: &Grant, timeout: Duration) -> Result<GrantReply, GrantError> {
        let visitor = self.world.working_for();
        let mut ordeal = self.world.begin(visitor.unwrap_or(usize::MAX), Op::Grant, &self.machine);
        let called = self.machine.monotonic();
        self.suffer(&ordeal, false);
        self.machine.awake().await;
        if self.machine.monotonic() >= called + timeout {
            // As any HTTP client: nothing is sent once the time for it is over.
            return Err(grant_error(GrantFailure::Unknown));
        }
        let (until, how) = self.world.state().endpoint_down;
        if until > self.world.now() {
            return Err(match how % 3 {
                0 => self.failing(&mut ordeal, grant_error(GrantFailure::Transient).with_status(503)).await,
                1 => {
                    let after = Some(Duration::from_millis(until - self.world.now()));
                    let error = grant_error(GrantFailure::Transient).with_status(429).with_retry_after(after);
                    self.failing(&mut ordeal, error).await
                }
                _ => {
                    self.world.state().issuer.asked.failed += 1;
                    self.silence(&mut ordeal, timeout).await
                }
            });
        }
        let fault = self.fault(&ordeal, visitor);
        match fault {
            Some((Fault::Transient, _)) => {
                return Err(self.failing(&mut ordeal, grant_error(GrantFailure::Transient).with_status(502)).await);
            }
            Some((Fault::Throttled, span)) => {
                let after = Some(Duration::from_millis(span));
                let error = grant_error(GrantFailure::Transient).with_status(429).with_retry_after(after);
                return Err(self.failing(&mut ordeal, error).await);
            }
            Some((Fault::Doubtful, _)) => {
                return Err(self.failing(&mut ordeal, grant_error(GrantFailure::Doubtful).with_status(400)).await);
            }
            Some((Fault::Misconfigured, _)) => {
                return Err(self.failing(&mut ordeal, grant_error(GrantFailure::Misconfigured).with_status(400)).await);
            }
            Some((Fault::RequestLost, _)) => {
                self.world.state().issuer.asked.failed += 1;
                return Err(self.silence(&mut ordeal, timeout).await);
            }
            Some((Fault::ReplyLost, _)) => {
                pass(ordeal.chance.between(10, 300)).await;
                self.world.act(visitor, grant);
                if ordeal.chance.percent(30) {
                    return Err(self.failing(&mut ordeal, grant_error(GrantFailure::Transient).with_status(502)).await);
                }
                return Err(self.silence(&mut ordeal, timeout).await);
            }
            Some((Fault::Late, span)) => {
                let (world, grant) = (Arc::clone(&self.world), grant.clone());
                tokio::spawn(async move {
                    pass(span).await;
                    world.act(visitor, &grant);
                });
                return Err(self.silence(&mut ordeal, timeout).await);
            }
            _ => {}
        }
        pass(ordeal.chance.between(10, 300)).await;
        let reply = self.world.act(visitor, grant);
        let distance = ordeal.chance.between(10, 300);
        self.back(&ordeal, distance).await;
        reply.ok_or_else(|| grant_error(GrantFailure::Refused).with_status(400))
    }
}

#[async_trait]
impl TokenStore for Seam {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let visitor = self.world.visitor(key);
        let mut ordeal = self.world.begin(visitor, Op::Load, &self.machine);
        self.suffer(&ordeal, false);
        self.machine.awake().await;
        if let Some(error) = self.unreachable(&mut ordeal).await {
            return Err(error);
        }
        let fault = self.fault(&ordeal, Some(visitor)).map(|(fault, _)| fault);
        let (there, back) = (Self::distance(&mut ordeal, fault), Self::distance(&mut ordeal, None));
        pass(there).await;
        if fault == Some(Fault::StoreDown) {
            self.machine.awake().await;
            return Err(store_error(StoreErrorKind::Unavailable));
        }
        let stored = self.world.load(visitor);
        self.back(&ordeal, back).await;
        Ok(stored)
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        _keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let visitor = self.world.visitor(key);
        let mut ordeal = self.world.begin(visitor, Op::Write, &self.machine);
        self.suffer(&ordeal, false);
        self.machine.awake().await;
        if let Some(error) = self.unreachable(&mut ordeal).await {
            if self.world.plan.flaw == Some(Flaw::FalseSuccess) {
                return Ok(Exchange::Swapped);
            }
            return Err(error);
        }
        let fault = self.fault(&ordeal, Some(visitor));
        let kind = fault.map(|(fault, _)| fault);
        let (there, back) = (Self::distance(&mut ordeal, kind), Self::distance(&mut ordeal, None));
        pass(there).await;
        match fault {
            Some((Fault::StoreDown, _)) => {
                self.machine.awake().await;
                if self.world.plan.flaw == Some(Flaw::FalseSuccess) {
                    return Ok(Exchange::Swapped);
                }
                return Err(store_error(StoreErrorKind::Unavailable));
            }
            Some((Fault::StoreLost, _)) => return Err(self.unknown(&mut ordeal).await),
            Some((Fault::StoreLate, span)) => {
                let (world, expected, new) = (Arc::clone(&self.world), expected.copied(), new.clone());
                tokio::spawn(async move {
                    pass(span).await;
                    world.exchange(visitor, expected.as_ref(), &new);
                });
                return Err(self.unknown(&mut ordeal).await);
            }
            _ => {}
        }
        let exchange = self.world.exchange(visitor, expected, new);
        match fault {
            Some((Fault::StoreUnknown, _)) => return Err(self.unknown(&mut ordeal).await),
            Some((fault, _)) if fault.is_failover() => self.world.fail_over(visitor, fault),
            _ => {}
        }
        self.back(&ordeal, back).await;
        Ok(exchange)
    }

    async fn reserve(&self, key: &StoreKey, _bytes: usize) -> Result<(), StoreError> {
        let visitor = self.world.visitor(key);
        let ordeal = self.world.begin(visitor, Op::Reserve, &self.machine);
        match self.fault(&ordeal, Some(visitor)) {
            Some(_) => Err(store_error(StoreErrorKind::Unavailable)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl TokenEndpoint for Seam {
    fn issuer(&self) -> &str {
        ISSUER
    }

    async fn grant(&self, _: &ClientId, grant: &Grant, timeout: Duration) -> Result<GrantReply, GrantError> {
        match self.granted(grant, timeout).await {
            Err(error) if self.world.plan.flaw == Some(Flaw::MintOnError) && error.failure != GrantFailure::Unknown => {
                Err(grant_error(GrantFailure::Refused))
            }
            answer => answer,
        }
    }
}
