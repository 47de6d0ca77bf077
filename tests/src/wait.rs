//! Waiting for a state that no event tells.

use std::time::{Duration, Instant};

/// How long is waited at most.
const LONGEST: Duration = Duration::from_secs(30);
/// How often a state is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// What is left of half a minute.
#[derive(Debug)]
pub struct Patience(Instant);

impl Default for Patience {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Patience {
    /// Waits a moment; false once there is none left.
    pub async fn lasts(&self) -> bool {
        tokio::time::sleep(EVERY).await;
        self.0.elapsed() < LONGEST
    }
}

/// Waits until it holds.
///
/// # Panics
/// When it does not within half a minute, naming what was waited for.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Patience::default();
    while !holds() {
        assert!(patience.lasts().await, "waited in vain: {what}");
    }
}

/// As [`until`], for what has to be asked for.
///
/// # Panics
/// When it does not hold within half a minute, naming what was waited for.
pub async fn until_it(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = Patience::default();
    while !holds().await {
        assert!(patience.lasts().await, "waited in vain: {what}");
    }
}
