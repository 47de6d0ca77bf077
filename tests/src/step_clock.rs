//! A clock that goes when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wix_visitor_core::{Clock, Timestamp, async_trait};

/// Stands still until [`pass`](Self::pass), or somebody sleeps on it. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct StepClock(Arc<AtomicU64>);

impl StepClock {
    /// When it begins.
    pub const BEGIN: Timestamp = Timestamp::from_secs(1_767_225_600);

    /// Goes on by this much, on both sides, in whole milliseconds.
    pub fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for StepClock {
    fn wall(&self) -> Timestamp {
        Self::BEGIN + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Whoever sleeps makes it go on.
    async fn sleep(&self, time: Duration) {
        self.pass(time);
        tokio::task::yield_now().await;
    }
}
