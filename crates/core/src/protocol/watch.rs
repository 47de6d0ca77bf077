//! Other holders' claims and pauses, measured on this process's own monotonic clock.

use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::record::Nonce;

/// How far apart the clocks of machines in good order may be.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// What one process has watched of others, across flights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watch {
    pub(super) claim: Option<(Nonce, Duration)>,
    trouble: Option<(Timestamp, Duration)>,
    /// When the pause after this process's own last failure is over, on both of its clocks.
    rested: Option<(Timestamp, Duration)>,
}

impl Watch {
    /// Since when, on the monotonic clock, this nonce has been standing there.
    pub(super) fn claim(&mut self, nonce: Nonce, now: Duration) -> Duration {
        match self.claim {
            Some((watched, since)) if watched == nonce => since,
            _ => self.claim.insert((nonce, now)).1,
        }
    }

    /// How much is left of a pause. Whoever wrote it may have another clock, so it never lasts longer than the pause itself
    /// from the moment it was first seen; and one that lies too far ahead to be true says nothing, lest processes too short-lived
    /// to watch it wait for a clock that was wrong. The pause after a failure of one's own is kept whatever the record says, until
    /// either clock says that it is over: the one may have been set, the other stands still while the machine sleeps.
    pub(super) fn pause(&mut self, until: Timestamp, pause: Duration, now: Now) -> Duration {
        let ahead = until.since(now.wall);
        let watched = match self.trouble {
            Some((watched, since)) if watched == until => now.monotonic.saturating_sub(since),
            _ if ahead > pause.saturating_add(CLOCKS_APART) => pause,
            _ => {
                self.trouble = Some((until, now.monotonic));
                Duration::ZERO
            }
        };
        let resting =
            self.rested.map(|(wall, monotonic)| wall.since(now.wall).min(monotonic.saturating_sub(now.monotonic)));
        ahead.min(pause.saturating_sub(watched)).max(resting.unwrap_or_default())
    }

    /// A grant of one's own has failed: nothing is asked for this long.
    pub(super) fn rest(&mut self, pause: Duration, now: Now) {
        self.rested = Some((now.wall + pause, now.monotonic.saturating_add(pause)));
    }
}
