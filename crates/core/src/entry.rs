//! One visitor in this process: its snapshot, and the one flight that may be under way for it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

use crate::clock::{Now, Timestamp};
use crate::error::Error;
use crate::key::{StoreKey, VisitorId};
use crate::name::Name;
use crate::policy::Policy;
use crate::protocol::flight::Landing;
use crate::protocol::reconcile::{Held, newer};
use crate::protocol::schedule::Schedule;
use crate::protocol::watch::Watch;
use crate::record::Version;
use crate::store::Etag;

/// This process's copy of a visitor's record, ready to serve from.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) held: Held,
    pub(crate) header: Option<HeaderValue>,
    pub(crate) schedule: Schedule,
    /// When it was last compared with the store, or found to need no comparison: in milliseconds of the wall clock.
    looked: AtomicI64,
}

impl Snapshot {
    fn new(held: Held, policy: &Policy, spread: u64) -> Self {
        let chain = held.record.chain();
        let header = chain.and_then(|chain| chain.tokens.access.as_ref()?.value.to_header());
        let schedule = match (chain, &header) {
            (Some(chain), Some(_)) => Schedule::of(chain, policy, spread),
            _ => Schedule::NONE,
        };
        // What is not in the store yet wants a flight, whatever its age.
        let schedule = if held.etag.is_some() { schedule } else { schedule.due_now() };
        let looked = AtomicI64::new(held.seen.wall.as_millis());
        Self { held, header, schedule, looked }
    }

    /// How many milliseconds ago that was; for ever, if the clock has been set back since.
    pub(crate) fn unlooked(&self, now: Timestamp) -> u64 {
        u64::try_from(now.as_millis().saturating_sub(self.looked.load(Ordering::Relaxed))).unwrap_or(u64::MAX)
    }

    pub(crate) fn needs_no_look(&self, now: Timestamp) {
        self.looked.store(now.as_millis(), Ordering::Relaxed);
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.held.record.bytes()
    }
}

/// What those who wait for a flight are told: first that something was published, at last how it ended.
pub(crate) type Progress = Option<Result<Landing, Error>>;

/// A visitor in this process.
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) key: StoreKey,
    pub(crate) id: VisitorId,
    pub(crate) spread: u64,
    snapshot: ArcSwapOption<Snapshot>,
    /// No renewal starts by itself before this moment, in milliseconds of the monotonic clock.
    quiet_until: AtomicU64,
    /// Rung when the store told of a change made elsewhere.
    pub(crate) news: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// The flight under way.
    pub(crate) flight: Option<watch::Receiver<Progress>>,
    /// Whether somebody waited for it from the start.
    pub(crate) shared: bool,
    /// How often the application set tokens or forgot.
    intents: u64,
    pub(crate) watch: Watch,
    pub(crate) saving: bool,
    /// The room among what is not in the store yet, from before a grant is sent until what it brought is saved.
    pub(crate) outbox: Option<OwnedSemaphorePermit>,
    /// Since when this is noted as not being in the store, on the monotonic clock.
    pub(crate) unsaved_since: Option<Duration>,
    attachments: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl State {
    pub(crate) fn intents(&self) -> u64 {
        self.intents
    }
}

impl Entry {
    /// The least that one takes in memory, with its place in the cache.
    pub(crate) const SMALLEST: u64 = 512;

