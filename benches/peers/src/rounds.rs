//! Measures all sides of a comparison in turns, so that a machine that is busy for a while slows each of them.

use std::time::{Duration, Instant};

pub(crate) use crate::series::Role;
use crate::{Result, series::Series};

/// How often, and for how long each time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) count: usize,
    /// Of one side in one round, for what can be repeated as often as one likes.
    pub(crate) time: Duration,
    pub(crate) quick: bool,
}

impl Rounds {
    pub(crate) const FULL: Self = Self { count: 9, time: Duration::from_millis(250), quick: false };
    /// So many times as many, each as much shorter: for what shares the processors with another program, or is told by which of them the
    /// system runs where.
    pub(crate) fn finer(self, times: u32) -> Self {
        Self { count: self.count * times as usize, time: self.time / times, ..self }
    }

    pub(crate) const QUICK: Self = Self { count: 5, time: Duration::from_millis(60), quick: true };

    /// Measures each side once to warm up, and then once in each round; a round begins with another side than the one before.
    pub(crate) fn alternate(&self, mut sides: Vec<Side<'_>>) -> Result<Vec<Measured>> {
        for side in &mut sides {
            (side.measure)()?;
        }
        let mut measured: Vec<_> = sides.iter().map(|side| Measured::new(side.role, side.name, Vec::new())).collect();
        for round in 0..self.count {
            for turn in 0..sides.len() {
                let at = (round + turn) % sides.len();
                let Round { value, batches } = (sides[at].measure)()?;
                measured[at].rounds.push(value);
                measured[at].batches.extend(batches);
            }
        }
        Ok(measured)
    }

    /// Nanoseconds of one call. It is repeated in batches for the time of a round, and the middle batch counts: not one in which the
    /// machine did something else.
    pub(crate) fn nanoseconds(&self, mut call: impl FnMut()) -> f64 {
        let mut batches = Batches::new(self.time);
        while batches.go_on() {
            for _ in 0..BATCH {
                call();
            }
        }
        middle(batches.nanoseconds())
    }

    /// The same of a call that is awaited, all within one task.
    pub(crate) async fn nanoseconds_async(&self, call: impl AsyncFnMut()) -> f64 {
        middle(self.batches_async(call).await)
    }

    /// The same of each batch.
    pub(crate) async fn batches_async(&self, mut call: impl AsyncFnMut()) -> Vec<f64> {
        let mut batches = Batches::new(self.time);
        while batches.go_on() {
            for _ in 0..BATCH {
                call().await;
            }
        }
        batches.nanoseconds()
    }
}

/// The clock is read once for so many calls.
const BATCH: u32 = 256;

/// The times of all batches of a round.
struct Batches {
    end: Instant,
    last: Instant,
    nanoseconds: Vec<f64>,
}

impl Batches {
    fn new(time: Duration) -> Self {
        let now = Instant::now();
        // Room for more than there will be, or the vector's growth would be measured.
        Self { end: now + time, last: now, nanoseconds: Vec::with_capacity(1 << 20) }
    }

    /// Whether there is time for another one. The first call begins the first.
    fn go_on(&mut self) -> bool {
        let now = Instant::now();
        self.nanoseconds.push((now - self.last).as_nanos() as f64);
        self.last = now;
        now < self.end
    }

    /// Nanoseconds of one call, of each batch.
    fn nanoseconds(self) -> Vec<f64> {
        // The first is before the first batch. A new vector, as this one has far more room than it needs.
        self.nanoseconds.iter().skip(1).map(|batch| batch / f64::from(BATCH)).collect()
    }
}

/// What one round of a side gives.
pub(crate) struct Round {
    /// In the row's unit.
    value: f64,
    /// Each batch, for a row that tells how they are distributed.
    batches: Vec<f64>,
}

impl From<f64> for Round {
    fn from(value: f64) -> Self {
        Self { value, batches: Vec::new() }
    }
}

