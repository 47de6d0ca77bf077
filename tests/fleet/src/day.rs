//! A day of a fleet whose visitors all came within one hour, and the same day with less to spread their renewals.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use wix_visitor_core::Policy;

use crate::books::{Books, Minutes, Purpose};
use crate::chance::mix;
use crate::instance::run;
use crate::reckon::renewals;
use crate::scene::{HOUR, Scene, Seconds, opening};

/// How long the day is.
pub const DAY: Seconds = 24 * HOUR;
/// When the average shopper would come to the opening, were there no end to it.
pub const MEAN_ARRIVAL: Seconds = 5 * 60;
/// How far apart the calls of a shopper are.
pub const PAUSE: (Seconds, Seconds) = (60, 9 * 60);
/// As good as no limit.
const UNLIMITED: u32 = 1_000_000;

/// What spreads the renewals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Nothing.
    None,
    /// The jitter alone.
    Jitter,
    /// The jitter and the limits, as they are unless said otherwise.
    Default,
}

impl Spread {
    fn policy(self) -> Policy {
        let mut policy = Policy::default();
        if self == Self::None {
            policy.jitter = std::time::Duration::ZERO;
        }
        if self != Self::Default {
            (policy.background_per_minute, policy.background_in_flight) = (UNLIMITED, UNLIMITED);
        }
        policy
    }
}

/// How many of what.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// Visitors, of all instances together.
    pub visitors: u32,
    /// Instances. Each has visitors of its own, as behind a load balancer that sends a session to the same instance each time.
    pub instances: u32,
    /// Where chance begins.
    pub seed: u64,
}

impl Fleet {
    /// One instance's part.
    pub(crate) fn scene(&self, instance: u32, spread: Spread) -> Scene {
        let own = self.visitors / self.instances + u32::from(instance < self.visitors % self.instances);
        let seed = mix(&[self.seed, u64::from(instance)]);
        Scene {
            policy: spread.policy(),
            arrivals: opening(own, MEAN_ARRIVAL, seed),
            pause: PAUSE,
            down: 0..0,
            end: DAY,
            seed,
        }
    }

    /// How many renewals of the whole fleet may begin in a minute without anybody waiting for them.
    pub fn limit(&self) -> u64 {
        u64::from(self.instances) * u64::from(Policy::default().background_per_minute)
    }
}

/// What came of a day.
#[derive(Clone, Debug)]
pub struct Day {
    /// Of whom.
    pub fleet: Fleet,
    /// The renewals without jitter and limits, reckoned.
    pub none: Minutes,
    /// The renewals with the jitter alone, reckoned.
    pub jitter: Minutes,
    /// What real instances asked of the endpoint, with everything as it is unless said otherwise.
    pub books: Books,
}

impl Day {
    /// The most renewals in a minute that the jitter leaves room for, whenever the visitors came: see [`report`](crate::report).
    pub fn bound(&self) -> u64 {
        let minutes = Policy::default().jitter.as_secs_f64() / 60.0;
        let expected = f64::from(self.fleet.visitors) / minutes;
        // A count of independent events is off by more than five times its root in one minute out of millions.
        (expected + 5.0 * expected.sqrt()) as u64
    }

    /// What was promised and does not hold, in words.
    pub fn breaches(&self) -> Vec<String> {
        let (books, policy) = (&self.books, Policy::default());
        let mut breaches = books.breaches(self.fleet.visitors.into());
        let mut holds = |holds: bool, breach: String| {
            if !holds {
                breaches.push(breach);
            }
        };
        let (none, bound) = (self.none.peak(), self.bound());
        for (what, peak) in [("with jitter", self.jitter.peak()), ("as it is", books.peak())] {
            holds(peak <= bound, format!("{what} {peak} renewals in a minute, above {bound}"));
            holds(2 * peak < none, format!("{what} {peak} renewals in a minute, and without jitter {none}"));
        }
        let waited = books.granted(Purpose::Waiting).sum();
        holds(waited == 0, format!("the tokens of {waited} active shoppers lapsed"));
        holds(books.errors == 0, format!("{} calls failed", books.errors));
        let most = u64::from(policy.background_per_minute + policy.background_in_flight);
        holds(
            books.most_background <= most,
            format!("{} renewals in the background of one instance in a minute, above {most}", books.most_background),
        );
        breaches
    }
}

/// What one thread does at a time.
enum Part {
    None(Minutes),
    Jitter(Minutes),
    Default(Books),
}

/// Lets the day happen. `progress` hears how many parts out of how many are done.
///
/// # Errors
/// Those of [`run`].
pub fn day(fleet: Fleet, progress: impl Fn(usize, usize)) -> Result<Day, Box<dyn std::error::Error + Send + Sync>> {
    // One instance at a time on each core: they share nothing but the endpoint, which has room for all.
    let parts: Vec<(Spread, u32)> = [Spread::Default, Spread::Jitter, Spread::None]
        .into_iter()
        .flat_map(|spread| (0..fleet.instances).map(move |instance| (spread, instance)))
        .collect();
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let (none, jitter, books) = Default::default();
    let mut day = Day { fleet, none, jitter, books };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let (sender, next, parts) = (sender.clone(), &next, &parts);
            scope.spawn(move || {
                while let Some((spread, instance)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let scene = fleet.scene(*instance, *spread);
                    let part = match spread {
                        Spread::None => Ok(Part::None(renewals(&scene))),
                        Spread::Jitter => Ok(Part::Jitter(renewals(&scene))),
                        Spread::Default => run(&scene).map(Part::Default),
                    };
                    // Once one has failed, nobody hears of the rest.
                    let _ = sender.send(part);
                }
            });
        }
        drop(sender);
        for (done, part) in receiver.iter().enumerate() {
            match part? {
                Part::None(minutes) => day.none.add(&minutes),
                Part::Jitter(minutes) => day.jitter.add(&minutes),
                Part::Default(books) => day.books.add(&books),
            }
            progress(done + 1, parts.len());
        }
        Ok(day)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_fleet_keeps_what_is_promised_and_every_instance_has_visitors_of_its_own() {
        let day = day(Fleet { visitors: 3_001, instances: 2, seed: 3 }, |_, _| {}).unwrap();
        assert_eq!(day.breaches(), [""; 0]);
        assert!(day.books.renewals() > 6 * 3_001);
        assert_eq!(day.books.granted(Purpose::Background), &day.jitter, "so few are not limited");
    }

    #[test]
    fn a_peak_above_the_bound_and_a_shopper_who_waited_are_breaches() {
        let fleet = Fleet { visitors: 0, instances: 1, seed: 0 };
        let (mut none, jitter, books) = <(Minutes, Minutes, Books)>::default();
        none.note(0);
        let mut day = Day { fleet, none, jitter, books };
        assert_eq!(day.breaches(), [""; 0]);
        day.jitter.note(9);
        assert_eq!(
            day.breaches().len(),
            2,
            "above the bound, and above half of the peak without: {:?}",
            day.breaches()
        );
        day.books.granted[Purpose::Waiting as usize].note(9);
        assert_eq!(day.breaches().len(), 5, "{:?}", day.breaches());
    }
}
