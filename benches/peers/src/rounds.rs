//! Measures all sides of a comparison in turns, so that a machine that is busy for a while slows each of them.

use std::time::{Duration, Instant};

use crate::Result;

/// How often, and for how long each time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) count: usize,
    /// Of one side in one round, for what can be repeated as often as one likes.
    pub(crate) time: Duration,
    pub(crate) quick: bool,
}

impl Rounds {
    pub(crate) const FULL: Self = Self { count: 9, time: Duration::from_millis(300), quick: false };
    pub(crate) const QUICK: Self = Self { count: 5, time: Duration::from_millis(60), quick: true };

    /// Measures each side once to warm up, and then once in each round; a round begins with another side than the one before.
    pub(crate) fn alternate(&self, mut sides: Vec<Side<'_>>) -> Result<Vec<Measured>> {
        for side in &mut sides {
            (side.measure)()?;
        }
        let mut measured: Vec<_> = sides.iter().map(|side| Measured::new(side.role, side.name)).collect();
        for round in 0..self.count {
            for turn in 0..sides.len() {
                let at = (round + turn) % sides.len();
                measured[at].rounds.push((sides[at].measure)()?);
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
        batches.nanoseconds()
    }

    /// The same of a call that is awaited, all within one task.
    pub(crate) async fn nanoseconds_async(&self, mut call: impl AsyncFnMut()) -> f64 {
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

    fn nanoseconds(mut self) -> f64 {
        // Before the first batch.
        self.nanoseconds.swap_remove(0);
        middle(self.nanoseconds) / f64::from(BATCH)
    }
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Ours,
    /// What users would pick instead.
    Peer,
    /// What users of another language would pick instead.
    Foreign,
    /// The part below, which nobody can be better than by much.
    Limit,
}

/// One side of a comparison: `measure` gives the value of one round, in the row's unit.
pub(crate) struct Side<'a> {
    role: Role,
    name: &'static str,
    measure: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(role: Role, name: &'static str, measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { role, name, measure: Box::new(measure) }
    }

    pub(crate) fn ours(measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self::new(Role::Ours, "wix-visitor", measure)
    }

    pub(crate) fn peer(name: &'static str, measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self::new(Role::Peer, name, measure)
    }

    pub(crate) fn limit(name: &'static str, measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self::new(Role::Limit, name, measure)
    }
}

/// What came of one side: a value for each round.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) role: Role,
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<f64>,
}

impl Measured {
    fn new(role: Role, name: &'static str) -> Self {
        Self { role, name, rounds: Vec::new() }
    }

    /// What is counted, and not measured: the same in each round.
    pub(crate) fn counted(role: Role, name: &'static str, count: f64) -> Self {
        Self { role, name, rounds: vec![count] }
    }

    pub(crate) fn median(&self) -> f64 {
        middle(self.rounds.clone())
    }
}

/// The middle one of several values.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
