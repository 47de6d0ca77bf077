//! Swaps that count only when replicas have them.
//!
//! `WAIT` speaks of the writes of its own connection, and holds up whoever is behind it. So such a swap has a connection to itself
//! while it is under way, one of a few.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use wix_visitor_core::{StoreError, StoreErrorKind};

use crate::error::{Failure, Next, unavailable};
use crate::link::{Link, Live};

/// How many swaps may wait for replicas at once.
const CONNECTIONS: usize = 8;

pub(crate) struct Replicas {
    wanted: u32,
    within: Duration,
    free: Mutex<Vec<Link>>,
    places: Semaphore,
}

impl Replicas {
    pub(crate) fn new(wanted: u32, within: Duration, link: impl Fn() -> Link) -> Self {
        let free = Mutex::new((0..CONNECTIONS).map(|_| link()).collect());
        Self { wanted, within, free, places: Semaphore::new(CONNECTIONS) }
    }

    /// A connection for one swap.
    pub(crate) async fn take(&self, until: Instant) -> Result<Lane<'_>, StoreError> {
        let place = timeout_at(until, self.places.acquire()).await;
        let link = || self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match place {
            Ok(Ok(place)) => {
                link().map(|link| Lane { replicas: self, link, in_use: None, _place: place }).ok_or_else(too_many)
            }
            _ => Err(too_many()),
        }
    }
}

fn too_many() -> StoreError {
    unavailable(format!("{CONNECTIONS} swaps at once wait for replicas, and none was done within the timeout"))
}

/// One of the connections, and the swap on it.
pub(crate) struct Lane<'a> {
    replicas: &'a Replicas,
    pub(crate) link: Link,
    /// The connection on which a `WAIT` may be under way.
    in_use: Option<Live>,
    _place: SemaphorePermit<'a>,
}

impl Lane<'_> {
    /// From now on the connection is of use to nobody else, until [`done`](Self::done).
    pub(crate) fn begin(&mut self, live: &Live) {
        self.in_use = Some(live.clone());
    }

    pub(crate) fn done(&mut self) {
        self.in_use = None;
    }

    /// Waits until enough replicas have all that was written on this connection.
    pub(crate) async fn wait(&self, live: &Live, until: Instant) -> Result<(), Failure> {
        let Replicas { wanted, within, .. } = *self.replicas;
        // A little less than there is, so that the answer still comes in time; 0 would be without an end.
        let left = until.saturating_duration_since(Instant::now()).mul_f32(0.9);
        let millis = within.min(left).as_millis().max(1);
        let mut command = redis::cmd("WAIT");
        command.arg(wanted).arg(millis.to_string());
        match timeout_at(until, live.wire.ask(&command)).await {
            Ok(Ok(Value::Int(have))) if have >= i64::from(wanted) => Ok(()),
            Ok(Ok(Value::Int(have))) => {
                let message = format!(
                    "the write stands on the primary, but only {have} of {wanted} replicas had it within {millis} ms: \
                     repeating it is safe"
                );
                Err(Failure::new(StoreErrorKind::Unknown, message, true, Next::GiveUp))
            }
            Ok(Ok(_)) => Err(Failure::nonsense()),
            Ok(Err(e)) => Err(Failure::from(e).after_write()),
            Err(_) => Err(Failure::silence()),
        }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.in_use.take() {
            // Its caller went away: whoever came next would wait behind what he asked.
            self.link.spoil(&live);
        }
        self.replicas.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.link.clone());
    }
}
