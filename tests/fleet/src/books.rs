//! What was asked of an endpoint: when, by whom, and whether somebody waited for it.

use crate::scene::Seconds;

/// Why a grant was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new visitor, who waits for it.
    Mint,
    /// The token had lapsed, and its shopper waits.
    Waiting,
    /// The present token still serves.
    Background,
}

impl Purpose {
    /// All, in the order in which they are counted.
    pub const ALL: [Self; 3] = [Self::Mint, Self::Waiting, Self::Background];
}

/// The grants of each minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minutes(Vec<u64>);

impl Minutes {
    /// One more, at this second.
    pub(crate) fn note(&mut self, second: Seconds) {
        let minute = second as usize / 60;
        if self.0.len() <= minute {
            self.0.resize(minute + 1, 0);
        }
        self.0[minute] += 1;
    }

    /// Adds those of another instance.
    pub(crate) fn add(&mut self, others: &Self) {
        if self.0.len() < others.0.len() {
            self.0.resize(others.0.len(), 0);
        }
        self.0.iter_mut().zip(&others.0).for_each(|(sum, other)| *sum += other);
    }

    /// How many in this minute.
    pub fn at(&self, minute: usize) -> u64 {
        self.0.get(minute).copied().unwrap_or(0)
    }

    /// The most in a minute.
    pub fn peak(&self) -> u64 {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The last minute with any.
    pub fn last(&self) -> Option<usize> {
        self.0.iter().rposition(|count| *count > 0)
    }
}

/// The most that happens within any minute, wherever it begins.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Those of each of the last sixty seconds.
    seconds: [u64; 60],
    now: Seconds,
    within: u64,
    most: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { seconds: [0; 60], now: 0, within: 0, most: 0 }
    }
}

impl Pace {
    pub(crate) fn note(&mut self, second: Seconds) {
        if second.saturating_sub(self.now) >= 60 {
            (self.seconds, self.within, self.now) = ([0; 60], 0, second);
        }
        while self.now < second {
            self.now += 1;
            self.within -= std::mem::take(&mut self.seconds[self.now as usize % 60]);
        }
        self.seconds[second as usize % 60] += 1;
        self.within += 1;
        self.most = self.most.max(self.within);
    }

    pub(crate) fn most(&self) -> u64 {
        self.most
    }
}

/// What came of one instance, or of many together.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Grants that brought tokens, by [`Purpose`].
    pub granted: [Minutes; 3],
    /// The most renewals in the background that one instance began within any minute.
    pub most_background: u64,
    /// Grants that failed.
    pub failed: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Calls that ended in an error.
    pub errors: u64,
    /// Calls that ended in an error although the endpoint was known to be well.
    pub needless_errors: u64,
    /// How long a call has waited at most while the endpoint was known to be well, in milliseconds.
    pub longest_wait: u64,
    /// What the first grant after the outage was for, and in which second it was.
    pub first_back: Option<(Purpose, Seconds)>,
    /// Answers with a token of another visitor, or of one that was replaced.
    pub strangers: u64,
    /// Visitors of whom the store and the endpoint do not tell the same number of renewals, or who are not renewable any more.
    pub miscounted: u64,
    /// Refresh tokens that came a second time.
    pub spent_twice: u64,
}

impl Books {
    /// Grants that brought tokens and were asked for this.
    pub fn granted(&self, purpose: Purpose) -> &Minutes {
        &self.granted[purpose as usize]
    }

    /// Renewals of a minute, whether or not somebody waited.
    pub fn renewals_at(&self, minute: usize) -> u64 {
        self.granted(Purpose::Waiting).at(minute) + self.granted(Purpose::Background).at(minute)
    }

    /// The most renewals in a minute.
    pub fn peak(&self) -> u64 {
        let minutes = self.granted(Purpose::Background).last().max(self.granted(Purpose::Waiting).last());
        (0..=minutes.unwrap_or(0)).map(|minute| self.renewals_at(minute)).max().unwrap_or(0)
    }

    /// All renewals.
    pub fn renewals(&self) -> u64 {
        self.granted(Purpose::Waiting).sum() + self.granted(Purpose::Background).sum()
    }

    /// Adds those of another instance of the same fleet.
    pub fn add(&mut self, other: &Self) {
        self.granted.iter_mut().zip(&other.granted).for_each(|(sum, other)| sum.add(other));
        self.most_background = self.most_background.max(other.most_background);
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.first_back = self.first_back.or(other.first_back);
        for (sum, other) in [
            (&mut self.failed, other.failed),
            (&mut self.calls, other.calls),
            (&mut self.errors, other.errors),
            (&mut self.needless_errors, other.needless_errors),
            (&mut self.strangers, other.strangers),
            (&mut self.miscounted, other.miscounted),
            (&mut self.spent_twice, other.spent_twice),
        ] {
            *sum += other;
        }
    }

    /// What holds whatever the scene, and does not here: in words.
    pub fn breaches(&self, visitors: u64) -> Vec<String> {
        let mints = self.granted(Purpose::Mint).sum();
        let mut breaches = Vec::new();
        let mut holds = |holds: bool, breach: String| {
            if !holds {
                breaches.push(breach);
            }
        };
        holds(mints == visitors, format!("{mints} mints for {visitors} visitors"));
        holds(self.strangers == 0, format!("{} answers with a token of somebody else", self.strangers));
        holds(self.miscounted == 0, format!("{} visitors with more or fewer grants than renewals", self.miscounted));
        holds(self.spent_twice == 0, format!("{} refresh tokens redeemed twice", self.spent_twice));
        holds(
            self.needless_errors == 0,
            format!("{} calls failed while the endpoint was known to be well", self.needless_errors),
        );
        breaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_that_of_the_busiest_minute_wherever_it_begins() {
        let mut pace = Pace::default();
        for (second, count) in [(0, 3), (50, 4), (70, 5), (109, 1), (110, 9), (400, 2)] {
            (0..count).for_each(|_| pace.note(second));
        }
        assert_eq!(pace.most(), 15, "from 70 to 110; those of second 50 are a minute old by then");
    }

    #[test]
    fn instances_add_up_and_the_busiest_one_is_remembered() {
        let books = |second, most| {
            let mut books = Books { most_background: most, ..Books::default() };
            books.granted[Purpose::Background as usize].note(second);
            books.granted[Purpose::Waiting as usize].note(60);
            books
        };
        let mut sum = books(10, 7);
        sum.add(&books(70, 5));
        assert_eq!((sum.renewals_at(0), sum.renewals_at(1)), (1, 3));
        assert_eq!((sum.peak(), sum.renewals(), sum.most_background), (3, 4, 7));
    }

    #[test]
    fn a_second_identity_for_one_visitor_is_a_breach() {
        let mut books = Books::default();
        books.granted[Purpose::Mint as usize].note(0);
        assert!(books.breaches(1).is_empty());
        books.strangers = 1;
        assert_eq!(books.breaches(1).len(), 1);
        assert_eq!(books.breaches(2).len(), 2);
    }
}
