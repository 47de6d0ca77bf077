//! Who of one process may ask the endpoint just now.
//!
//! Whoever waits for a token is never held up, until the endpoint itself says that it is too much (429), or fails one visitor after
//! the other. Then nobody asks but one prober at a time, with growing pauses in between, and the others are told at once. Renewals
//! that nobody waits for keep within a number in flight and a number a minute besides, and leave it to the shoppers to find out
//! whether the endpoint is back.

use std::time::Duration;

use crate::clock::Now;
use crate::endpoint::{GrantError, GrantFailure};
use crate::error::Error;
use crate::key::VisitorId;
use crate::policy::Policy;
use crate::protocol::{elapsed, outcome};

/// How many grants in a row have to fail, of more than one visitor, before the endpoint counts as down: one visitor's trouble, or
/// the odd failure, is none of the others' business.
const DOWN_AFTER: u32 = 5;

/// Why somebody wants to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody waits for the token.
    Waiting,
    /// The present token still serves.
    Background,
}

/// What one process knows of its endpoint, and of its own renewals.
#[derive(Debug, Default)]
pub struct Admission {
    /// Renewals in flight for which nobody waits.
    background: u32,
    /// When the next of them would be right on time, were they evenly spaced: on the monotonic clock.
    next_background: Duration,
    /// Failures in a row.
    failures: u32,
    /// Whose the first of them was, and whether there were others'.
    first: Option<VisitorId>,
    several: bool,
    down: Option<Down>,
}

#[derive(Debug)]
struct Down {
    /// How often it was probed in vain.
    probes: u32,
    pause: Duration,
    /// Since when nobody asks.
    since: Now,
    /// Since when a prober has been under way.
    probing: Option<Now>,
    error: GrantError,
}

impl Down {
    /// How much is left of so many pauses. They are over as soon as either clock says so: the one may have been set, the other
    /// stands still while the machine sleeps.
    fn left(&self, pauses: u32, now: Now) -> Duration {
        (self.pause * pauses).saturating_sub(elapsed(self.since, now))
    }
}

/// The right to ask; to be handed back.
#[derive(Debug)]
#[must_use]
pub struct Pass {
    purpose: Purpose,
    probes: bool,
}

impl Admission {
    /// A pass, or the error of those who get none, which says for how long.
    pub fn admit(&mut self, purpose: Purpose, now: Now, policy: &Policy) -> Result<Pass, Error> {
        let mut probes = false;
        if let Some(down) = &mut self.down {
            // Shoppers first: they know sooner.
            let pause = down.left(if purpose == Purpose::Waiting { 1 } else { 2 }, now);
            let probing = down.probing.is_some_and(|since| elapsed(since, now) < policy.lease);
            let left = if probing { pause.max(policy.backoff_first) } else { pause };
            if left > Duration::ZERO {
                return Err(outcome::error_of(&down.error, Some(left)));
            }
            probes = true;
        }
        if purpose == Purpose::Background {
            let space = Duration::from_secs(60) / policy.background_per_minute.max(1);
            let early = self.next_background.saturating_sub(now.monotonic);
            // As many at once as may be in flight, then evenly spaced.
            if self.background >= policy.background_in_flight || early > space * (policy.background_in_flight - 1) {
                let message = "enough renewals are under way in the background; this one comes later";
                let error = GrantError::new(GrantFailure::Transient, message);
                return Err(outcome::error_of(&error, Some(space)));
            }
            self.next_background = self.next_background.max(now.monotonic).saturating_add(space);
            self.background += 1;
        }
        if let (true, Some(down)) = (probes, &mut self.down) {
            down.probing = Some(now);
        }
        Ok(Pass { purpose, probes })
    }

    /// For how long nobody asks, if the endpoint counts as down; zero while somebody finds out, or may.
    pub fn paused_for(&self, now: Now) -> Option<Duration> {
        self.down.as_ref().map(|down| down.left(1, now))
    }

    /// The endpoint answered this visitor.
    pub fn answered(&mut self) {
        *self = Self { background: self.background, next_background: self.next_background, ..Self::default() };
    }

