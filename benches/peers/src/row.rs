//! A row of the table: what is measured, what it must reach, and what came of it.

use serde::Serialize;

use crate::{
    Result,
    rounds::{Measured, Role, Rounds, middle},
    series::Series,
};

/// A comparison, and what it must reach.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) work: &'static str,
    pub(crate) unit: Unit,
    pub(crate) goals: Vec<Goal>,
    pub(crate) run: Run,
}

pub(crate) type Run = Box<dyn Fn(&Rounds) -> Result<Outcome>>;

/// In what a row is measured, and with it whether less or more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Milliseconds,
    Seconds,
    PerSecond,
    Bytes,
    Count,
    /// The last to the first of a series.
    Times,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Times => "×",
        }
    }

    fn best(self, one: f64, other: f64) -> f64 {
        if self == Self::PerSecond { one.max(other) } else { one.min(other) }
    }
}

/// What is held against a bound.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// Ours, to the best peer.
    Peer,
    /// Ours, to the best peer of another language.
    Foreign,
    /// Ours, to the limit.
    Limit,
    /// Ours beyond the limit, in the row's unit.
    BeyondLimit,
    /// Something that was counted beside it.
    Counted(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    Most(f64),
    Least(f64),
    Equal(f64),
}

/// A bound on something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal(pub(crate) Of, pub(crate) Bound);

impl Goal {
    fn words(&self) -> String {
        let (sign, bound) = match self.1 {
            Bound::Most(bound) => ("≤", bound),
            Bound::Least(bound) => ("≥", bound),
            Bound::Equal(bound) => ("=", bound),
        };
        match self.0 {
            Of::Peer => format!("{sign} {bound} × peer"),
            Of::Foreign => format!("{sign} {bound} × SDK"),
            Of::Limit => format!("{sign} {bound} × limit"),
            Of::BeyondLimit => format!("{sign} limit + {bound}"),
            Of::Counted(what) => format!("{sign} {bound} {what}"),
        }
    }

    fn met(&self, value: Option<f64>) -> bool {
        value.is_some_and(|value| match self.1 {
            Bound::Most(bound) => value <= bound,
            Bound::Least(bound) => value >= bound,
            Bound::Equal(bound) => value == bound,
        })
    }
}

/// What came of a row.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sides: Vec<Measured>,
    /// What was counted beside it.
    pub(crate) counted: Vec<(&'static str, f64)>,
    /// What plots are drawn of.
    pub(crate) series: Vec<Series>,
}

impl From<Vec<Measured>> for Outcome {
    fn from(sides: Vec<Measured>) -> Self {
        Self { sides, ..Self::default() }
    }
}

/// A row of the table, as it is told: one line of the file of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) id: &'static str,
    pub(crate) work: &'static str,
    /// Not a number, which JSON calls `null`, where it was not measured.
    pub(crate) ours: f64,
    /// The best of them.
    pub(crate) peer: Option<f64>,
    pub(crate) limit: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) vs_peer: Option<f64>,
    pub(crate) vs_limit: Option<f64>,
    /// Ours to the best peer of another language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vs_foreign: Option<f64>,
    pub(crate) goal: String,
    pub(crate) met: bool,
    /// The least and the most of the rounds' ratios.
    pub(crate) spread_peer: Option<[f64; 2]>,
    pub(crate) spread_limit: Option<[f64; 2]>,
    /// Each other side by its name: the middle of its rounds, and ours to it.
    pub(crate) others: Vec<Other>,
    pub(crate) counted: Vec<(&'static str, f64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) series: Vec<Series>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Other {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) ratio: f64,
}

/// Ours to another side: of the ratios of all rounds the middle, the least and the most.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    middle: f64,
    spread: [f64; 2],
}

impl Ratio {
    fn new(ours: &Measured, other: &Measured) -> Self {
        let ratios: Vec<_> = ours.rounds.iter().zip(&other.rounds).map(|(ours, other)| ours / other).collect();
        let of = |pick: fn(f64, f64) -> f64| ratios.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        Self { spread: [of(f64::min), of(f64::max)], middle: middle(ratios) }
    }
}

impl Row {
    /// Measures it.
    pub(crate) fn tell(&self, rounds: &Rounds) -> Result<Told> {
        let Outcome { sides, counted, series } = (self.run)(rounds)?;
        let ours = sides.iter().find(|side| side.role == Role::Ours).ok_or("a row without ours")?;
        let best = |role| {
            let of = sides.iter().filter(|side| side.role == role);
            of.reduce(
                |one, other| if self.unit.best(one.median(), other.median()) == one.median() { one } else { other },
            )
        };
        let (peer, foreign, limit) = (best(Role::Peer), best(Role::Foreign), best(Role::Limit));
        let [vs_peer, vs_foreign, vs_limit] =
            [peer, foreign, limit].map(|other| other.map(|other| Ratio::new(ours, other)));
        let value = |of| match of {
            Of::Peer => vs_peer.map(|ratio| ratio.middle),
            Of::Foreign => vs_foreign.map(|ratio| ratio.middle),
            Of::Limit => vs_limit.map(|ratio| ratio.middle),
            Of::BeyondLimit => limit.map(|limit| ours.median() - limit.median()),
            Of::Counted(what) => counted.iter().find(|(name, _)| *name == what).map(|(_, count)| *count),
        };
        let others = sides.iter().filter(|side| side.role != Role::Ours);
        Ok(Told {
            id: self.id,
            work: self.work,
            ours: ours.median(),
            peer: peer.map(Measured::median),
            limit: limit.map(Measured::median),
            unit: self.unit.name(),
            vs_peer: vs_peer.map(|ratio| ratio.middle),
            vs_limit: vs_limit.map(|ratio| ratio.middle),
            vs_foreign: vs_foreign.map(|ratio| ratio.middle),
            goal: self.goals.iter().map(Goal::words).collect::<Vec<_>>().join(", "),
            met: self.goals.iter().all(|goal| goal.met(value(goal.0))),
            spread_peer: vs_peer.map(|ratio| ratio.spread),
            spread_limit: vs_limit.map(|ratio| ratio.spread),
            others: others
                .map(|side| Other { name: side.name, value: side.median(), ratio: Ratio::new(ours, side).middle })
                .collect(),
            counted,
            series,
        })
    }
}
