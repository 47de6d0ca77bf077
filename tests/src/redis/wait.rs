//! Waiting for a server's state, which no event tells.

use std::time::{Duration, Instant};

/// How often a state is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// Waits until it holds.
///
/// # Panics
/// When it does not within half a minute, naming what was waited for.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        tokio::time::sleep(EVERY).await;
    }
}