    /// The endpoint did not, or asked for patience. `chance` moves the pause, so that the instances of a fleet do not knock together.
    pub fn failed(&mut self, whose: VisitorId, error: &GrantError, chance: u64, now: Now, policy: &Policy) {
        self.failures = self.failures.saturating_add(1);
        self.several |= *self.first.get_or_insert(whose) != whose;
        let asked = error.status == Some(429);
        if self.down.is_none() && !asked && !(self.several && self.failures >= DOWN_AFTER) {
            return;
        }
        // Those sent before it was known to be down say nothing new.
        if self.down.as_ref().is_some_and(|down| down.left(1, now) > Duration::ZERO && down.probing.is_none()) {
            return;
        }
        let probes = self.down.as_ref().map_or(0, |down| down.probes).saturating_add(1);
        let pause = outcome::moved(policy.backoff(probes, error.retry_after), chance, policy);
        self.down = Some(Down { probes, pause, since: now, probing: None, error: error.clone() });
    }

    /// Hands a pass back, whatever became of it.
    pub fn hand_back(&mut self, pass: &Pass) {
        if pass.purpose == Purpose::Background {
            self.background = self.background.saturating_sub(1);
        }
        if let (true, Some(down)) = (pass.probes, &mut self.down) {
            down.probing = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::protocol::testing::{at, secs};
    use Purpose::{Background, Waiting};

    fn visitor(number: u8) -> VisitorId {
        VisitorId::of(&format!("client/{number:08x}"))
    }

    fn failure(status: u16) -> GrantError {
        GrantError::new(GrantFailure::Transient, "busy").with_status(status)
    }

    fn after(failures: u8, visitors: u8, policy: &Policy) -> Admission {
        let mut admission = Admission::default();
        (0..failures).for_each(|n| admission.failed(visitor(n % visitors), &failure(503), 0, at(10), policy));
        admission
    }

    #[test]
    fn one_visitors_failures_and_the_odd_one_bar_nobody() {
        let policy = Policy::default();
        assert!(after(50, 1, &policy).admit(Waiting, at(10), &policy).is_ok());
        assert!(after(4, 4, &policy).admit(Waiting, at(10), &policy).is_ok());
        let mut admission = after(4, 4, &policy);
        admission.answered();
        admission.failed(visitor(9), &failure(503), 0, at(10), &policy);
        assert!(admission.admit(Waiting, at(10), &policy).is_ok());
    }

    #[test]
    fn an_endpoint_that_is_down_gets_one_prober_at_a_time_and_its_success_lets_all_in() {
        let policy = Policy::default();
        let mut admission = after(5, 5, &policy);
        let refused = admission.admit(Waiting, at(10), &policy).unwrap_err();
        assert_eq!(refused.retry_in(), Some(secs(1)));
        let prober = admission.admit(Waiting, at(11), &policy).unwrap();
        assert!(admission.admit(Waiting, at(11), &policy).is_err());
        admission.failed(visitor(7), &failure(503), 0, at(12), &policy);
        admission.hand_back(&prober);
        assert_eq!(admission.admit(Waiting, at(12), &policy).unwrap_err().retry_in(), Some(secs(2)));
        let prober = admission.admit(Waiting, at(14), &policy).unwrap();
        admission.answered();
        admission.hand_back(&prober);
        for _ in 0..10_000 {
            let _ = admission.admit(Waiting, at(14), &policy).unwrap();
        }
    }

    #[test]
    fn a_prober_that_never_came_back_is_not_waited_for_beyond_a_lease() {
        let policy = Policy::default();
        let mut admission = after(5, 5, &policy);
        let _lost = admission.admit(Waiting, at(11), &policy).unwrap();
        assert!(admission.admit(Waiting, at(25), &policy).is_err());
        assert!(admission.admit(Waiting, at(26), &policy).is_ok());
    }

    #[test]
    fn too_many_requests_count_at_once_and_for_as_long_as_was_asked() {
        let policy = Policy::default();
        let mut admission = Admission::default();
        let asked = failure(429).with_retry_after(Some(secs(30)));
        admission.failed(visitor(1), &asked, 0, at(10), &policy);
        assert_eq!(admission.admit(Waiting, at(10), &policy).unwrap_err().retry_in(), Some(secs(30)));
        // Others that were under way lengthen nothing.
        admission.failed(visitor(2), &asked, 0, at(20), &policy);
        assert!(admission.admit(Waiting, at(40), &policy).is_ok());
    }

    #[test]
    fn a_pause_that_the_machine_slept_through_is_over_and_so_is_one_that_a_clock_was_set_back_in() {
        let policy = Policy::default();
        for later in [Now { monotonic: secs(10), ..at(41) }, Now { wall: Timestamp::default(), ..at(41) }] {
            let mut admission = Admission::default();
            let asked = failure(429).with_retry_after(Some(secs(30)));
            admission.failed(visitor(1), &asked, 0, at(10), &policy);
            assert!(admission.admit(Waiting, at(39), &policy).is_err());
            assert!(admission.admit(Waiting, later, &policy).is_ok());
        }
    }

    #[test]
    fn shoppers_find_out_first_whether_the_endpoint_is_back() {
        let policy = Policy::default();
        let mut admission = after(5, 5, &policy);
        assert!(admission.admit(Background, at(11), &policy).is_err());
        assert!(admission.admit(Background, at(12), &policy).is_ok(), "where there are none, somebody has to");
    }

    #[test]
    fn renewals_in_the_background_are_bounded_in_number_and_rate_and_shoppers_are_not() {
        let policy = Policy { background_in_flight: 3, background_per_minute: 60, ..Policy::default() };
        let mut admission = Admission::default();
        let mut passes: Vec<Pass> = (0..3).map(|_| admission.admit(Background, at(0), &policy).unwrap()).collect();
        assert!(admission.admit(Background, at(30), &policy).is_err(), "three are in flight");
        passes.drain(..).for_each(|pass| admission.hand_back(&pass));
        let mut admitted = 0;
        for millisecond in 0..60_000 {
            let moment = Now { wall: Timestamp::default(), monotonic: Duration::from_millis(millisecond) };
            if let Ok(pass) = admission.admit(Background, moment, &policy) {
                admission.hand_back(&pass);
                admitted += 1;
            }
            let _ = admission.admit(Waiting, moment, &policy).unwrap();
        }
        assert!((59..=60).contains(&admitted), "{admitted} in the minute after three at once");
    }

    #[test]
    fn after_as_many_at_once_as_may_be_in_flight_the_next_waits_for_its_turn() {
        let policy = Policy { background_in_flight: 3, background_per_minute: 60, ..Policy::default() };
        let mut admission = Admission::default();
        for _ in 0..3 {
            let pass = admission.admit(Background, at(0), &policy).unwrap();
            admission.hand_back(&pass);
        }
        assert_eq!(admission.admit(Background, at(0), &policy).unwrap_err().retry_in(), Some(secs(1)));
        assert!(admission.admit(Background, at(1), &policy).is_ok());
    }

    #[test]
    fn an_answer_frees_no_place_and_no_turn_in_the_background() {
        let policy = Policy { background_in_flight: 2, ..Policy::default() };
        let mut admission = Admission::default();
        let passes: Vec<Pass> = (0..2).map(|_| admission.admit(Background, at(0), &policy).unwrap()).collect();
        admission.answered();
        assert!(admission.admit(Background, at(10), &policy).is_err(), "two are in flight");
        passes.iter().for_each(|pass| admission.hand_back(pass));
        assert!(admission.admit(Background, at(0), &policy).is_err(), "two have begun just now");
    }

    #[test]
    fn it_tells_for_how_long_nobody_asks() {
        let policy = Policy::default();
        assert_eq!(after(4, 4, &policy).paused_for(at(10)), None);
        let admission = after(5, 5, &policy);
        assert_eq!((admission.paused_for(at(10)), admission.paused_for(at(11))), (Some(secs(1)), Some(secs(0))));
    }

    #[test]
    fn a_failure_after_the_pause_begins_the_next_whoever_it_was() {
        let policy = Policy::default();
        let mut admission = after(5, 5, &policy);
        admission.failed(visitor(7), &failure(503), 0, at(11), &policy);
        assert_eq!(admission.admit(Waiting, at(11), &policy).unwrap_err().retry_in(), Some(secs(2)));
    }
}
