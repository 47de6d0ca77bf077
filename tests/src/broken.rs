//! A store that holds the contract, and the same with one fault at a time: what the conformance suite must catch.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::yield_now;
use wix_visitor_core::{
    Change, Changes, ClientId, Clock, Cursor, Etag, Exchange, Page, Purged, StoreError, StoreErrorKind, StoreKey,
    Stored, Timestamp, TokenStore, async_trait,
};
use wix_visitor_testkit::conformance::{Damage, StoreFixture};

use crate::step_clock::StepClock;

/// What is wrong with a store. Most were found in real ones.
#[allow(missing_docs)] // each variant says it
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ComparesAndWritesInTwoSteps,
    FirstWriteInTwoSteps,
    FirstWriteReplaces,
    WritesThenCompares,
    ComparesHalfTheEtag,
    ComparesBytesInsteadOfEtags,
    CutsKeysShort,
    RefusesLongKeys,
    ExpiresAfterFourHours,
    KeepsTheFirstKeep,
    EvictsTheOldest,
    OverflowsOnTheLongestKeep,
    CutsRecordsAtFourKib,
    StopsAtZero,
    KeepsTextOnly,
    CutsWhatIsTooLarge,
    AcknowledgesBeforeItIsDurable,
    WritesInTwoPieces,
    RemovesThenWrites,
    LoadsFromALaggingReplica,
    ShowsConflictsFromALaggingReplica,
    TakesDamageForAbsence,
    CallsAnOutageMisconfigured,
    AppliesWhatItCallsUnavailable,
    TakesAnOutageForAbsence,
    HangsInAnOutage,
    ShowsTheRecordInErrors,
    HidesTheRecordFromItsWriter,
    ListensInVain,
    TellsOfEverySite,
    ListsTheFirstPageAlone,
    ListsEverySite,
    PurgesWhatIsNotOver,
    PurgesWhatItCannotRead,
}

/// The records of a [`BrokenStore`], and its surroundings.
#[derive(Clone, Debug)]
pub struct BrokenPlace {
    fault: Option<Fault>,
    clock: StepClock,
    inner: Arc<Mutex<Inner>>,
    told: broadcast::Sender<(StoreKey, Etag)>,
}

#[derive(Debug, Default)]
struct Inner {
    records: HashMap<String, Entry>,
    /// One write behind for each record.
    replica: HashMap<String, Stored>,
    /// What a crash leaves.
    durable: HashMap<String, Entry>,
    history: HashMap<u128, Vec<u8>>,
    writes: u64,
    outage: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    stored: Stored,
    damaged: bool,
    keep_until: Duration,
    written: u64,
}

/// One handle.
#[derive(Debug)]
pub struct BrokenStore(BrokenPlace);

impl BrokenPlace {
    /// An empty place whose stores have this fault, or none.
    pub fn new(fault: Option<Fault>) -> Self {
        Self { fault, clock: StepClock::default(), inner: Arc::default(), told: broadcast::Sender::new(1024) }
    }

    /// The clock of its stores.
    pub fn clock(&self) -> StepClock {
        self.clock.clone()
    }

    /// How many records there are.
    pub fn count(&self) -> usize {
        self.lock().records.len()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, key: &StoreKey) -> String {
        let longest = if self.has(Fault::CutsKeysShort) { 64 } else { StoreKey::MAX_LEN };
        key.as_str().chars().take(longest).collect()
    }

    fn error(&self, kind: StoreErrorKind, new: &[u8]) -> StoreError {
        let shown = if self.has(Fault::ShowsTheRecordInErrors) { String::from_utf8_lossy(new) } else { "".into() };
        StoreError::new(kind, "shelf", format!("it failed {shown}"))
    }

    async fn outage(&self, new: &[u8]) -> Result<(), StoreError> {
        if !self.lock().outage {
            return Ok(());
        }
        if self.has(Fault::HangsInAnOutage) {
            std::future::pending::<()>().await;
        }
        let wrong = self.has(Fault::CallsAnOutageMisconfigured);
        let kind = if wrong { StoreErrorKind::Misconfigured } else { StoreErrorKind::Unavailable };
        Err(self.error(kind, new))
    }

    /// What stands, as far as this store's faults let it see.
    fn standing(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let mut inner = self.lock();
        let now = self.clock.monotonic();
        match inner.records.get(name) {
            None => Ok(None),
            Some(entry) if entry.damaged && self.has(Fault::TakesDamageForAbsence) => Ok(None),
            Some(entry) if entry.damaged => Err(self.error(StoreErrorKind::Corrupt, &entry.stored.bytes)),
            // It drops what it may, at the first chance.
            Some(entry) if entry.keep_until < now => {
                inner.records.remove(name);
                Ok(None)
            }
            Some(entry) => Ok(Some(entry.stored.clone())),
        }
    }

