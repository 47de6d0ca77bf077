//! How long to wait before another look at a lock that is taken.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// 50 to 500 µs, unlike from one process to the next, so that they do not keep step.
#[derive(Debug)]
pub struct Pause(u64);

impl Default for Pause {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl Pause {
    /// The next one.
    pub fn draw(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros(50 + (self.0 >> 33) % 451)
    }
}
