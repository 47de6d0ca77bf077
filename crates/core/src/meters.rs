//! Numbers for operators, through the facade of the `metrics` crate: the only place that names one.
//!
//! Each handle is looked up once, when a site is built, so that a count is one atomic addition. Without the feature `metrics`
//! the handles have no size and do nothing, and so has and does everything in here.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::events::{EventKind, LossReason};
use crate::key::ClientId;
use crate::sight::{GrantKind, GrantOutcome, Operation, StoreOutcome};
use handles::{Counter, Gauge, Handles, Histogram};

/// What there is: kind, name, what it says. `docs/operations.md` says more.
const ALL: [(Kind, &str, &str); 13] = [
    (Kind::Counter, GRANTS, "Grants that were sent, by how they ended."),
    (Kind::Gauge, GRANTS_IN_FLIGHT, "Grants that were sent and not answered yet."),
    (Kind::Seconds, GRANT_DURATION, "How long a grant took."),
    (Kind::Counter, VISITORS_LOST, "Visitors that were replaced, or cannot go on."),
    (Kind::Counter, SESSIONS_ENDED, "Members whose refresh token was refused."),
    (Kind::Counter, CLAIMS_TAKEN_OVER, "Claims that their holders let run out, and that were taken over."),
    (Kind::Counter, SNAPSHOT_HITS, "Calls that were answered from memory."),
    (Kind::Counter, SNAPSHOT_MISSES, "Calls that had to wait for a token."),
    (Kind::Gauge, WAITERS, "Calls that wait for a token."),
    (Kind::Counter, STORE_OPERATIONS, "Store operations, by how they ended."),
    (Kind::Seconds, STORE_DURATION, "How long a store operation took."),
    (Kind::Gauge, UNSAVED, "Visitors whose tokens are in memory and not in the store."),
    (Kind::Gauge, UNSAVED_SINCE, "Since when the oldest of them waits, as a Unix time; 0 if none does."),
];

const GRANTS: &str = "wix_visitor_grants_total";
const GRANTS_IN_FLIGHT: &str = "wix_visitor_grants_in_flight";
const GRANT_DURATION: &str = "wix_visitor_grant_duration_seconds";
const VISITORS_LOST: &str = "wix_visitor_visitors_lost_total";
const SESSIONS_ENDED: &str = "wix_visitor_member_sessions_ended_total";
const CLAIMS_TAKEN_OVER: &str = "wix_visitor_claims_taken_over_total";
const SNAPSHOT_HITS: &str = "wix_visitor_snapshot_hits_total";
const SNAPSHOT_MISSES: &str = "wix_visitor_snapshot_misses_total";
const WAITERS: &str = "wix_visitor_waiters";
const STORE_OPERATIONS: &str = "wix_visitor_store_operations_total";
const STORE_DURATION: &str = "wix_visitor_store_duration_seconds";
const UNSAVED: &str = "wix_visitor_unsaved";
const UNSAVED_SINCE: &str = "wix_visitor_unsaved_since_timestamp_seconds";

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    /// A histogram.
    Seconds,
}

/// The numbers of one site.
#[derive(Debug)]
pub(crate) struct Meters {
    grants: [GrantMeters; GrantKind::ALL.len()],
    lost: [Counter; REASONS.len()],
    sessions_ended: Counter,
    claims_taken_over: Counter,
    hits: Counter,
    misses: Counter,
    waiters: Gauge,
    store: [StoreMeters; Operation::ALL.len()],
}

#[derive(Debug)]
struct GrantMeters {
    outcomes: [Counter; GrantOutcome::ALL.len()],
    in_flight: Gauge,
    duration: Histogram,
}

#[derive(Debug)]
struct StoreMeters {
    outcomes: [Counter; StoreOutcome::ALL.len()],
    duration: Histogram,
}

const REASONS: [(LossReason, &str); 3] = [
    (LossReason::Refused, "refused"),
    (LossReason::NoRefreshToken, "no_refresh_token"),
    (LossReason::Superseded, "superseded"),
];