    fn matches(&self, standing: Option<&Stored>, expected: Option<&Etag>) -> bool {
        let (Some(standing), Some(expected)) = (standing, expected) else {
            return standing.is_none() && expected.is_none()
                || expected.is_none() && self.has(Fault::FirstWriteReplaces);
        };
        if self.has(Fault::ComparesHalfTheEtag) {
            return standing.etag.to_bits() as u64 == expected.to_bits() as u64;
        }
        if self.has(Fault::ComparesBytesInsteadOfEtags) {
            return self.lock().history.get(&expected.to_bits()) == Some(&standing.bytes);
        }
        standing.etag == *expected
    }

    fn write(&self, name: &str, new: &Stored, keep: Duration) {
        let mut inner = self.lock();
        let now = self.clock.monotonic();
        let mut keep_until = now.saturating_add(keep);
        if self.has(Fault::ExpiresAfterFourHours) {
            keep_until = now + Duration::from_secs(4 * 3600);
        }
        let old = inner.records.get(name).cloned();
        if let Some(old) = old.filter(|_| self.has(Fault::KeepsTheFirstKeep)) {
            keep_until = old.keep_until;
        }
        inner.writes += 1;
        let entry = Entry { stored: self.cut(new), damaged: false, keep_until, written: inner.writes };
        let before = inner.records.get(name).map(|entry| entry.stored.clone());
        inner.replica.extend(before.map(|before| (name.to_owned(), before)));
        inner.history.insert(new.etag.to_bits(), new.bytes.clone());
        inner.records.insert(name.to_owned(), entry.clone());
        if let Ok(key) = StoreKey::parse(name) {
            // Nobody listening is no failure.
            let _ = self.told.send((key, new.etag));
        }
        if !(self.has(Fault::AcknowledgesBeforeItIsDurable) && inner.writes.is_multiple_of(7)) {
            inner.durable.insert(name.to_owned(), entry);
        }
        if self.has(Fault::EvictsTheOldest) && inner.records.len() > 100 {
            let oldest = inner.records.iter().min_by_key(|(_, entry)| entry.written).map(|(name, _)| name.clone());
            oldest.map(|name| inner.records.remove(&name));
        }
    }

    fn cut(&self, new: &Stored) -> Stored {
        let mut new = new.clone();
        match self.fault {
            Some(Fault::CutsRecordsAtFourKib) => new.bytes.truncate(4096),
            Some(Fault::CutsWhatIsTooLarge) => new.bytes.truncate(Stored::MAX_BYTES),
            Some(Fault::StopsAtZero) => new.bytes = new.bytes.split(|byte| *byte == 0).next().unwrap_or(&[]).to_vec(),
            Some(Fault::KeepsTextOnly) => new.bytes = String::from_utf8_lossy(&new.bytes).into_owned().into_bytes(),
            _ => {}
        }
        new
    }
}

