//! What is simulated: who comes when, how often they call, and when the endpoint is down.

use std::ops::Range;
use std::time::Duration;

use wix_visitor_core::Policy;

use crate::chance::share;

/// Seconds since the scene's begin.
pub type Seconds = u32;

/// An hour.
pub const HOUR: Seconds = 3_600;
/// For how long an access token lives: what Wix's do.
pub const LIFETIME: Duration = Duration::from_secs(4 * 60 * 60);
/// How long the endpoint takes for a grant.
pub const LATENCY: Duration = Duration::from_millis(200);

/// One instance's part of a fleet.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The numbers of the flow.
    pub policy: Policy,
    /// When each shopper comes.
    pub arrivals: Vec<Seconds>,
    /// How far apart a shopper's calls are, at least and at most; evenly in between.
    pub pause: (Seconds, Seconds),
    /// When the endpoint is down.
    pub down: Range<Seconds>,
    /// When the scene ends.
    pub end: Seconds,
    /// Where chance begins.
    pub seed: u64,
}

impl Scene {
    /// The first call of this shopper after one at this second that may do more than to be served from memory, given when the
    /// present token was granted. All before it are left out.
    pub(crate) fn call_after(&self, shopper: u32, second: Seconds, granted: Option<Seconds>) -> Seconds {
        match granted.map(|granted| granted + self.rest()) {
            Some(rested) if rested > second => self.some_call(shopper, rested),
            _ => self.next_call(shopper, second),
        }
    }

    /// When this shopper, who calls at this second, calls next.
    pub(crate) fn next_call(&self, shopper: u32, second: Seconds) -> Seconds {
        let (least, most) = (f64::from(self.pause.0), f64::from(self.pause.1));
        second + whole(least + (most - least) * self.draw(shopper, second, 1))
    }

    /// When this shopper calls first after this second, for one who has been calling all the time.
    fn some_call(&self, shopper: u32, second: Seconds) -> Seconds {
        let (least, most) = (f64::from(self.pause.0), f64::from(self.pause.1));
        // A moment falls into a pause with a chance that grows with the pause, and anywhere in it.
        let pause = (least * least + (most * most - least * least) * self.draw(shopper, second, 2)).sqrt();
        second + whole(pause * self.draw(shopper, second, 3))
    }

    fn draw(&self, shopper: u32, second: Seconds, what: u64) -> f64 {
        share(&[self.seed, u64::from(shopper), u64::from(second), what])
    }

    /// For how long after a grant no token can be due, whoever's it is: calls until then are served from memory, and nothing else
    /// comes of them.
    fn rest(&self) -> Seconds {
        let policy = &self.policy;
        let most = LIFETIME / 8;
        let rest = LIFETIME - policy.lead.min(most) - policy.jitter.min(most);
        Seconds::try_from(rest.as_secs()).unwrap_or(0)
    }
}

/// At least one, so that time goes on.
fn whole(seconds: f64) -> Seconds {
    (seconds as Seconds).max(1)
}

/// The opening of a sale: all come within the first hour, most in its first minutes, and fewer and fewer later on. `mean` is when
/// the average shopper would come, were there no end.
pub fn opening(shoppers: u32, mean: Seconds, seed: u64) -> Vec<Seconds> {
    let (mean, end) = (f64::from(mean), f64::from(HOUR));
    let all = 1.0 - (-end / mean).exp();
    let arrival = |shopper: u32| -mean * (1.0 - all * share(&[seed, u64::from(shopper), 5])).ln();
    (0..shoppers).map(|shopper| (arrival(shopper) as Seconds).min(HOUR - 1)).collect()
}

/// Shoppers who come evenly, from `first` on, within so many seconds.
pub fn steady(shoppers: u32, first: Seconds, within: Seconds) -> impl Iterator<Item = Seconds> {
    let nth = move |n| u64::from(n) * u64::from(within) / u64::from(shoppers);
    (0..shoppers).map(move |n| first + Seconds::try_from(nth(n)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_over_within_the_hour_and_busiest_at_first() {
        let mut minutes = [0u32; 60];
        for arrival in opening(60_000, 600, 1) {
            minutes[arrival as usize / 60] += 1;
        }
        assert_eq!(minutes.iter().sum::<u32>(), 60_000);
        // A minute's share at first, and by what the tenth is less: a tenth of e.
        assert!((5_500..6_000).contains(&minutes[0]), "{minutes:?}");
        assert!((2_000..2_450).contains(&minutes[10]), "{minutes:?}");
    }

    #[test]
    fn steady_shoppers_are_evenly_spaced() {
        assert_eq!(steady(4, 100, 40).collect::<Vec<_>>(), [100, 110, 120, 130]);
    }

    fn scene(pause: (Seconds, Seconds)) -> Scene {
        Scene { policy: Policy::default(), arrivals: Vec::new(), pause, down: 0..0, end: HOUR, seed: 0 }
    }

    #[test]
    fn nobodys_token_is_due_while_it_rests() {
        assert_eq!(scene((60, 60)).rest(), 3 * HOUR);
    }

    #[test]
    fn calls_are_as_far_apart_as_the_scene_says() {
        let scene = scene((60, 540));
        let pauses: Vec<_> = (0..10_000).map(|shopper| scene.next_call(shopper, 100) - 100).collect();
        assert!(pauses.iter().all(|pause| (60..540).contains(pause)));
        assert!((295..305).contains(&(pauses.iter().sum::<u32>() / 10_000)));
    }

    #[test]
    fn of_regular_callers_the_next_call_is_anywhere_within_a_pause() {
        let scene = scene((60, 60));
        let early = (0..10_000).filter(|shopper| scene.some_call(*shopper, 100) < 130).count();
        assert!((4_800..5_200).contains(&early), "{early} of 10,000 within the first half");
    }
}
