//! The least that serving a valid token can cost.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;
use wix_visitor_core::{Clock, SystemClock, Timestamp};

/// A token behind an atomic pointer, and a clock to tell whether it is still valid.
#[derive(Debug)]
pub struct Floor {
    token: ArcSwap<Token>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    usable_until: Timestamp,
}

impl Floor {
    /// Serves this header.
    pub fn new(header: HeaderValue) -> Self {
        let token = Token { header, usable_until: Timestamp::from_millis(i64::MAX) };
        Self { token: ArcSwap::from_pointee(token), clock: Arc::new(SystemClock::default()) }
    }

    /// The header, if the token is valid: one atomic load of a pointer, one reading of the clock, one clone of the header.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let token = self.token.load();
        (self.clock.wall() < token.usable_until).then(|| token.header.clone())
    }
}
