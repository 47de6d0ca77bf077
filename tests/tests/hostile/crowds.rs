//! Crowds: of events that nobody takes, of keys, of changes, and of work that is done to a store.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wix_visitor_core::housekeeping::{Housekeeper, Progress};
use wix_visitor_core::{
    Change, Changes, ClientId, Cursor, Etag, EventKind, Exchange, Page, Purged, Secret, StoreError, StoreErrorKind,
    StoreKey, Stored, Timestamp, TokenStore, Visitors, async_trait,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, FaultyStore, Rotation, TestClock};
use wix_visitor_tests::instance::{Instance, client_id, hours, secs};
use wix_visitor_tests::step_clock::StepClock;

use crate::COUNTS;

#[tokio::test(start_paused = true)]
async fn who_takes_no_events_misses_the_oldest_and_is_told_how_many() {
    let site = Instance::new(Rotation::Same);
    let (mut slow, mut idle) = (site.visitors.events(), site.visitors.events());
    for n in 0..1_500 {
        site.visitors.visitor(format!("visitor-{n}-{}", secret_key("v"))).authorization().await.unwrap();
    }
    for events in [&mut slow, &mut idle] {
        let missed = match events.recv().await.unwrap().kind {
            EventKind::Missed(missed) => missed,
            other => panic!("{other:?}"),
        };
        let mut left = 0;
        while let Some(event) = events.try_recv() {
            assert!(matches!(event.kind, EventKind::Minted), "{event:?}");
            left += 1;
        }
        assert_eq!(missed + left, 1_500);
        assert!((1..=1024).contains(&left), "{left} events were kept for somebody who takes none");
    }
}

#[tokio::test]
async fn of_a_crowd_of_keys_as_many_are_kept_as_there_is_room_for() {
    const ROOM: usize = 1 << 20;
    let endpoint = FakeEndpoint::new(Rotation::Same);
    let visitors = Visitors::builder(client_id(), endpoint.clone(), MemoryStore::new()).snapshot_bytes(ROOM).build();
    let visitors = visitors.unwrap();
    let in_use = visitors.visitor(secret_key("in-use"));
    let first = in_use.authorization().await.unwrap();
    for n in 0..20_000 {
        visitors.visitor(format!("somebody-{n}"));
    }
    for n in 0..40 {
        visitors.visitor(format!("{n}{}", "x".repeat(ROOM / 4)));
    }
    let shown = format!("{visitors:?}");
    let number = |field: &str| -> usize {
        let (_, rest) = shown.split_once(&format!("Snapshots {{ {field}")).unwrap();
        rest.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty()).unwrap().parse().unwrap()
    };
    assert!((1..=ROOM / 256).contains(&number("count")), "{}", number("count"));
    assert_eq!(in_use.authorization().await.unwrap().header(), first.header());
    assert_eq!(endpoint.mints(), 1);
}

/// A store of very many records that exist only while they are asked for, and counts who asks at once.
#[derive(Clone, Debug)]
struct Endless {
    keys: usize,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    /// Whether a write ever takes place.
    settles: bool,
}

impl Endless {
    fn new(keys: usize, settles: bool) -> Self {
        Self { keys, at_once: Arc::default(), most_at_once: Arc::default(), settles }
    }
}

#[async_trait]
impl TokenStore for Endless {
    async fn load(&self, _: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let bytes = wix_visitor_core::record::encode(&wix_visitor_core::record::Record::default());
        Ok((!self.settles).then(|| Stored { etag: Etag::from_bits(7), bytes }))
    }

    async fn compare_exchange(
        &self,
        _: &StoreKey,
        _: Option<&Etag>,
        _: &Stored,
        _: Duration,
    ) -> Result<Exchange, StoreError> {
        Ok(Exchange::Conflict(None))
    }

    async fn list(&self, _: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let from: usize = from.map_or(0, |from| from.as_str().parse().unwrap());
        let to = from.saturating_add(most).min(self.keys);
        let keys = (from..to).map(|n| StoreKey::parse(&format!("site/{n}")).unwrap()).collect();
        Ok(Page { keys, unreadable: 0, next: (to < self.keys).then(|| Cursor::new(to.to_string())) })
    }

    async fn purge(&self, _: Timestamp, from: Option<&Cursor>, _: usize) -> Result<Purged, StoreError> {
        let mut purged = Purged { looked_at: u64::MAX, dropped: u64::MAX, unreadable: u64::MAX, next: None };
        purged.next = from.is_none().then(|| Cursor::new("once more"));
        Ok(purged)
    }
}