impl From<Vec<f64>> for Round {
    /// The middle batch counts.
    fn from(batches: Vec<f64>) -> Self {
        Self { value: middle(batches.clone()), batches }
    }
}

/// One side of a comparison.
pub(crate) struct Side<'a> {
    role: Role,
    name: &'static str,
    measure: Box<dyn FnMut() -> Result<Round> + 'a>,
}

impl<'a> Side<'a> {
    /// `measure` gives one round: its value, or all batches.
    pub(crate) fn new<T: Into<Round>>(
        role: Role,
        name: &'static str,
        mut measure: impl FnMut() -> Result<T> + 'a,
    ) -> Self {
        Self { role, name, measure: Box::new(move || measure().map(Into::into)) }
    }

    pub(crate) fn ours<T: Into<Round>>(measure: impl FnMut() -> Result<T> + 'a) -> Self {
        Self::new(Role::Ours, "wix-visitor", measure)
    }

    pub(crate) fn peer<T: Into<Round>>(name: &'static str, measure: impl FnMut() -> Result<T> + 'a) -> Self {
        Self::new(Role::Peer, name, measure)
    }

    pub(crate) fn limit<T: Into<Round>>(name: &'static str, measure: impl FnMut() -> Result<T> + 'a) -> Self {
        Self::new(Role::Limit, name, measure)
    }
}

/// What came of one side: a value for each round.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) role: Role,
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<f64>,
    /// Of all rounds.
    batches: Vec<f64>,
}

impl Measured {
    pub(crate) fn new(role: Role, name: &'static str, rounds: Vec<f64>) -> Self {
        Self { role, name, rounds, batches: Vec::new() }
    }

    /// What is counted, and not measured: the same in each round.
    pub(crate) fn counted(role: Role, name: &'static str, count: f64) -> Self {
        Self::new(role, name, vec![count])
    }

    pub(crate) fn median(&self) -> f64 {
        middle(self.rounds.clone())
    }

    /// How the batches of all rounds are distributed.
    pub(crate) fn distribution(&self) -> Series {
        Series::new(self.role, self.name, percentiles(self.batches.clone()))
    }
}

/// What so many percent of the values do not exceed, and how many percent: the nearest value that there is.
fn percentiles(mut values: Vec<f64>) -> Vec<[f64; 2]> {
    const PERCENT: [f64; 10] = [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9];
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let at = |percent: f64| values.get((last * percent / 100.0).round() as usize).copied().unwrap_or(f64::NAN);
    PERCENT.map(|percent| [percent, at(percent)]).to_vec()
}

/// The first side to the last: of all rounds, the middle one.
pub(crate) fn ratio(sides: &[Measured]) -> f64 {
    let [one, .., other] = sides else { return f64::NAN };
    middle(one.rounds.iter().zip(&other.rounds).map(|(one, other)| one / other).collect())
}

/// The middle one of several values.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_there_is_and_the_order_they_came_in_does_not_matter() {
        let points = percentiles((0..=1000).rev().map(f64::from).collect());
        assert_eq!(points[0], [1.0, 10.0]);
        assert_eq!(points[4], [50.0, 500.0]);
        assert_eq!(points[9], [99.9, 999.0]);
        assert!(percentiles(vec![7.0]).iter().all(|point| point[1] == 7.0));
        assert!(percentiles(Vec::new()).iter().all(|point| point[1].is_nan()));
    }

    #[test]
    fn the_middle_batch_is_the_rounds_value_and_the_round_that_warms_up_leaves_none() {
        let rounds = Rounds { count: 2, ..Rounds::QUICK };
        let mut left = vec![vec![4.0, 6.0, 5.0], vec![1.0, 3.0, 2.0], vec![9.0; 7]];
        let side = Side::ours(|| Ok(left.pop().unwrap_or_default()));
        let measured = rounds.alternate(vec![side]).unwrap();
        assert_eq!(measured[0].rounds, [2.0, 5.0]);
        assert_eq!(measured[0].batches, [1.0, 3.0, 2.0, 4.0, 6.0, 5.0]);
    }
}