impl Meters {
    /// Those of this site, all of them at 0: what was never counted shows as such, and not as missing.
    pub(crate) fn new(site: &ClientId) -> Self {
        let site = Handles::of(site);
        ALL.iter().for_each(|(kind, name, text)| site.describe(*kind, name, text));
        Self {
            grants: GrantKind::ALL.map(|kind| {
                let kind = ("kind", kind.name());
                GrantMeters {
                    outcomes: GrantOutcome::ALL.map(|one| site.counter(GRANTS, &[kind, ("outcome", one.name())])),
                    in_flight: site.gauge(GRANTS_IN_FLIGHT, &[kind]),
                    duration: site.histogram(GRANT_DURATION, &[kind]),
                }
            }),
            lost: REASONS.map(|(_, reason)| site.counter(VISITORS_LOST, &[("reason", reason)])),
            sessions_ended: site.counter(SESSIONS_ENDED, &[]),
            claims_taken_over: site.counter(CLAIMS_TAKEN_OVER, &[]),
            hits: site.counter(SNAPSHOT_HITS, &[]),
            misses: site.counter(SNAPSHOT_MISSES, &[]),
            waiters: site.gauge(WAITERS, &[]),
            store: Operation::ALL.map(|operation| {
                let operation = ("operation", operation.name());
                let counter = |one: StoreOutcome| site.counter(STORE_OPERATIONS, &[operation, ("outcome", one.name())]);
                StoreMeters {
                    outcomes: StoreOutcome::ALL.map(counter),
                    duration: site.histogram(STORE_DURATION, &[operation]),
                }
            }),
        }
    }

    /// A call was answered from memory.
    #[inline]
    pub(crate) fn hit(&self) {
        self.hits.increment(1);
    }

    /// A call waits, until what is returned is dropped.
    pub(crate) fn wait(&self) -> impl Drop + Send + '_ {
        self.misses.increment(1);
        Up::new(&self.waiters)
    }

    /// A grant is in flight, until what is returned is dropped.
    pub(crate) fn grant_sent(&self, kind: GrantKind) -> impl Drop + Send + '_ {
        // Here and below: the arrays are made from all that there are, in the order of their numbers.
        Up::new(&self.grants[kind as usize].in_flight)
    }

    /// A grant ended like this.
    pub(crate) fn grant_ended(&self, kind: GrantKind, outcome: GrantOutcome, took: Duration) {
        let meters = &self.grants[kind as usize];
        meters.outcomes[outcome as usize].increment(1);
        if outcome != GrantOutcome::Abandoned {
            meters.duration.record(took.as_secs_f64());
        }
    }

    /// A store operation ended like this.
    pub(crate) fn store_ended(&self, operation: Operation, outcome: StoreOutcome, took: Duration) {
        let meters = &self.store[operation as usize];
        meters.outcomes[outcome as usize].increment(1);
        if outcome != StoreOutcome::Abandoned {
            meters.duration.record(took.as_secs_f64());
        }
    }

    /// This was reported.
    pub(crate) fn event(&self, event: &EventKind) {
        match event {
            EventKind::VisitorLost(lost) => {
                let counted = REASONS.iter().zip(&self.lost).find(|((reason, _), _)| *reason == lost.reason);
                counted.into_iter().for_each(|(_, counter)| counter.increment(1));
            }
            EventKind::MemberSessionEnded => self.sessions_ended.increment(1),
            EventKind::ClaimTakenOver => self.claims_taken_over.increment(1),
            _ => {}
        }
    }
}

/// The numbers of what is not in the store yet.
#[derive(Debug)]
pub(crate) struct UnsavedMeters {
    count: Gauge,
    since: Gauge,
}

impl UnsavedMeters {
    pub(crate) fn new(site: &ClientId) -> Self {
        let site = Handles::of(site);
        Self { count: site.gauge(UNSAVED, &[]), since: site.gauge(UNSAVED_SINCE, &[]) }
    }

