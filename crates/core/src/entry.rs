//! One visitor in this process: its snapshot, and the one flight that may be under way for it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapAny;
use http::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::clock::{Now, Timestamp};
use crate::key::{KeyHash, VisitorId};
use crate::packed::{Outline, Packed};
use crate::policy::Policy;
use crate::progress::Waiting;
use crate::protocol::reconcile::{Held, newer};
use crate::protocol::schedule::{Schedule, Term};
use crate::protocol::watch::Watch;
use crate::record::Version;
use crate::secret::owned_header;
use crate::snapshots::Place;
use crate::store::Etag;

/// This process's copy of a visitor's record, ready to serve from.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) header: Option<HeaderValue>,
    /// All of the record; but where there is a header, the access token is in that alone.
    packed: Packed,
    /// A [`Calm`]: it begins when this was last compared with the store, or found to need no comparison.
    calm: AtomicU64,
    /// No renewal starts by itself before this moment, in whole ticks of the monotonic clock.
    quiet_until: AtomicU32,
}

/// A span of time: in ticks of the wall clock, its first in the upper half, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calm(u64);

impl Calm {
    fn new(from: Timestamp, ticks: u32) -> Self {
        Self(u64::from(tick(from)) << 32 | u64::from(ticks))
    }

    #[expect(clippy::cast_possible_truncation, reason = "one half of it")]
    #[inline]
    fn halves(self) -> (u32, u32) {
        ((self.0 >> 32) as u32, self.0 as u32)
    }

    /// A moment before is answered with `false`, too.
    #[inline]
    pub(crate) fn holds_at(self, now: Timestamp) -> bool {
        let (from, ticks) = self.halves();
        tick(now).wrapping_sub(from) < ticks
    }
}

/// How many bits of milliseconds a tick has: 128 of them. Ticks come around every 17 years, which are longer than any of these is
/// compared over.
const TICK: u32 = 7;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they come around")]
#[inline]
fn tick(moment: Timestamp) -> u32 {
    (moment.as_millis() >> TICK) as u32
}

impl Snapshot {
    fn new(held: &Held, policy: &Policy, spread: u64) -> Self {
        let token = held.record.chain().and_then(|chain| chain.tokens.access.as_ref());
        let header = token.and_then(|token| owned_header(&token.value));
        let packed = Packed::new(held, header.is_some());
        let snapshot = Self { header, packed, calm: AtomicU64::default(), quiet_until: AtomicU32::default() };
        let schedule = snapshot.schedule(&snapshot.outline(), policy, spread);
        snapshot.needs_no_look(held.seen.wall, &schedule, policy.look_after);
        snapshot
    }

    /// What can be told of it at a glance.
    pub(crate) fn outline(&self) -> Outline {
        self.packed.outline()
    }

    /// When its token is due, and until when it is usable: of its outline.
    pub(crate) fn schedule(&self, outline: &Outline, policy: &Policy, spread: u64) -> Schedule {
        let schedule = match (outline.term, &self.header) {
            (Some(term), Some(_)) => term.schedule(policy, spread),
            _ => Schedule::NONE,
        };
        // What is not in the store yet wants a flight, whatever its age.
        if outline.etag.is_some() { schedule } else { schedule.due_now() }
    }

    /// While nothing is to be done but to serve its token.
    #[inline]
    pub(crate) fn calm(&self) -> Calm {
        Calm(self.calm.load(Ordering::Relaxed))
    }

    /// It was compared with the store just now, or need not be.
    pub(crate) fn needs_no_look(&self, now: Timestamp, schedule: &Schedule, look_after: Duration) {
        let ends = schedule.attended_at(now).as_millis() >> TICK;
        let serves = u32::try_from(ends.saturating_sub(now.as_millis() >> TICK).max(0)).unwrap_or(u32::MAX);
        let looks = u32::try_from(look_after.as_millis() >> TICK).unwrap_or(u32::MAX).saturating_add(1);
        self.calm.store(Calm::new(now, serves.min(looks)).0, Ordering::Relaxed);
    }

