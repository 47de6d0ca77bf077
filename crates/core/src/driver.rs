//! Performs what the protocol decides: the only place where the flow meets store, endpoint, clock and runtime.

use std::error::Error as _;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};
use tracing::{Instrument, Span};

use crate::clock::{Clock, Entropy};
use crate::elsewhere::Elsewhere;
use crate::endpoint::{GrantError, GrantFailure, TokenEndpoint};
use crate::entry::{Entry, UnderWay};
use crate::error::{Error, ErrorKind, StoreError, StoreErrorKind};
use crate::events::{Event, EventKind};
use crate::health::Checkup;
use crate::key::{ClientId, KeyHash, SiteKeys, StoreKey};
use crate::meters::Meters;
use crate::policy::Policy;
use crate::progress::{Progress, Waiting};
use crate::protocol::admission::{Admission, Pass, Purpose};
use crate::protocol::flight::{Action, Flight, Goal, Input, Landing, Seen, Swap};
use crate::protocol::intent::{Intent, intended, permitted, stems_from};
use crate::protocol::reconcile::Held;
use crate::protocol::watch::Watch;
use crate::record::{Lineage, Record, decode, encode};
use crate::sight::Operation;
use crate::snapshots::Snapshots;
use crate::spans;
use crate::store::{Etag, Exchange, Stored, TokenStore};
use crate::tasks::{Closing, Tasks};
use crate::unsaved::Unsaved;

/// How much longer than its own deadline an endpoint may take before the flow stops listening.
const GRACE: Duration = Duration::from_millis(250);
/// The least time between two renewals that start by themselves for one visitor.
const QUIET: Duration = Duration::from_secs(5);
/// How soon a failed save is tried again: at first, and at most.
const SAVE_FIRST: Duration = Duration::from_millis(100);
const SAVE_MOST: Duration = Duration::from_secs(5);
/// What room is asked for before a grant: more than any tokens have needed, and less than a store must take.
const ROOM: usize = 32 * 1024;
/// An epoch above any that an application reaches by setting tokens and forgetting: what follows a record that is corrupt.
const EPOCH_OVER_CORRUPT: u64 = 1 << 32;

/// How many events wait for a slow reader before it misses some.
const EVENTS: usize = 1024;

/// What a site is made of.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) client_id: ClientId,
    pub(crate) endpoint: Arc<dyn TokenEndpoint>,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) snapshots: Snapshots,
}

/// What the flights of one site share.
#[derive(Debug)]
pub(crate) struct Driver {
    setup: Setup,
    pub(crate) keys: SiteKeys,
    /// Whom the empty visitor key names: a session without an id is not one visitor, it is everybody.
    pub(crate) nobody: KeyHash,
    pub(crate) events: broadcast::Sender<Event>,
    /// Flights, savers and intents under way: of a visitor one flight and one saver at once, and an intent for each call that waits.
    pub(crate) tasks: Tasks,
    /// No new grants.
    pub(crate) closing: Closing,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) meters: Meters,
    pub(crate) unsaved: Unsaved,
    pub(crate) checkup: Checkup,
    admission: Mutex<Admission>,
    /// Room among what is not in the store yet.
    outbox: Arc<Semaphore>,
}

impl std::ops::Deref for Driver {
    type Target = Setup;

    #[inline]
    fn deref(&self) -> &Setup {
        &self.setup
    }
}