    /// One more waits, and the oldest since then.
    pub(crate) fn came(&self, oldest: Option<Timestamp>) {
        self.count.increment(1.0);
        self.since(oldest);
    }

    /// So many no longer do, and the oldest of the others waits since then.
    pub(crate) fn went(&self, count: u32, oldest: Option<Timestamp>) {
        self.count.decrement(f64::from(count));
        self.since(oldest);
    }

    fn since(&self, oldest: Option<Timestamp>) {
        // Exact: milliseconds of this millennium have fewer bits than a float has for them.
        #[allow(clippy::cast_precision_loss)]
        self.since.set(oldest.map_or(0.0, |since| since.as_millis() as f64 / 1e3));
    }
}

/// One more of what a gauge counts, for as long as this lives.
struct Up<'a>(&'a Gauge);

impl<'a> Up<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(feature = "metrics")]
mod handles {
    pub(super) use metrics::{Counter, Gauge, Histogram};
    use metrics::{Key, KeyName, Label, Level, Metadata, SharedString, Unit};

    use super::Kind;
    use crate::key::ClientId;

    static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

    /// Looks up handles, each with the label `site`. No other label comes from outside of this file's constants.
    pub(super) struct Handles(SharedString);

    impl Handles {
        pub(super) fn of(site: &ClientId) -> Self {
            Self(site.as_str().to_owned().into())
        }

        pub(super) fn describe(&self, kind: Kind, name: &'static str, text: &'static str) {
            let (name, text) = (KeyName::from(name), SharedString::from(text));
            metrics::with_recorder(|recorder| match kind {
                Kind::Counter => recorder.describe_counter(name, Some(Unit::Count), text),
                Kind::Gauge => recorder.describe_gauge(name, None, text),
                Kind::Seconds => recorder.describe_histogram(name, Some(Unit::Seconds), text),
            });
        }

        pub(super) fn counter(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Counter {
            metrics::with_recorder(|recorder| recorder.register_counter(&self.key(name, labels), &METADATA))
        }

        pub(super) fn gauge(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Gauge {
            metrics::with_recorder(|recorder| recorder.register_gauge(&self.key(name, labels), &METADATA))
        }

        pub(super) fn histogram(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Histogram {
            metrics::with_recorder(|recorder| recorder.register_histogram(&self.key(name, labels), &METADATA))
        }

        fn key(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
            let site = Label::new("site", self.0.clone());
            let others = labels.iter().map(|(key, value)| Label::from_static_parts(key, value));
            Key::from_parts(name, std::iter::once(site).chain(others).collect::<Vec<_>>())
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod handles {
    use super::Kind;
    use crate::key::ClientId;

    #[derive(Debug)]
    pub(super) struct Counter;

    impl Counter {
        #[inline]
        pub(super) fn increment(&self, _: u64) {}
    }

    #[derive(Debug)]
    pub(super) struct Gauge;

    impl Gauge {
        #[inline]
        pub(super) fn increment(&self, _: f64) {}

        #[inline]
        pub(super) fn decrement(&self, _: f64) {}

        #[inline]
        pub(super) fn set(&self, _: f64) {}
    }

    #[derive(Debug)]
    pub(super) struct Histogram;

    impl Histogram {
        #[inline]
        pub(super) fn record(&self, _: f64) {}
    }

    pub(super) struct Handles;

    impl Handles {
        pub(super) fn of(_: &ClientId) -> Self {
            Self
        }

        pub(super) fn describe(&self, _: Kind, _: &str, _: &str) {}

        pub(super) fn counter(&self, _: &str, _: &[(&str, &str)]) -> Counter {
            Counter
        }

        pub(super) fn gauge(&self, _: &str, _: &[(&str, &str)]) -> Gauge {
            Gauge
        }

        pub(super) fn histogram(&self, _: &str, _: &[(&str, &str)]) -> Histogram {
            Histogram
        }
    }
}

#[cfg(all(test, not(feature = "metrics")))]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_the_numbers_take_no_room() {
        assert_eq!(size_of::<Meters>() + size_of::<UnsavedMeters>(), 0);
    }
}