    /// Whether it was not compared with the store for so long; also if the clock has been set back since.
    pub(crate) fn wants_a_look(&self, now: Timestamp, look_after: Duration) -> bool {
        let (looked, _) = self.calm().halves();
        u128::from(tick(now).wrapping_sub(looked)) > look_after.as_millis() >> TICK
    }

    pub(crate) fn held(&self) -> Held {
        self.packed.unpack(self.header.as_ref())
    }

    /// When what it holds was got, if it is not in the store yet.
    fn unsaved_since(&self) -> Option<Now> {
        let outline = self.outline();
        outline.etag.is_none().then_some(outline.seen)
    }

    /// What it takes in memory.
    fn bytes(&self) -> usize {
        // What a header has beyond its text, and each of three allocations.
        const HEADER: usize = 32;
        const ALLOCATIONS: usize = 3 * 16;
        let header = self.header.as_ref().map_or(0, |header| header.len() + HEADER);
        size_of::<Self>() + self.packed.len() + header + ALLOCATIONS
    }
}

/// The access token of a snapshot, shared with it: a pointer, where a header would be moved about in five words.
#[derive(Clone)]
pub(crate) struct Token(triomphe::Arc<Snapshot>);

impl Token {
    /// As the value of an `Authorization` header.
    #[inline]
    pub(crate) fn header(&self) -> &HeaderValue {
        #[expect(
            clippy::expect_used,
            reason = "`Entry::token` makes it of a snapshot that has one, which stays as it is"
        )]
        self.0.header.as_ref().expect("a token's snapshot has a header")
    }

    #[inline]
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.0
    }

    /// What tells it from those before and after it.
    pub(crate) fn term(&self) -> Option<Term> {
        self.0.outline().term
    }
}

/// A visitor in this process. Cheap to clone; clones share everything.
#[derive(Clone)]
pub(crate) struct Entry(triomphe::Arc<Known>);

/// What is known of a visitor.
struct Known {
    hash: KeyHash,
    snapshot: ArcSwapAny<Option<triomphe::Arc<Snapshot>>>,
    /// Of most visitors there is nothing to say.
    state: Mutex<Option<Box<State>>>,
    place: Place,
}

/// What goes on around a visitor.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) flight: Option<UnderWay>,
    /// How often the application set tokens or forgot while a flight was under way.
    intents: u64,
    pub(crate) watch: Watch,
    pub(crate) saving: bool,
    /// The room among what is not in the store yet, from before a grant is sent until what it brought is saved.
    pub(crate) outbox: Option<OwnedSemaphorePermit>,
    /// Since when this is noted as not being in the store, on the monotonic clock.
    pub(crate) unsaved_since: Option<Duration>,
    attachments: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

/// A flight under way.
pub(crate) struct UnderWay {
    pub(crate) waiting: Waiting,
    /// Whether somebody waited for it from the start.
    pub(crate) shared: bool,
    /// Rung when the store told of a change made elsewhere.
    pub(crate) news: Arc<Notify>,
}

impl State {
    pub(crate) fn intents(&self) -> u64 {
        self.intents
    }

    fn is_idle(&self) -> bool {
        let Self { flight, intents: _, watch, saving, outbox, unsaved_since, attachments } = self;
        flight.is_none()
            && !saving
            && outbox.is_none()
            && unsaved_since.is_none()
            && attachments.is_empty()
            && *watch == Watch::default()
    }
}

impl Entry {
    /// One of whom nothing is known.
    pub(crate) fn new(hash: KeyHash) -> Self {
        let (snapshot, state) = (ArcSwapAny::default(), Mutex::default());
        Self(triomphe::Arc::new(Known { hash, snapshot, state, place: Place::default() }))
    }

    #[inline]
    pub(crate) fn hash(&self) -> &KeyHash {
        &self.0.hash
    }

