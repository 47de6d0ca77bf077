//! An hour without an endpoint, under load: who is served first when it is back.

use wix_visitor_core::Policy;

use crate::books::{Books, Purpose};
use crate::instance::run;
use crate::scene::{HOUR, LATENCY, Scene, Seconds, steady};

/// When the endpoint goes down: renewals have begun, and most are still to come.
pub const DOWN: std::ops::Range<Seconds> = 12_000..12_000 + HOUR;
/// When all is over.
pub const END: Seconds = 6 * HOUR;
/// Who comes while it is down, and for half an hour after: one in two seconds.
const NEWCOMERS: u32 = 2_700;
/// How far apart the calls of a shopper are.
pub const PAUSE: (Seconds, Seconds) = (30, 90);

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outage {
    /// Visitors, newcomers among them.
    pub visitors: u32,
    /// What was asked of the endpoint.
    pub books: Books,
}

/// Lets it happen to one instance with so many visitors, who came evenly within the first hour.
///
/// # Errors
/// Those of [`run`].
pub fn outage(visitors: u32, seed: u64) -> Result<Outage, Box<dyn std::error::Error + Send + Sync>> {
    let newcomers = steady(NEWCOMERS, DOWN.start, HOUR + HOUR / 2);
    let scene = Scene {
        policy: Policy::default(),
        arrivals: steady(visitors, 0, HOUR).chain(newcomers).collect(),
        pause: PAUSE,
        down: DOWN,
        end: END,
        seed,
    };
    Ok(Outage { visitors: visitors + NEWCOMERS, books: run(&scene)? })
}

/// How many grants the pauses leave room for while it is down: those that it takes to find out, and as many as may have been
/// under way beside them; then one a pause, which doubles from the first to the longest.
pub fn bound() -> u64 {
    let policy = Policy::default();
    let (mut at, mut pause) = (0, policy.backoff_first.as_secs());
    let mut grants = 5 + u64::from(policy.background_in_flight);
    while at <= u64::from(HOUR) {
        (at, pause, grants) = (at + pause, (2 * pause).min(policy.backoff_most.as_secs()), grants + 1);
    }
    grants
}

impl Outage {
    /// The minute in which the endpoint is back.
    pub fn back(&self) -> usize {
        DOWN.end as usize / 60
    }

    /// How many grants brought tokens to shoppers who waited, new ones too, from a minute on up to another.
    pub fn waiting(&self, minutes: std::ops::Range<usize>) -> u64 {
        minutes.map(|minute| self.waiting_at(minute)).sum()
    }

    /// Likewise in this minute.
    pub fn waiting_at(&self, minute: usize) -> u64 {
        self.books.granted(Purpose::Waiting).at(minute) + self.books.granted(Purpose::Mint).at(minute)
    }

    /// The first minute after which no renewal is behind: one with less than half of what the limit allows.
    pub fn caught_up(&self) -> usize {
        let background = self.books.granted(Purpose::Background);
        let half = u64::from(Policy::default().background_per_minute) / 2;
        // It begins a little after the shoppers.
        (self.back() + 5..END as usize / 60).find(|minute| background.at(*minute) < half).unwrap_or(END as usize / 60)
    }

    /// What was promised and does not hold, in words.
    pub fn breaches(&self) -> Vec<String> {
        let (books, policy) = (&self.books, Policy::default());
        let mut breaches = books.breaches(self.visitors.into());
        let mut holds = |holds: bool, breach: String| {
            if !holds {
                breaches.push(breach);
            }
        };
        let served = (DOWN.start / 60..DOWN.end / 60)
            .map(|minute| books.renewals_at(minute as usize) + books.granted(Purpose::Mint).at(minute as usize))
            .sum::<u64>();
        holds(served == 0, format!("{served} grants by an endpoint that is down"));
        holds(books.failed <= bound(), format!("{} grants while it was down, above {}", books.failed, bound()));
        let first = books.first_back.map(|(purpose, _)| purpose);
        holds(
            matches!(first, Some(Purpose::Waiting | Purpose::Mint)),
            format!("the first grant after it was for {first:?}"),
        );
        let wait = u128::from(books.longest_wait);
        holds(wait == LATENCY.as_millis(), format!("a shopper waited {wait} ms, not the endpoint's own time"));
        let most = u64::from(policy.background_per_minute + policy.background_in_flight);
        holds(
            books.most_background <= most,
            format!("{} renewals in the background in a minute, above {most}", books.most_background),
        );
        breaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_leave_room_for_one_grant_a_minute_and_those_that_find_out() {
        assert_eq!(bound(), 5 + 32 + 65);
    }

    #[test]
    fn a_small_outage_keeps_what_is_promised() {
        let outage = outage(1_000, 3).unwrap();
        assert_eq!(outage.breaches(), [""; 0]);
        assert!(outage.books.errors > 10_000, "there were calls meanwhile: {:?}", outage.books);
        assert!(outage.waiting(outage.back()..outage.back() + 4) > 1_000);
    }
}
