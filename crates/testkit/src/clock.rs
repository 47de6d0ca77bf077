//! A clock that tests move: tokio's, which can be paused, under a wall clock that can jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use wix_visitor_core::{Clock, Timestamp};

/// Follows tokio's clock, so that `#[tokio::test(start_paused = true)]` and `tokio::time::advance` drive the flow; the wall
/// clock can be set at will. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct TestClock {
    start: Instant,
    wall: Arc<AtomicI64>,
}

impl TestClock {
    /// A clock whose wall shows this moment now. To be called within a tokio runtime.
    pub fn new(wall: Timestamp) -> Self {
        Self { start: Instant::now(), wall: Arc::new(AtomicI64::new(wall.as_millis())) }
    }

    /// Sets the wall clock forward, as an administrator, a time server or a machine that slept would.
    pub fn jump(&self, by: Duration) {
        self.change(|wall| wall + by);
    }

    /// Sets the wall clock back.
    pub fn jump_back(&self, by: Duration) {
        self.change(|wall| wall - by);
    }

    /// Sets the wall clock to this moment.
    pub fn set(&self, wall: Timestamp) {
        let passed = self.start.elapsed();
        self.change(|_| wall - passed);
    }

    /// Up to the ends of time.
    fn change(&self, change: impl Fn(Timestamp) -> Timestamp) {
        let changed = |wall| Some(change(Timestamp::from_millis(wall)).as_millis());
        // The closure always gives a value, so the update cannot fail.
        let _ = self.wall.fetch_update(Ordering::SeqCst, Ordering::SeqCst, changed);
    }
}

impl Default for TestClock {
    /// Starts on 2026-01-01.
    fn default() -> Self {
        Self::new(Timestamp::from_secs(1_767_225_600))
    }
}

#[async_trait]
impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst)) + self.start.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