    pub(crate) fn id(&self) -> VisitorId {
        self.hash().visitor_id()
    }

    pub(crate) fn spread(&self) -> u64 {
        self.hash().spread()
    }

    /// Where it is kept.
    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// Whether somebody besides the cache has it.
    pub(crate) fn is_in_use(&self) -> bool {
        triomphe::Arc::count(&self.0) > 1
    }

    /// What it takes in memory, with its place in the cache, about: in steps, so that the cache need not hear of each small change.
    pub(crate) fn bytes(&self) -> u32 {
        const STEP: usize = 128;
        /// Of the table, with room to grow, and what the allocator loses between many that come and go.
        const PLACE: usize = 128;
        let all = PLACE + size_of::<Known>() + self.snapshot().as_ref().map_or(0, |snapshot| snapshot.bytes());
        u32::try_from(all.next_multiple_of(STEP)).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Option<triomphe::Arc<Snapshot>>> {
        self.0.snapshot.load()
    }

    /// Its access token, if it has one, whatever that is worth.
    #[inline]
    pub(crate) fn token(&self) -> Option<Token> {
        self.0.snapshot.load_full().filter(|snapshot| snapshot.header.is_some()).map(Token)
    }

    /// What tells its access token, if it has one, from those before and after it.
    pub(crate) fn term(&self) -> Option<Term> {
        self.snapshot().as_ref().and_then(|snapshot| snapshot.outline().term)
    }

    fn keep(&self, snapshot: Option<Snapshot>) {
        self.0.snapshot.store(snapshot.map(triomphe::Arc::new));
    }

    /// Does something with what goes on, under a lock.
    pub(crate) fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Nothing that can panic runs under the lock; were it poisoned, its plain values would still hold.
        let mut place = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = place.get_or_insert_default();
        let done = act(state);
        if state.is_idle() {
            *place = None;
        }
        done
    }

    pub(crate) fn held(&self) -> Option<Held> {
        self.snapshot().as_ref().map(|snapshot| snapshot.held())
    }

    /// Whether it has an access token, whatever that is worth: nobody who is forgotten or retired has one.
    pub(crate) fn has_token(&self) -> bool {
        self.snapshot().as_ref().is_some_and(|snapshot| snapshot.header.is_some())
    }

    /// Where in which lineage this process is.
    pub(crate) fn version(&self) -> Option<Version> {
        self.held().and_then(|held| held.record.version())
    }

    /// The version that the store was last known to have.
    pub(crate) fn etag(&self) -> Option<Etag> {
        self.snapshot().as_ref().and_then(|snapshot| snapshot.packed.etag())
    }

    /// When what is not in the store yet was got, if that is so.
    pub(crate) fn unsaved_since(&self) -> Option<Now> {
        self.snapshot().as_ref().and_then(|snapshot| snapshot.unsaved_since())
    }

    pub(crate) fn is_unsaved(&self) -> bool {
        self.snapshot().as_ref().is_some_and(|snapshot| snapshot.packed.etag().is_none())
    }

    /// The store told of a change made elsewhere.
    pub(crate) fn ring(&self) {
        self.state(|state| {
            if let Some(flight) = &state.flight {
                flight.news.notify_waiters();
            }
        });
    }

    pub(crate) fn is_quiet(&self, now: Duration) -> bool {
        let until = self.snapshot().as_ref().map_or(0, |snapshot| snapshot.quiet_until.load(Ordering::Relaxed));
        now.as_millis() < u128::from(until) << TICK
    }

    pub(crate) fn keep_quiet_until(&self, moment: Duration) {
        if let Some(snapshot) = &*self.snapshot() {
            // A tick too early is met by the pause that the record or the endpoint asks for.
            let until = u32::try_from(moment.as_millis() >> TICK).unwrap_or(u32::MAX);
            snapshot.quiet_until.store(until, Ordering::Relaxed);
        }
    }

