//! Purging: what is over is dropped, by a clock that can be believed, and no error ends it (D7).

use std::time::Duration;

use wix_visitor_core::housekeeping::Housekeeper;
use wix_visitor_core::{Etag, Exchange, KeyRing, PlainRecords, StoreErrorKind, StoreKey, Stored, TokenStore};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::conformance::StoreFixture;
use wix_visitor_testkit::{FaultyStore, StoreFault, StoreOperation};
use wix_visitor_tests::broken::BrokenPlace;
use wix_visitor_tests::sealing::RING;
use wix_visitor_tests::step_clock::StepClock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Place {
    records: BrokenPlace,
    store: FaultyStore,
    clock: StepClock,
}

impl Place {
    async fn new() -> Self {
        let records = BrokenPlace::new(None);
        let store = FaultyStore::new(records.open().await.unwrap());
        Self { clock: records.clock(), records, store }
    }

    fn housekeeper(&self) -> Housekeeper {
        Housekeeper::new(self.store.clone()).clock(self.clock.clone())
    }

    async fn put(&self, n: u128, keep: Duration) {
        let key = StoreKey::parse(&format!("site/{n}")).unwrap();
        let new = Stored { etag: Etag::from_bits(n), bytes: b"{}".to_vec() };
        assert_eq!(self.store.compare_exchange(&key, None, &new, keep).await.unwrap(), Exchange::Swapped);
    }
}

#[tokio::test]
async fn the_first_purge_takes_note_of_the_time_and_the_next_drops_what_was_over_then() {
    let place = Place::new().await;
    place.put(1, DAY).await;
    place.put(2, 3 * DAY).await;
    place.put(3, 90 * DAY).await;
    place.clock.pass(2 * DAY);
    let first = place.housekeeper().purge().await.unwrap();
    assert_eq!((first.over_at, first.dropped), (None, 0));
    place.clock.pass(2 * DAY);
    let second = place.housekeeper().purge().await.unwrap();
    assert_eq!((second.looked_at, second.dropped), (3, 1), "the second record ended after the first purge");
    place.clock.pass(DAY);
    assert_eq!(place.housekeeper().purge().await.unwrap().dropped, 1);
    assert_eq!(place.records.count(), 2, "the third, and the mark");
}

#[tokio::test]
async fn a_clock_that_jumped_drops_nothing_until_somebody_says_that_it_is_right() {
    let place = Place::new().await;
    place.put(1, 365 * DAY).await;
    place.housekeeper().purge().await.unwrap();
    place.clock.pass(400 * DAY);
    for _ in 0..3 {
        let error = place.housekeeper().purge().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
        assert!(error.to_string().contains("400 days after") && error.to_string().contains("--trust-clock"), "{error}");
        place.clock.pass(DAY / 24);
    }
    assert_eq!(place.records.count(), 2);
    assert_eq!(place.housekeeper().purge_trusting_the_clock().await.unwrap().dropped, 1);
    assert_eq!(place.housekeeper().purge().await.unwrap().dropped, 0, "and from then on it is believed");

    // It went back: another machine's, or this one's after it was set right.
    let behind = StepClock::default();
    behind.pass(300 * DAY);
    let error = Housekeeper::new(place.store.clone()).clock(behind).purge().await.unwrap_err();
    assert!(error.to_string().contains("minutes before"), "{error}");
}

#[tokio::test]
async fn a_mark_that_tells_no_time_is_refused_with_advice_and_written_anew_once_the_clock_is_trusted() {
    let place = Place::new().await;
    let mark = StoreKey::parse("purge").unwrap();
    for (n, bytes) in ["", "{}", "yesterday", r#"{"purged":"yesterday"}"#, "\0"].into_iter().enumerate() {
        place.put(n as u128, DAY).await;
        place.housekeeper().purge().await.unwrap();
        place.clock.pass(2 * DAY);
        let standing = place.store.load(&mark).await.unwrap().unwrap();
        let damaged = Stored { etag: Etag::from_bits(n as u128), bytes: bytes.into() };
        let swapped = place.store.compare_exchange(&mark, Some(&standing.etag), &damaged, 99 * DAY).await.unwrap();
        assert_eq!(swapped, Exchange::Swapped);
        for _ in 0..2 {
            let error = place.housekeeper().purge().await.unwrap_err();
            assert!(error.kind() == StoreErrorKind::Corrupt && error.to_string().contains("--trust-clock"), "{error}");
        }
        assert_eq!(place.records.count(), 2, "nothing was dropped");
        let trusted = place.housekeeper().purge_trusting_the_clock().await.unwrap();
        assert_eq!((trusted.looked_at, trusted.dropped, trusted.unreadable), (1, 1, 0));
        assert!(place.housekeeper().purge().await.unwrap().over_at.is_some());
    }
}

#[tokio::test]
async fn d7_a_purge_survives_errors_that_pass_and_says_so_of_those_that_do_not() {
    let place = Place::new().await;
    place.put(1, DAY).await;
    place.clock.pass(2 * DAY);
    place.housekeeper().purge().await.unwrap();
    place.clock.pass(2 * DAY);
    place.store.decide(|operation, number| {
        let fails = operation == StoreOperation::Purge && number % 3 != 0;
        fails.then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    assert_eq!(place.housekeeper().purge().await.unwrap().dropped, 1);
    place.store.break_down(StoreErrorKind::Unavailable);
    assert_eq!(place.housekeeper().purge().await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn d7_purging_goes_on_after_any_error() {
    let place = Place::new().await;
    for n in 0..20 {
        place.put(n, Duration::from_secs(n as u64 * 24 * 3600)).await;
    }
    // Down for so long that whole purges fail, again and again.
    place.store.decide(|operation, number| {
        let fails = operation == StoreOperation::Purge && number % 40 < 30;
        fails.then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    let housekeeper = place.housekeeper();
    let purging = tokio::spawn(async move { housekeeper.purge_every(DAY).await });
    while place.records.count() > 1 {
        assert!(!purging.is_finished(), "it ended with {} records left", place.records.count());
        tokio::task::yield_now().await;
    }
    purging.abort();
}

#[tokio::test]
async fn a_store_that_drops_by_itself_says_so() {
    let housekeeper = Housekeeper::new(MemoryStore::new()).clock(StepClock::default());
    let error = housekeeper.purge().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains("nothing to purge"), "{error}");
    assert_eq!(housekeeper.purge_every(DAY).await.unwrap_err().kind(), StoreErrorKind::Unsupported);
}

#[tokio::test]
async fn the_time_of_the_last_purge_is_no_visitor_and_no_key_of_a_ring_is_needed_to_read_it() {
    let place = Place::new().await;
    let sealed = place.housekeeper().sealed(KeyRing::from_text(RING).unwrap(), PlainRecords::Refused);
    sealed.purge().await.unwrap();
    place.clock.pass(DAY);
    assert!(place.housekeeper().purge().await.unwrap().over_at.is_some());
    assert!(sealed.list(None, 10).await.unwrap().keys.is_empty());
    assert_eq!(sealed.reseal().await.unwrap().resealed, 0);
}