#[async_trait]
impl TokenStore for BrokenStore {
    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let Self(place) = self;
        let site = site.filter(|_| !place.has(Fault::ListsEverySite));
        let keys = place.lock().records.keys().filter_map(|name| StoreKey::parse(name).ok()).collect::<BTreeSet<_>>();
        let mut keys = keys.into_iter().filter(|key| from.is_none_or(|from| key.as_str() > from.as_str()));
        let page: Vec<_> = keys.by_ref().take(most).collect();
        let last = page.last().filter(|_| keys.next().is_some() && !place.has(Fault::ListsTheFirstPageAlone));
        let next = last.map(|key| Cursor::new(key.as_str()));
        let of_site = |key: &StoreKey| site.is_none_or(|site| key.is_of(site));
        Ok(Page { keys: page.into_iter().filter(of_site).collect(), unreadable: 0, next })
    }

    async fn purge(&self, moment: Timestamp, _: Option<&Cursor>, _: usize) -> Result<Purged, StoreError> {
        let Self(place) = self;
        let (mut purged, mut inner) = (Purged::default(), place.lock());
        inner.records.retain(|_, entry| {
            purged.looked_at += 1;
            let over = StepClock::BEGIN + entry.keep_until < moment || place.has(Fault::PurgesWhatIsNotOver);
            let unreadable = over && entry.damaged && !place.has(Fault::PurgesWhatItCannotRead);
            purged.unreadable += u64::from(unreadable);
            purged.dropped += u64::from(over && !unreadable);
            !over || unreadable
        });
        Ok(purged)
    }

    async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        let Self(place) = self;
        let mut told = place.told.subscribe();
        changes.tell(Change::Listening);
        if place.has(Fault::TellsOfEverySite) {
            let key = StoreKey::parse("another/visitor").map_err(|_| place.error(StoreErrorKind::Unsupported, &[]))?;
            changes.tell(Change::Written { key, etag: Etag::from_bits(1) });
        }
        while let Ok((key, etag)) = told.recv().await {
            if key.as_str().starts_with(&format!("{site}/")) && !place.has(Fault::ListensInVain) {
                changes.tell(Change::Written { key, etag });
            }
        }
        Err(place.error(StoreErrorKind::Unavailable, &[]))
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let Self(place) = self;
        let name = place.name(key);
        if let Err(e) = place.outage(&[]).await {
            return if place.has(Fault::TakesAnOutageForAbsence) { Ok(None) } else { Err(e) };
        }
        if place.has(Fault::LoadsFromALaggingReplica)
            && let Some(before) = place.lock().replica.get(&name)
        {
            return Ok(Some(before.clone()));
        }
        place.standing(&name)
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let Self(place) = self;
        let name = place.name(key);
        if let Err(e) = place.outage(&new.bytes).await {
            if place.has(Fault::AppliesWhatItCallsUnavailable) {
                place.write(&name, new, keep);
            }
            return Err(e);
        }
        let refuses = place.has(Fault::OverflowsOnTheLongestKeep) && keep == Duration::MAX
            || place.has(Fault::RefusesLongKeys) && key.as_str().len() > 100;
        let too_large = new.bytes.len() > Stored::MAX_BYTES && !place.has(Fault::CutsWhatIsTooLarge);
        if refuses || too_large {
            return Err(place.error(StoreErrorKind::Unsupported, &[]));
        }
        if place.has(Fault::WritesThenCompares) {
            let standing = place.standing(&name)?;
            place.write(&name, new, keep);
            let matches = place.matches(standing.as_ref(), expected);
            return Ok(if matches { Exchange::Swapped } else { Exchange::Conflict(standing) });
        }
        let two_steps = place.has(Fault::ComparesAndWritesInTwoSteps) && expected.is_some()
            || place.has(Fault::FirstWriteInTwoSteps) && expected.is_none();
        if !two_steps {
            return place.exchange_at_once(&name, expected, new, keep).await;
        }
        let standing = place.standing(&name)?;
        if !place.matches(standing.as_ref(), expected) {
            return Ok(Exchange::Conflict(standing));
        }
        yield_now().await;
        place.write(&name, new, keep);
        Ok(Exchange::Swapped)
    }
}

/// One at a time, so that a store without a fault is atomic though its steps lock one by one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl BrokenPlace {
    async fn exchange_at_once(
        &self,
        name: &str,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        {
            let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
            let standing = self.standing(name)?;
            if !self.matches(standing.as_ref(), expected) {
                return Ok(Exchange::Conflict(self.shown_in_conflict(name, standing, new)));
            }
            match self.fault {
                Some(Fault::WritesInTwoPieces) => {
                    let half = new.bytes.len() / 2;
                    let first = Stored { etag: new.etag, bytes: new.bytes[..half].to_vec() };
                    self.write(name, &first, keep);
                }
                Some(Fault::RemovesThenWrites) => drop(self.lock().records.remove(name)),
                _ => {
                    self.write(name, new, keep);
                    return Ok(Exchange::Swapped);
                }
            }
        }
        for _ in 0..10 {
            yield_now().await;
        }
        self.write(name, new, keep);
        Ok(Exchange::Swapped)
    }

    fn shown_in_conflict(&self, name: &str, standing: Option<Stored>, new: &Stored) -> Option<Stored> {
        let own = standing.as_ref().is_some_and(|standing| standing.etag == new.etag);
        match self.fault {
            Some(Fault::HidesTheRecordFromItsWriter) if own => None,
            Some(Fault::ShowsConflictsFromALaggingReplica) => self.lock().replica.get(name).cloned().or(standing),
            _ => standing,
        }
    }
}

#[async_trait]
impl StoreFixture for BrokenPlace {
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        Ok(Arc::new(BrokenStore(self.clone())))
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(100)
    }

    async fn after_crash(&self) -> Option<Result<Arc<dyn TokenStore>, StoreError>> {
        {
            let mut inner = self.lock();
            inner.records = inner.durable.clone();
        }
        Some(self.open().await)
    }

    async fn damage(&self, key: &StoreKey, _: Damage) -> bool {
        let name = self.name(key);
        self.lock().records.get_mut(&name).map(|entry| entry.damaged = true).is_some()
    }

    async fn begin_outage(&self) -> bool {
        self.lock().outage = true;
        true
    }

    async fn end_outage(&self) {
        self.lock().outage = false;
    }

    async fn pass(&self, time: Duration) -> bool {
        self.clock.pass(time);
        true
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }
}
