//! Other holders' claims and pauses, measured on this process's own monotonic clock.

use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::protocol::reconcile::Held;
use crate::record::{Nonce, Record};

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

    /// Whether there is nothing left to watch: what is held is in the store, nobody has a claim on it, and no pause lasts.
    pub(crate) fn is_over(&self, held: &Held, now: Now) -> bool {
        let Record { claim: None, trouble: None, .. } = held.record else { return false };
        held.etag.is_some()
            && self.rested.is_none_or(|(wall, monotonic)| wall <= now.wall || monotonic <= now.monotonic)
    }

    /// A grant of one's own has failed: nothing is asked for this long.
    pub(super) fn rest(&mut self, pause: Duration, now: Now) {
        self.rested = Some((now.wall + pause, now.monotonic.saturating_add(pause)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{at, record, saved, secs, unsaved};
    use crate::record::tests::full;

    fn until(second: u64) -> Timestamp {
        Timestamp::default() + secs(second)
    }

    #[test]
    fn a_claim_is_watched_from_when_it_was_first_seen_and_another_one_anew() {
        let mut watch = Watch::default();
        assert_eq!(watch.claim(Nonce(1), secs(10)), secs(10));
        assert_eq!(watch.claim(Nonce(1), secs(20)), secs(10));
        assert_eq!(watch.claim(Nonce(2), secs(20)), secs(20));
        assert_eq!(watch.claim(Nonce(1), secs(30)), secs(30));
    }

    #[test]
    fn a_pause_lasts_no_longer_than_itself_from_when_it_was_first_seen_whatever_the_others_clock_says() {
        let mut watch = Watch::default();
        let seen = |second| Now { monotonic: secs(second), ..at(100) };
        assert_eq!(watch.pause(until(120), secs(30), seen(0)), secs(20));
        assert_eq!(watch.pause(until(120), secs(30), seen(5)), secs(20));
        assert_eq!(watch.pause(until(120), secs(30), seen(15)), secs(15));
        assert_eq!(watch.pause(until(120), secs(30), seen(30)), secs(0));
        assert_eq!(watch.pause(until(121), secs(30), seen(30)), secs(21), "another one");
    }

    #[test]
    fn a_pause_too_far_ahead_to_be_true_says_nothing() {
        let left = |second| Watch::default().pause(until(second), secs(30), at(100));
        assert_eq!((left(190), left(191), left(120), left(100)), (secs(30), secs(0), secs(20), secs(0)));
    }

    #[test]
    fn the_pause_after_a_failure_of_ones_own_is_kept_until_either_clock_says_that_it_is_over() {
        let mut watch = Watch::default();
        watch.rest(secs(10), at(100));
        let mut left = |now| watch.pause(until(0), secs(1), now);
        assert_eq!((left(at(100)), left(at(104)), left(at(110))), (secs(10), secs(6), secs(0)));
        assert_eq!(left(Now { monotonic: secs(107), ..at(100) }), secs(3));
        assert_eq!(left(Now { monotonic: secs(100), ..at(107) }), secs(3));
    }

    #[test]
    fn what_is_saved_and_free_needs_no_watching_but_for_a_pause_of_ones_own() {
        let mut watch = Watch::default();
        watch.claim(Nonce(1), secs(10));
        let free = saved(record(1, 0), 0);
        assert!(watch.is_over(&free, at(100)));
        assert!(!watch.is_over(&unsaved(record(1, 0), 0), at(100)));
        let claimed = Held { record: record(1, 0).claimed(Some(Nonce(1))), ..free.clone() };
        assert!(!watch.is_over(&claimed, at(100)));
        let troubled = Held { record: Record { trouble: full().trouble, ..record(1, 0) }, ..free.clone() };
        assert!(!watch.is_over(&troubled, at(100)));
        watch.rest(secs(10), at(100));
        assert!(!watch.is_over(&free, at(104)) && watch.is_over(&free, at(110)));
        assert!(watch.is_over(&free, Now { monotonic: secs(100), ..at(110) }));
        assert!(watch.is_over(&free, Now { monotonic: secs(110), ..at(100) }));
    }
}
