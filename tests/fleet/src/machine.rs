//! What an instance runs on: a clock that leaps, and chance from a seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wix_visitor_core::{Clock, Entropy, Timestamp, async_trait};

use crate::chance::mix;

/// 2026-01-01.
const BEGIN: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Tokio's clock, which is paused; the wall clock agrees with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeapingClock {
    pub(crate) start: Instant,
}

impl LeapingClock {
    /// Milliseconds since the start.
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl Clock for LeapingClock {
    fn wall(&self) -> Timestamp {
        BEGIN + self.start.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The same numbers again from the same seed.
#[derive(Debug)]
pub(crate) struct SeededEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn draw(&self) -> u128 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        u128::from(mix(&[self.seed, count, 1])) << 64 | u128::from(mix(&[self.seed, count, 2]))
    }
}
