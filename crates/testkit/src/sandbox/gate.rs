//! Holding requests where a test wants them, without any sleep.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use super::{On, asked::Asked};

/// Where a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// Before it has any effect.
    BeforeActing,
    /// After its effect, before its answer.
    AfterActing,
}

/// Holds the requests it is for, until it lets them go or is dropped.
///
/// A request is held whether its client still waits or not: one that a client gave up before acting acts when it is let go,
/// as a late request at a real server would.
#[must_use = "a gate that is dropped holds nothing"]
pub struct Gate {
    bar: Arc<Bar>,
}

struct Bar {
    on: On,
    point: Point,
    arrived: watch::Sender<u64>,
    /// So many of the arrived may go on, in the order of their arrival.
    released: watch::Sender<u64>,
}

impl Gate {
    /// Waits until a request has arrived here.
    pub async fn arrived(&self) {
        self.arrived_times(1).await;
    }

    /// Waits until so many requests have arrived here, counted from the making of the gate.
    pub async fn arrived_times(&self, times: u64) {
        // The sender lives in `self`, so the wait cannot end for its sake.
        let _ = self.bar.arrived.subscribe().wait_for(|arrived| *arrived >= times).await;
    }

    /// How many requests have arrived here since the gate was made.
    pub fn arrivals(&self) -> u64 {
        *self.bar.arrived.borrow()
    }

    /// Lets one request go on: the longest held, or else the next to arrive.
    pub fn release_one(&self) {
        self.bar.released.send_modify(|released| *released = released.saturating_add(1));
    }

    /// Lets every request go on, those to come too.
    pub fn release(&self) {
        self.bar.released.send_replace(u64::MAX);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("on", &self.bar.on)
            .field("point", &self.bar.point)
            .field("arrivals", &self.arrivals())
            .finish()
    }
}

impl Bar {
    fn is_open(&self) -> bool {
        *self.released.borrow() == u64::MAX
    }

    async fn pass(&self) {
        let mut ticket = 0;
        self.arrived.send_modify(|arrived| {
            *arrived += 1;
            ticket = *arrived;
        });
        // As in `arrived_times`: the sender cannot go away.
        let _ = self.released.subscribe().wait_for(|released| *released >= ticket).await;
    }
}

/// The gates that are not open yet.
#[derive(Default)]
pub(super) struct Gates {
    bars: Mutex<Vec<Arc<Bar>>>,
}

impl Gates {
    pub(super) fn hold(&self, on: On, point: Point) -> Gate {
        let bar = Arc::new(Bar { on, point, arrived: watch::Sender::new(0), released: watch::Sender::new(0) });
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&bar));
        Gate { bar }
    }

    pub(super) async fn pass(&self, asked: &Asked, point: Point) {
        let bars: Vec<Arc<Bar>> = {
            let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
            bars.retain(|bar| !bar.is_open());
            bars.iter().filter(|bar| bar.point == point && bar.on.matches(asked)).cloned().collect()
        };
        for bar in bars {
            bar.pass().await;
        }
    }
}