    pub(crate) fn attachment<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let of = TypeId::of::<T>();
        let found = self.state(|state| state.attachments.get(&of).map(Arc::clone));
        let slot = found.unwrap_or_else(|| {
            // Made while the lock is free: what it does is not ours to know.
            let fresh: Arc<dyn Any + Send + Sync> = Arc::new(T::default());
            self.state(|state| Arc::clone(state.attachments.entry(of).or_insert_with(|| Arc::clone(&fresh))))
        });
        // The slot of a type holds that type; a fresh one is the only sensible answer were it ever not so.
        slot.downcast().unwrap_or_default()
    }

    fn take(&self, held: Option<&Held>, policy: &Policy) {
        self.keep(held.map(|held| Snapshot::new(held, policy, self.spread())));
    }

    /// Takes what a flight brought. If the application set tokens or forgot since the flight took off, only news of the very
    /// identity that it chose counts.
    pub(crate) fn publish(&self, held: Option<&Held>, intents: u64, policy: &Policy) {
        self.state(|state| {
            if state.intents != intents {
                let lineage = |held: &Held| held.record.version().map(|version| version.lineage);
                let chosen = self.held().as_ref().and_then(lineage);
                if chosen != held.and_then(lineage) {
                    return;
                }
            }
            self.take(held, policy);
        });
    }

    /// Takes what was found in the store, if nothing was known yet.
    pub(crate) fn discover(&self, held: &Held, policy: &Policy) {
        self.state(|state| {
            if self.snapshot().is_none() && state.flight.is_none() {
                self.take(Some(held), policy);
            }
        });
    }

    /// Takes what the application decided, unless something newer is there already: a later decision, or what a renewal has made
    /// of this one.
    pub(crate) fn impose(&self, held: &Held, policy: &Policy) {
        self.state(|state| {
            state.intents += 1;
            let later = self.held().is_some_and(|now| newer(&now.record, &held.record, held.seen.wall));
            if later {
                self.keep_quiet_until(Duration::ZERO);
            } else {
                self.take(Some(held), policy);
            }
        });
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{ClientId, SiteKeys};
    use crate::protocol::testing::{record, saved};
    use crate::record::Record;

    /// A visitor for whom a flight is under way.
    fn entry() -> Entry {
        let keys = SiteKeys::new("issuer", &ClientId::new("client").unwrap());
        let entry = Entry::new(keys.hash("somebody"));
        let flight = UnderWay {
            waiting: crate::progress::Progress::new(Arc::new(crate::clock::SystemClock::default())).1,
            shared: true,
            news: Arc::default(),
        };
        entry.state(|state| state.flight = Some(flight));
        entry
    }

    fn of_epoch(lineage: u128, epoch: u64) -> Held {
        saved(Record { epoch, ..record(lineage, 0) }, 0)
    }

    #[test]
    fn a_token_and_its_copies_stay_what_they_were_when_the_visitor_has_another_or_none() {
        let (entry, policy) = (entry(), Policy::default());
        assert!(entry.token().is_none());
        entry.publish(Some(&of_epoch(3, 0)), 0, &policy);
        let (token, copy) = (entry.token().unwrap(), entry.token().unwrap().clone());
        let (text, before) = (token.header().clone(), of_epoch(3, 0));
        for next in [Some(of_epoch(4, 1)), None] {
            entry.publish(next.as_ref(), 0, &policy);
            assert_eq!((token.header(), copy.header()), (&text, &text));
            assert_eq!(token.snapshot().held(), before);
        }
        assert!(entry.token().is_none());
    }

    #[test]
    fn an_intent_that_was_overtaken_by_a_later_one_does_not_come_back() {
        let (entry, policy) = (entry(), Policy::default());
        entry.publish(Some(&of_epoch(3, 2)), 0, &policy);
        entry.impose(&of_epoch(2, 1), &policy);
        assert_eq!(entry.held(), Some(of_epoch(3, 2)));
        entry.impose(&of_epoch(4, 3), &policy);
        assert_eq!(entry.held(), Some(of_epoch(4, 3)));
    }

    #[test]
    fn an_intent_whose_first_try_was_applied_unheard_does_not_undo_the_renewal_that_followed_it() {
        let (entry, policy) = (entry(), Policy::default());
        let renewed = Held { record: Record { epoch: 1, ..record(2, 1) }, etag: None, ..saved(record(2, 1), 0) };
        entry.publish(Some(&renewed), 0, &policy);
        entry.impose(&of_epoch(2, 1), &policy);
        assert_eq!(entry.held(), Some(renewed), "nobody else may have its refresh token");
    }

    #[test]
    fn a_flight_from_before_an_intent_brings_news_of_the_chosen_identity_alone() {
        let (entry, policy) = (entry(), Policy::default());
        let intents = entry.state(|state| state.intents());
        entry.impose(&of_epoch(2, 1), &policy);
        entry.publish(Some(&saved(record(1, 9), 0)), intents, &policy);
        assert_eq!(entry.held(), Some(of_epoch(2, 1)));
        entry.publish(Some(&saved(record(2, 7), 0)), intents, &policy);
        assert_eq!(entry.held(), Some(saved(record(2, 7), 0)));
    }

    #[test]
    fn of_a_visitor_with_whom_nothing_goes_on_nothing_is_kept_but_the_snapshot() {
        let entry = entry();
        assert!(entry.0.state.lock().unwrap().is_some());
        entry.state(|state| state.flight = None);
        assert!(entry.0.state.lock().unwrap().is_none());
        let attached = entry.attachment::<AtomicU32>();
        assert!(Arc::ptr_eq(&attached, &entry.attachment()), "an attachment stays");
    }

    #[test]
    fn there_is_nothing_to_do_but_to_serve_until_a_look_is_due_or_the_token_and_after_the_clock_was_set_back() {
        let entry = entry();
        // It ends after four hours.
        let policy = Policy { jitter: Duration::ZERO, ..Policy::default() };
        entry.impose(&of_epoch(2, 1), &policy);
        let snapshot = entry.snapshot();
        let snapshot = snapshot.as_ref().unwrap();
        let schedule = snapshot.schedule(&snapshot.outline(), &policy, entry.spread());
        let at = Timestamp::from_millis;
        let after = policy.look_after;
        let millis = i64::try_from(after.as_millis()).unwrap();
        snapshot.needs_no_look(at(128_000), &schedule, after);
        assert!(snapshot.calm().holds_at(at(128_000)) && !snapshot.wants_a_look(at(128_000), after));
        assert!(snapshot.calm().holds_at(at(127_999 + millis)) && !snapshot.wants_a_look(at(127_999 + millis), after));
        assert!(!snapshot.calm().holds_at(at(128_256 + millis)) && snapshot.wants_a_look(at(128_256 + millis), after));
        assert!(!snapshot.calm().holds_at(at(127_000)) && snapshot.wants_a_look(at(127_000), after));
        let due = schedule.due_at().as_millis();
        snapshot.needs_no_look(at(due - 1_000), &schedule, after);
        assert!(snapshot.calm().holds_at(at(due - 500)) && !snapshot.calm().holds_at(at(due)));
        assert!(!snapshot.wants_a_look(at(due), after), "a renewal is due, and no look");
        snapshot.needs_no_look(at(due), &schedule, after);
        assert!(!snapshot.calm().holds_at(at(due)) && !snapshot.calm().holds_at(at(due + 1)));
        snapshot.needs_no_look(at(-10_000_000), &schedule, after);
        assert!(!snapshot.calm().holds_at(at(-10_000_000)), "its end lies further off than it lives");
    }

    #[test]
    fn what_is_not_in_the_store_is_never_left_in_peace() {
        let entry = entry();
        entry.impose(&Held { etag: None, ..of_epoch(2, 1) }, &Policy::default());
        let snapshot = entry.snapshot();
        assert!(!snapshot.as_ref().unwrap().calm().holds_at(Timestamp::default()));
    }
}
