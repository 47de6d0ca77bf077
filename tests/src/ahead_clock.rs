//! The machine's clocks, the wall clock set ahead: tokens end without anybody waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wix_visitor_core::{Clock, SystemClock, Timestamp, async_trait};

/// The machine's clocks, with the wall clock ahead by as much as was asked for. Clones are the same clock.
///
/// The monotonic side is the machine's own, so leases take their real time.
#[derive(Clone, Debug, Default)]
pub struct AheadClock {
    machine: SystemClock,
    ahead: Arc<AtomicU64>,
}

impl AheadClock {
    /// Sets the wall clock further ahead, in whole seconds.
    pub fn advance(&self, by: Duration) {
        self.ahead.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for AheadClock {
    fn wall(&self) -> Timestamp {
        self.machine.wall() + Duration::from_secs(self.ahead.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.machine.sleep(duration).await;
    }
}