    pub(crate) fn new(key: StoreKey, name: Name) -> Self {
        Self {
            id: key.visitor_id(),
            spread: key.spread(),
            key,
            name,
            news: Notify::new(),
            snapshot: ArcSwapOption::empty(),
            quiet_until: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// The visitor key was empty: a session without an id is not one visitor, it is everybody.
    pub(crate) fn is_nameless(&self) -> bool {
        self.name.as_str().is_empty()
    }

    /// What it takes in memory, about: in steps, so that the cache need not hear of each small change.
    pub(crate) fn bytes(&self) -> u64 {
        const STEP: u64 = 128;
        // The name stands in the cache as well.
        let own = size_of::<Self>() + self.key.as_str().len() + 2 * self.name.as_str().len();
        let all = own + self.snapshot.load().as_ref().map_or(0, |snapshot| snapshot.bytes());
        // A third more for its places in the cache and what an allocator adds, as `cargo xtask bench crowd` finds.
        let all = all + all / 3;
        u64::try_from(all).unwrap_or(u64::MAX).next_multiple_of(STEP).max(Self::SMALLEST)
    }

    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Option<Arc<Snapshot>>> {
        self.snapshot.load()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock; were it poisoned, its plain values would still hold.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn held(&self) -> Option<Held> {
        self.snapshot.load().as_ref().map(|snapshot| snapshot.held.clone())
    }

    /// Where in which lineage this process is.
    pub(crate) fn version(&self) -> Option<Version> {
        self.snapshot.load().as_ref().and_then(|snapshot| snapshot.held.record.version())
    }

    /// The version that the store was last known to have.
    pub(crate) fn etag(&self) -> Option<Etag> {
        self.snapshot.load().as_ref().and_then(|snapshot| snapshot.held.etag)
    }

    /// When what is not in the store yet was got, if that is so.
    pub(crate) fn unsaved_since(&self) -> Option<Now> {
        let snapshot = self.snapshot.load();
        snapshot.as_ref().filter(|snapshot| snapshot.held.etag.is_none()).map(|snapshot| snapshot.held.seen)
    }

    pub(crate) fn is_unsaved(&self) -> bool {
        self.snapshot.load().as_ref().is_some_and(|snapshot| snapshot.held.etag.is_none())
    }

    /// Takes what a flight brought. If the application set tokens or forgot since the flight took off, only news of the very
    /// identity that it chose counts.
    pub(crate) fn publish(&self, held: Option<Held>, intents: u64, policy: &Policy) {
        let state = self.state();
        if state.intents != intents {
            let lineage = |held: &Held| held.record.version().map(|version| version.lineage);
            let chosen = self.snapshot.load().as_ref().and_then(|snapshot| lineage(&snapshot.held));
            if chosen != held.as_ref().and_then(lineage) {
                return;
            }
        }
        self.snapshot.store(held.map(|held| Arc::new(Snapshot::new(held, policy, self.spread))));
    }

    /// Takes what was found in the store, if nothing was known yet.
    pub(crate) fn discover(&self, held: Held, policy: &Policy) {
        let state = self.state();
        if self.snapshot.load().is_none() && state.flight.is_none() {
            self.snapshot.store(Some(Arc::new(Snapshot::new(held, policy, self.spread))));
        }
    }

    /// Takes what the application decided, unless something newer is there already: a later decision, or what a renewal has made
    /// of this one.
    pub(crate) fn impose(&self, held: Held, policy: &Policy) {
        let mut state = self.state();
        state.intents += 1;
        self.quiet_until.store(0, Ordering::Relaxed);
        let later =
            self.snapshot.load().as_ref().is_some_and(|now| newer(&now.held.record, &held.record, held.seen.wall));
        if !later {
            self.snapshot.store(Some(Arc::new(Snapshot::new(held, policy, self.spread))));
        }
    }

    pub(crate) fn is_quiet(&self, now: Duration) -> bool {
        now.as_millis() < u128::from(self.quiet_until.load(Ordering::Relaxed))
    }

    pub(crate) fn keep_quiet_until(&self, moment: Duration) {
        self.quiet_until.store(u64::try_from(moment.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn attachment<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut state = self.state();
        let slot = state.attachments.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The slot of a type holds that type; a fresh one is the only sensible answer were it ever not so.
        Arc::clone(slot).downcast().unwrap_or_default()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::ClientId;
    use crate::protocol::testing::{record, saved};
    use crate::record::Record;
    use crate::secret::Secret;

    fn entry() -> Entry {
        let client = ClientId::new("client").unwrap();
        Entry::new(StoreKey::new("issuer", &client, &Secret::new("somebody")), Name::new("somebody"))
    }

    fn of_epoch(lineage: u128, epoch: u64) -> Held {
        saved(Record { epoch, ..record(lineage, 0) }, 0)
    }

    #[test]
    fn an_intent_that_was_overtaken_by_a_later_one_does_not_come_back() {
        let (entry, policy) = (entry(), Policy::default());
        entry.publish(Some(of_epoch(3, 2)), 0, &policy);
        entry.impose(of_epoch(2, 1), &policy);
        assert_eq!(entry.held(), Some(of_epoch(3, 2)));
        entry.impose(of_epoch(4, 3), &policy);
        assert_eq!(entry.held(), Some(of_epoch(4, 3)));
    }

    #[test]
    fn an_intent_whose_first_try_was_applied_unheard_does_not_undo_the_renewal_that_followed_it() {
        let (entry, policy) = (entry(), Policy::default());
        let renewed = Held { record: Record { epoch: 1, ..record(2, 1) }, etag: None, ..saved(record(2, 1), 0) };
        entry.publish(Some(renewed.clone()), 0, &policy);
        entry.impose(of_epoch(2, 1), &policy);
        assert_eq!(entry.held(), Some(renewed), "nobody else may have its refresh token");
    }

    #[test]
    fn a_flight_from_before_an_intent_brings_news_of_the_chosen_identity_alone() {
        let (entry, policy) = (entry(), Policy::default());
        let intents = entry.state().intents();
        entry.impose(of_epoch(2, 1), &policy);
        entry.publish(Some(saved(record(1, 9), 0)), intents, &policy);
        assert_eq!(entry.held(), Some(of_epoch(2, 1)));
        entry.publish(Some(saved(record(2, 7), 0)), intents, &policy);
        assert_eq!(entry.held(), Some(saved(record(2, 7), 0)));
    }
}
