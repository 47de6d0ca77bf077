//! The renewal protocol: who may redeem a refresh token, and how its reply is never lost.
//!
//! Everything in here is a pure function of what it is given: no I/O, no clock, no chance. The driver
//! performs what is decided here, and tests and checkers run the very same functions.
//!
//! ```text
//!  1 load (or reuse the snapshot's etag)     fresh already? adopt it, done
//!  2 claim    swap: same tokens + a claim    conflict? look at the winner's record, go to 1
//!  3 send     the grant, under a deadline    that ends, with the save, before the lease does
//!  4 publish  the reply to this process      a failed save never takes a good token away
//!  5 commit   swap, from my claim's etag     conflict? reconcile
//! ```
//!
//! * [`schedule`] - when a token is due, and until when it is usable
//! * [`flight`] - the steps above, as a state machine
//! * [`outcome`] - what a reply, or a failure, makes of a record
//! * [`reconcile`] - which of two records counts
//! * [`intent`] - what *set tokens* and *forget* write
//! * [`admission`] - who of one process may ask the endpoint just now
//! * [`watch`] - how long other holders' claims and pauses have stood

use std::time::Duration;

use crate::clock::Now;

pub mod admission;
pub mod flight;
pub mod intent;
pub mod outcome;
pub mod reconcile;
pub mod schedule;
#[cfg(test)]
pub(crate) mod testing;
pub mod watch;

/// How much time has passed, on whichever clock saw more of it: the monotonic one may stand still while the machine sleeps,
/// the other may be set back.
pub fn elapsed(since: Now, now: Now) -> Duration {
    now.monotonic.saturating_sub(since.monotonic).max(now.wall.since(since.wall))
}