impl Driver {
    pub(crate) fn new(setup: Setup) -> Self {
        let outbox = usize::try_from(setup.policy.unsaved_most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let keys = SiteKeys::new(setup.endpoint.issuer(), &setup.client_id);
        Self {
            nobody: keys.hash(""),
            keys,
            meters: Meters::new(&setup.client_id),
            unsaved: Unsaved::new(&setup.client_id),
            checkup: Checkup::default(),
            setup,
            events: broadcast::Sender::new(EVENTS),
            tasks: Tasks::default(),
            elsewhere: Elsewhere::default(),
            admission: Mutex::default(),
            outbox: Arc::new(Semaphore::new(outbox)),
            closing: Closing::default(),
        }
    }

    /// The flight under way for this visitor, or a new one towards `goal`.
    pub(crate) fn board(self: &Arc<Self>, entry: &Entry, goal: Goal) -> Result<Boarded, Error> {
        let runtime = runtime()?;
        let (boarded, takes_off) = entry.state(|state| {
            if let Some(UnderWay { waiting, shared, .. }) = &state.flight {
                let joined = if *shared { Joined::Shared } else { Joined::Aside };
                return Ok((Boarded { waiting: waiting.clone(), joined: Some(joined) }, None));
            }
            if goal != Goal::Save && self.closing.has_begun() {
                return Err(Error::new(ErrorKind::ShuttingDown, "the site was shut down; no grant is sent"));
            }
            let (progress, waiting) = Progress::new(Arc::clone(&self.clock));
            let news = Arc::<Notify>::default();
            let shared = waited_for(&goal);
            state.flight = Some(UnderWay { waiting: waiting.clone(), shared, news: Arc::clone(&news) });
            let flight = Flight::new(Arc::clone(&self.policy), entry.spread(), goal, entry.held(), state.watch.clone());
            let seat = Seat { slot: Slot(entry.clone()), intents: state.intents(), news, progress };
            Ok((Boarded { waiting, joined: None }, Some((seat, flight))))
        })?;
        let Some((seat, flight)) = takes_off else { return Ok(boarded) };
        self.listen(&runtime);
        let span = spans::flight(entry.id(), flight.goal());
        let driver = Arc::clone(self);
        // Detached: a caller that goes away cancels its wait, and nothing else.
        let fly = async move { driver.fly(seat, flight).await };
        runtime.spawn(self.tasks.track(fly.instrument(span)));
        Ok(boarded)
    }

    async fn fly(self: Arc<Self>, seat: Seat, mut flight: Flight) {
        let entry = seat.slot.0.clone();
        let result = self.perform(&seat, &mut flight).await;
        spans::ended(&Span::current(), result.as_ref().map_or_else(|error| error.kind().name(), |_| "landed"));
        if *flight.goal() != Goal::Look {
            let pause = result.as_ref().err().and_then(Error::retry_in).unwrap_or_default();
            entry.keep_quiet_until(self.clock.monotonic().saturating_add(pause.max(QUIET)));
        }
        let now = self.clock.now();
        let settled = result.is_ok() && flight.held().is_some_and(|held| flight.watch().is_over(held, now));
        let watch = if settled { Watch::default() } else { flight.watch().clone() };
        entry.state(|state| state.watch = watch);
        self.settle(&entry);
        // The slot is free before anybody hears of the end, so that whoever wants more finds no finished flight in it.
        drop(seat.slot);
        seat.progress.ended(result);
        if entry.is_unsaved() {
            self.save_later(&entry);
        }
    }

    /// What this process holds may have changed: its place in memory, and the room it takes among what is not saved.
    pub(crate) fn settle(&self, entry: &Entry) {
        if !entry.is_unsaved() {
            entry.state(|state| state.outbox = None);
        }
        self.unsaved.note(entry);
        self.snapshots.weigh(entry);
    }

    async fn perform(&self, seat: &Seat, flight: &mut Flight) -> Result<Landing, Error> {
        let Seat { slot: Slot(entry), intents, progress, .. } = seat;
        let mut input = Input::Start;
        let (mut pass, mut untold) = (None, false);
        loop {
            if self.closing.has_begun() {
                flight.close();
            }
            let step = flight.next(input, self.clock.now(), &mut || self.entropy.draw());
            let known = entry.version();
            if step.publish {
                entry.publish(flight.held(), *intents, &self.policy);
                self.unsaved.note(entry);
                untold = true;
            }
            for kind in step.events {
                // What this process knows already, of its own doing, is no news.
                let news = !matches!(kind, EventKind::Adopted)
                    || known != flight.held().and_then(|held| held.record.version());
                if news {
                    self.report(entry, kind);
                }
            }
            if let Action::Done(result) = step.action {
                return result.map_err(|error| error.with_visitor(entry.id()));
            }
            let mut act = pin!(self.act(seat, flight.goal(), &mut pass, step.action));
            // Those who wait are told once this flight waits itself, or ends. To wake ten thousand takes a while, and what was published
            // would have to wait for that on its way into the store.
            input = poll_fn(|context| {
                let done = act.as_mut().poll(context);
                if done.is_pending() && mem::take(&mut untold) {
                    progress.published();
                }
                done
            })
            .await;
        }
    }

    async fn act<'a>(&'a self, seat: &Seat, goal: &Goal, pass: &mut Option<Admitted<'a>>, action: Action) -> Input {
        let entry = &seat.slot.0;
        match action {
            // `perform` returns instead.
            Action::Done(_) => Input::Woke,
            Action::Sleep(pause) => {
                tracing::trace!(visitor = %entry.id(), ?pause, "waiting for the claim of another holder");
                tokio::select! {
                    biased;
                    () = self.clock.sleep(pause) => {}
                    () = seat.news.notified() => {}
                    () = self.closing.begun() => {}
                }
                Input::Woke
            }
            Action::Load => {
                tracing::trace!(visitor = %entry.id(), "load");
                match self.load(entry).await.and_then(|stored| stored.map(seen).transpose()) {
                    Ok(seen) => Input::Loaded(seen),
                    Err(error) => Input::StoreFailed(error),
                }
            }
            Action::Swap(swap) => {
                if swap.claims && pass.is_none() {
                    match self.admit(goal) {
                        Ok(admitted) => *pass = Some(admitted),
                        Err(error) => return Input::Barred(error),
                    }
                }
                tracing::trace!(visitor = %entry.id(), claim = swap.new.record.claim.is_some(), "swap");
                let exchange = self.swap(entry, &swap).await;
                match exchange.map(|exchange| match exchange {
                    Exchange::Swapped => Ok(Input::Swapped),
                    Exchange::Conflict(stored) => stored.map(seen).transpose().map(Input::Conflict),
                }) {
                    Ok(Ok(input)) => input,
                    Ok(Err(error)) | Err(error) => Input::StoreFailed(error),
                }
            }
            Action::Grant { grant, timeout } => {
                tracing::trace!(visitor = %entry.id(), ?grant, ?timeout, "grant");
                // A process that stood still finds the deadline passed and the reply there, both at once. The reply counts,
                // since nobody else may have it; it may take a moment to reach us, so the grace begins when we wake.
                let start = self.clock.monotonic();
                if let Err(error) = self.reserve(entry, timeout / 2).await {
                    return error;
                }
                let timeout = timeout.saturating_sub(self.clock.monotonic().saturating_sub(start));
                let sent = async {
                    tokio::select! {
                        biased;
                        answer = self.endpoint.grant(&self.client_id, &grant, timeout) => answer,
                        () = async { self.clock.sleep(timeout).await; self.clock.sleep(GRACE).await } => {
                            Err(GrantError::new(GrantFailure::Unknown, "no answer in time"))
                        }
                    }
                };
                let answer = self.grant_in_sight(entry.id(), &grant, sent).await;
                self.learn(entry, &answer);
                Input::Granted(answer)
            }
        }
    }