#[tokio::test]
async fn of_a_crowd_of_records_as_many_are_in_work_as_were_asked_for() {
    const RECORDS: usize = 10_000;
    for (asked, most) in [(0, 1), (32, 32), (usize::MAX, 1000)] {
        let store = Endless::new(if asked == 0 { 2_000 } else { RECORDS }, true);
        let told = Arc::new(AtomicUsize::new(0));
        let telling = Arc::clone(&told);
        let housekeeper =
            Housekeeper::new(store.clone()).in_flight(asked).on_progress(move |Progress { done, total }| {
                assert!(done <= total);
                telling.fetch_add(1, Ordering::SeqCst);
            });
        let moved = housekeeper.migrate(Arc::new(MemoryStore::new())).await.unwrap();
        assert_eq!((moved.gone, told.load(Ordering::SeqCst)), (store.keys as u64, store.keys));
        assert!(store.most_at_once.load(Ordering::SeqCst) <= most, "{asked} at once: {store:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_never_holds_still_is_passed_over_in_the_end() {
    let ring = wix_visitor_core::KeyRing::from_text(wix_visitor_tests::sealing::RING).unwrap();
    let store = Endless::new(3, false);
    let housekeeper =
        Housekeeper::new(store).clock(StepClock::default()).sealed(ring, wix_visitor_core::PlainRecords::Read);
    let done = tokio::time::timeout(hours(1), housekeeper.reseal()).await.expect("an end").unwrap();
    assert_eq!((done.resealed, done.failed.count), (0, 3));
}

#[tokio::test]
async fn numbers_and_pages_of_a_store_that_makes_them_up_end_a_purge_all_the_same() {
    let store = FaultyStore::new(Endless::new(0, true));
    let housekeeper = Housekeeper::new(store).clock(StepClock::default());
    let done = housekeeper.purge_trusting_the_clock().await.unwrap();
    assert_eq!(done.looked_at, u64::MAX);
    for most in COUNTS {
        housekeeper.list(None, most).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn purging_without_a_pause_takes_one_all_the_same() {
    let store = FaultyStore::new(Endless::new(0, true));
    let housekeeper = Housekeeper::new(store.clone()).clock(TestClock::default());
    let purging = tokio::time::timeout(secs(60), housekeeper.purge_every(Duration::ZERO));
    purging.await.unwrap_err();
    assert!((10..1000).contains(&store.swaps()), "{} purges in a minute", store.swaps());
}

/// Tells of a crowd of changes as soon as it is watched, and of the same one again and again.
#[derive(Clone, Debug)]
struct Chatter {
    inner: MemoryStore,
    known: StoreKey,
}

#[async_trait]
impl TokenStore for Chatter {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.inner.load(key).await
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        self.inner.compare_exchange(key, expected, new, keep).await
    }

    async fn watch(&self, _: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        changes.tell(Change::Listening);
        for n in 0..100_000 {
            let etag = Etag::from_bits(n);
            changes.tell(Change::Written { key: StoreKey::parse(&format!("site/{n:064x}")).unwrap(), etag });
            changes.tell(Change::Written { key: self.known.clone(), etag });
        }
        tokio::time::sleep(hours(1)).await;
        Err(StoreError::new(StoreErrorKind::Unavailable, "chatter", "it has ended"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_changes_costs_a_look_and_those_of_nobody_here_none() {
    let (endpoint, key) = (FakeEndpoint::new(Rotation::Same), secret_key("visitor"));
    let known = StoreKey::new("https://fake.test", &client_id(), &Secret::new(key.as_str()));
    let store = FaultyStore::new(Chatter { inner: MemoryStore::new(), known });
    let builder = Visitors::builder(client_id(), endpoint.clone(), store.clone()).clock(TestClock::default());
    let visitors = builder.build().unwrap();
    let first = visitors.visitor(&key).authorization().await.unwrap();
    let loads = store.loads();
    tokio::time::sleep(secs(30)).await;
    assert!((1..=3).contains(&(store.loads() - loads)), "{} loads", store.loads() - loads);
    assert_eq!(visitors.visitor(&key).authorization().await.unwrap().header(), first.header());
    assert_eq!(endpoint.mints(), 1);
}
