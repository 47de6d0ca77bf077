//! What an instance runs on: time since it began, and chance from a seed.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use wix_visitor_core::Entropy;

use crate::chance::mix;

/// Milliseconds since an instance began, on tokio's clock.
pub(crate) fn millis_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
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