    /// The right to ask the endpoint, for as long as it is held.
    fn admit(&self, goal: &Goal) -> Result<Admitted<'_>, Error> {
        let purpose = if waited_for(goal) { Purpose::Waiting } else { Purpose::Background };
        let pass = self.admission().admit(purpose, self.clock.now(), &self.policy)?;
        Ok(Admitted { driver: self, pass })
    }

    fn learn<T>(&self, entry: &Entry, answer: &Result<T, GrantError>) {
        match answer {
            // A refusal is about one visitor. So is a doubtful answer, unless others get it too.
            Err(error) if error.failure != GrantFailure::Refused => {
                let chance = u64::try_from(self.entropy.draw() >> 64).unwrap_or(0);
                self.admission().failed(entry.id(), error, chance, self.clock.now(), &self.policy);
            }
            _ => self.admission().answered(),
        }
    }

    pub(crate) fn admission(&self) -> MutexGuard<'_, Admission> {
        // Nothing that can panic runs under the lock.
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for what a grant will bring, in this process and in the store.
    async fn reserve(&self, entry: &Entry, patience: Duration) -> Result<(), Input> {
        if entry.state(|state| state.outbox.is_none()) {
            let permit = self.outbox_permit(patience).await.map_err(Input::Barred)?;
            entry.state(|state| state.outbox = Some(permit));
        }
        let key = self.keys.key(*entry.hash());
        let asked = async {
            tokio::select! {
                biased;
                answer = self.store.reserve(&key, ROOM) => answer,
                () = self.clock.sleep(self.policy.save) => {
                    Err(StoreError::new(StoreErrorKind::Unavailable, "token", "no answer in time whether there is room"))
                }
            }
        };
        self.store_in_sight(Operation::Reserve, asked).await.map_err(Input::StoreFailed)
    }

    async fn outbox_permit(&self, patience: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let full = || {
            let most = self.policy.unsaved_most;
            let message = format!(
                "the tokens of {most} visitors are being asked for or wait to be saved, and no more may at once; the visitor is \
                 kept, try again"
            );
            Error::new(ErrorKind::Busy, message)
        };
        tokio::select! {
            biased;
            permit = Arc::clone(&self.outbox).acquire_owned() => permit.map_err(|_| full()),
            () = self.clock.sleep(patience) => Err(full()),
        }
    }

    /// Sends no more grants, and waits for those under way and for what is being saved; whether all of it was done in time.
    pub(crate) async fn finish(&self) -> bool {
        self.closing.begin();
        let bound = self.policy.lease + self.policy.save + Duration::from_secs(1);
        tokio::select! {
            biased;
            () = self.tasks.wait() => true,
            () = self.clock.sleep(bound) => false,
        }
    }

    /// One load, within the budget.
    pub(crate) async fn load(&self, entry: &Entry) -> Result<Option<Stored>, StoreError> {
        self.store_in_sight(Operation::Load, self.load_in_time(&self.keys.key(*entry.hash()))).await
    }

    pub(crate) async fn load_in_time(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        tokio::select! {
            biased; // an answer that is there counts, however late it is
            answer = self.store.load(key) => answer,
            () = self.clock.sleep(self.policy.save) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "token", "no answer to a load in time"))
            }
        }
    }

    /// One swap, within the budget. Without an answer it is repeated, same etag and same bytes, which is safe; with tokens
    /// that nobody else has, so it is after any passing failure.
    async fn swap(&self, entry: &Entry, swap: &Swap) -> Result<Exchange, StoreError> {
        let bytes = encode(&swap.new.record);
        if bytes.len() > Stored::MAX_BYTES {
            let message = format!("the record would have {} bytes, a store takes {}", bytes.len(), Stored::MAX_BYTES);
            return Err(StoreError::new(StoreErrorKind::Unsupported, "token", message));
        }
        let new = Stored { etag: swap.new.etag, bytes };
        let keep = self.policy.keep_for(&swap.new.record);
        let start = self.clock.monotonic();
        let mut pause = Duration::from_millis(20);
        let mut earlier: Option<StoreError> = None;
        loop {
            let left = self.policy.save.saturating_sub(self.clock.monotonic().saturating_sub(start));
            let answer = self.exchange(entry, swap.expected.as_ref(), &new, keep, left).await;
            // A repetition that ran out of time says nothing of why; the store itself has.
            let answer = answer.map_err(|error| match earlier.take() {
                Some(earlier) if error.source().is_none() => error.with_source(earlier),
                _ => error,
            });
            let Err(error) = &answer else { return answer };
            let again = error.kind() == StoreErrorKind::Unknown || (swap.precious && error.is_transient());
            let left = self.policy.save.saturating_sub(self.clock.monotonic().saturating_sub(start));
            if !again || left <= pause {
                return answer;
            }
            earlier = Some(error.clone());
            self.clock.sleep(pause).await;
            pause *= 2;
        }
    }

    async fn exchange(
        &self,
        entry: &Entry,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
        budget: Duration,
    ) -> Result<Exchange, StoreError> {
        let key = self.keys.key(*entry.hash());
        let asked = async {
            tokio::select! {
                biased; // likewise
                answer = self.store.compare_exchange(&key, expected, new, keep) => answer,
                () = self.clock.sleep(budget) => {
                    Err(StoreError::new(StoreErrorKind::Unknown, "token", "no answer to a write in time"))
                }
            }
        };
        self.store_in_sight(Operation::Swap, asked).await
    }

    pub(crate) fn report(&self, entry: &Entry, kind: EventKind) {
        let visitor = entry.id();
        match &kind {
            EventKind::Minted => tracing::info!(%visitor, "minted"),
            EventKind::Renewed { generation } => tracing::info!(%visitor, generation, "renewed"),
            EventKind::VisitorLost(lost) => tracing::error!(%visitor, %lost, "visitor lost"),
            EventKind::MemberSessionEnded => tracing::warn!(%visitor, "member session ended"),
            EventKind::RenewalFailed(error) => tracing::warn!(%visitor, %error, "renewal failed"),
            EventKind::SavePending(error) => tracing::warn!(%visitor, %error, "save pending"),
            other => tracing::debug!(%visitor, event = ?other, "event"),
        }
        self.meters.event(&kind);
        // Nobody listening is no failure.
        let _ = self.events.send(Event { visitor, kind });
    }

    /// Tries to save what the store refused, until it works.
    fn save_later(self: &Arc<Self>, entry: &Entry) {
        if entry.state(|state| mem::replace(&mut state.saving, true)) {
            return;
        }
        let saving = Saving { entry: entry.clone() };
        let driver = Arc::clone(self);
        tokio::spawn(self.tasks.track(async move {
            let entry = &saving.entry;
            let mut pause = SAVE_FIRST;
            while entry.is_unsaved() {
                driver.clock.sleep(if driver.closing.has_begun() { SAVE_FIRST } else { pause }).await;
                pause = (pause * 2).min(SAVE_MOST);
                if let Ok(Boarded { waiting, .. }) = driver.board(entry, Goal::Save) {
                    // An end without a word is one more failed attempt.
                    waiting.ended().await;
                }
            }
            driver.report(entry, EventKind::Saved);
        }));
    }

    /// Does what the application wants, over whatever stands there; whether that was permitted. Detached, like a flight.
    pub(crate) async fn change(self: &Arc<Self>, entry: &Entry, intent: Intent) -> Result<bool, Error> {
        let runtime = runtime()?;
        self.listen(&runtime);
        let (driver, entry) = (Arc::clone(self), entry.clone());
        let id = entry.id();
        let change = async move {
            let result = driver.impose(&entry, &intent).await;
            driver.settle(&entry);
            spans::ended(&Span::current(), result.as_ref().map_or_else(|error| error.kind().name(), |_| "done"));
            result
        };
        let task = runtime.spawn(self.tasks.track(change.instrument(spans::change(id))));
        match task.await {
            Ok(result) => result.map_err(|error| error.with_visitor(id)),
            Err(end) if end.is_panic() => Err(half_way()),
            Err(_) => Err(Error::new(ErrorKind::NoRuntime, "the runtime ended before this was done; call it again")),
        }
    }

    async fn impose(&self, entry: &Entry, intent: &Intent) -> Result<bool, Error> {
        let lineage = Lineage(self.entropy.draw());
        let mut expected = None;
        let mut standing = None;
        let known = entry.held().filter(|held| held.etag.is_some());
        if let Some(held) = known {
            (expected, standing) = (held.etag, Some(held.record));
        } else {
            let loaded = match self.load(entry).await {
                Ok(stored) => stored.map_or(Ok(None), readable),
                Err(error) => unreadable(error),
            };
            if let Some((etag, record)) = loaded? {
                (expected, standing) = (Some(etag), Some(record));
            }
        }
        let start = self.clock.monotonic();
        loop {
            let held = entry.held().map(|held| held.record);
            let now = self.clock.now();
            if !permitted(intent, standing.as_ref(), held.as_ref()) {
                return Ok(false);
            }
            let record = intended(intent, standing.as_ref(), held.as_ref(), lineage, now.wall, &self.policy);
            let new = Seen { etag: Etag::from_bits(self.entropy.draw()), record };
            let swap = Swap { expected, new, precious: true, claims: false };
            let conflict = match self.swap(entry, &swap).await {
                Ok(Exchange::Conflict(Some(stored))) if stored.etag == swap.new.etag => None,
                Ok(Exchange::Swapped) => None,
                Ok(Exchange::Conflict(stored)) => Some(stored.map_or(Ok(None), readable)?),
                Err(error) => Some(unreadable(error)?),
            };
            match conflict {
                Some(Some((etag, record))) => {
                    if stems_from(&record, lineage) {
                        // An earlier try was applied without a word, and somebody went on from there: to write it again would
                        // undo that, and put a spent refresh token back.
                        entry.impose(&Held { record, etag: Some(etag), seen: now }, &self.policy);
                        return Ok(true);
                    }
                    (expected, standing) = (Some(etag), Some(record));
                }
                Some(None) => (expected, standing) = (None, None),
                None => {
                    let Seen { etag, record } = swap.new;
                    entry.impose(&Held { record, etag: Some(etag), seen: now }, &self.policy);
                    return Ok(true);
                }
            }
            if self.clock.monotonic().saturating_sub(start) > self.policy.lease {
                return Err(Error::new(ErrorKind::Busy, "the record keeps changing; call this again"));
            }
        }
    }
}

/// The runtime to work on: timers and tasks need one.
pub(crate) fn runtime() -> Result<Handle, Error> {
    Handle::try_current()
        .map_err(|_| Error::new(ErrorKind::NoRuntime, "there is no tokio runtime here: call this from within one"))
}

/// What is said when work ends without a word, though its runtime lives.
pub(crate) fn half_way() -> Error {
    let message = "the work ended half-way, more than once: a store, an endpoint or a clock panics (a runtime without timers \
                   makes ours do so); the panic's own message says which";
    Error::new(ErrorKind::Panicked, message)
}

fn seen(stored: Stored) -> Result<Seen, StoreError> {
    Ok(Seen { etag: stored.etag, record: decode(&stored.bytes)? })
}

/// The record, or in place of one that is corrupt an empty one whose epoch is above all others: an application that sets
/// tokens or forgets may write over it, and nothing else does. What a later release wrote, or is sealed, is not corrupt.
fn readable(stored: Stored) -> Result<Option<(Etag, Record)>, StoreError> {
    let Stored { etag, bytes } = stored;
    decode(&bytes).map(|record| Some((etag, record))).or_else(|error| unreadable(error.with_standing(etag)))
}

/// Likewise where the store itself found it corrupt, and knows its etag.
fn unreadable(error: StoreError) -> Result<Option<(Etag, Record)>, StoreError> {
    match error.standing().filter(|_| error.kind() == StoreErrorKind::Corrupt) {
        Some(etag) => Ok(Some((etag, Record { epoch: EPOCH_OVER_CORRUPT, ..Record::default() }))),
        None => Err(error),
    }
}

/// A flight to wait for.
#[derive(Debug)]
pub(crate) struct Boarded {
    pub(crate) waiting: Waiting,
    /// It was under way already: its grant may be older than the wish to have one.
    pub(crate) joined: Option<Joined>,
}

/// What kind of flight was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// One that others wait for: its end is theirs all.
    Shared,
    /// One that went on in the background: that it came to nothing says nothing to those who wait.
    Aside,
}

/// Whether somebody waits for what a flight brings.
fn waited_for(goal: &Goal) -> bool {
    matches!(goal, Goal::Serve | Goal::Replace(_))
}

/// The right to ask the endpoint, handed back in the end, however that comes about.
struct Admitted<'a> {
    driver: &'a Driver,
    pass: Pass,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.driver.admission().hand_back(&self.pass);
    }
}

/// What a flight holds of its visitor. Dropped in this order, so that also those who learn from the end of `progress` that the
/// flight is no more (its runtime was dropped) find its slot free, and not the same flight again.
#[derive(Debug)]
struct Seat {
    slot: Slot,
    /// How often the application had set tokens or forgot when it took off.
    intents: u64,
    /// Rung when the store told of a change made elsewhere.
    news: Arc<Notify>,
    progress: Progress,
}

/// Frees a flight's slot when the flight ends, also where that is because its runtime was dropped.
#[derive(Debug)]
struct Slot(Entry);

impl Drop for Slot {
    fn drop(&mut self) {
        // Ours for certain: while it is taken, nobody else boards a flight of their own.
        self.0.state(|state| state.flight = None);
    }
}

/// Marks a visitor as not being saved when its saver ends, however it ends.
#[derive(Debug)]
struct Saving {
    entry: Entry,
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.entry.state(|state| state.saving = false);
    }
}
