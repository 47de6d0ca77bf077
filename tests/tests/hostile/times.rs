//! Clocks at the ends of time.

use std::time::Duration;

use wix_visitor_core::{
    Clock, ErrorKind, GrantError, GrantFailure, Role, StoreErrorKind, Timestamp, Visitors, async_trait,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, FaultyStore, Plan, Rotation, TestClock};
use wix_visitor_tests::instance::{Instance, client_id, secs};

use crate::{MOMENTS, SPANS};

#[test]
fn moments_are_reckoned_with_up_to_the_ends_of_time() {
    for millis in MOMENTS {
        let moment = Timestamp::from_millis(millis);
        assert!(Timestamp::from_secs(millis) >= Timestamp::from_millis(i64::MIN));
        for span in SPANS {
            assert!(moment + span >= moment && moment - span <= moment);
        }
        for other in MOMENTS.map(Timestamp::from_millis) {
            assert_eq!(moment.since(other).is_zero(), moment <= other);
        }
        let _ = moment.as_secs();
    }
}

/// Stands still where it was set; sleeping on it takes as long as it does.
#[derive(Clone, Copy, Debug)]
struct Standing {
    wall: Timestamp,
    monotonic: Duration,
}

#[async_trait]
impl Clock for Standing {
    fn wall(&self) -> Timestamp {
        self.wall
    }

    fn monotonic(&self) -> Duration {
        self.monotonic
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_at_the_end_of_time_makes_errors_at_the_worst_and_nothing_panics() {
    let monotonics = [Duration::ZERO, Duration::from_millis(u64::MAX), Duration::MAX];
    for (wall, monotonic) in MOMENTS.into_iter().flat_map(|wall| monotonics.map(|monotonic| (wall, monotonic))) {
        let clock = Standing { wall: Timestamp::from_millis(wall), monotonic };
        let store = FaultyStore::new(MemoryStore::with_clock(std::sync::Arc::new(clock)));
        let endpoint = FakeEndpoint::new(Rotation::New);
        let builder = Visitors::builder(client_id(), endpoint.clone(), store.clone()).clock(clock);
        let visitors = builder.build().unwrap();
        let visitor = visitors.visitor(secret_key("visitor"));
        let sound = |answer: Result<(), wix_visitor_core::Error>| {
            if let Err(error) = answer {
                assert_ne!(error.kind(), ErrorKind::Panicked, "{clock:?}: {error}");
            }
        };
        visitor.authorization().await.unwrap();
        assert_eq!(endpoint.mints(), 1, "{clock:?}");
        sound(visitor.renew().await.map(drop));
        for failure in [GrantFailure::Transient, GrantFailure::Unknown, GrantFailure::Doubtful] {
            let error = GrantError::new(failure, "planned").with_status(429).with_retry_after(Some(Duration::MAX));
            endpoint.plan_always(Some(Plan::Fail(error)));
            sound(visitor.renew().await.map(drop));
            let other = visitors.visitor(secret_key("other"));
            sound(other.authorization().await.map(drop));
        }
        endpoint.plan_always(None);
        store.break_down(StoreErrorKind::Unavailable);
        sound(visitor.renew().await.map(drop));
        visitors.health().await;
        store.heal();
        visitor.status().await.unwrap();
        let (_, access, refresh) = endpoint.issue();
        let access = wix_visitor_core::AccessToken::new(access, clock.wall);
        let refresh = wix_visitor_core::RefreshToken::new(refresh, Role::Member);
        visitor.set_tokens(wix_visitor_core::Tokens::new(Some(access), Some(refresh))).await.unwrap();
        visitor.retire().await.unwrap();
        assert_eq!(visitor.retired().await.unwrap(), Some(clock.wall));
        sound(visitors.shutdown().await);
        assert_eq!(endpoint.mints(), 1, "{clock:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_between_the_ends_of_time_loses_nobody() {
    let site = Instance::new(Rotation::New);
    let identity = site.who().await.unwrap();
    for wall in MOMENTS.into_iter().chain([1_767_225_600_000]).cycle().take(24) {
        site.clock.set(Timestamp::from_millis(wall));
        for _ in 0..3 {
            if let Ok(who) = site.who().await {
                assert_eq!(who, identity, "{wall}");
            }
            tokio::time::sleep(secs(120)).await;
        }
    }
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_the_testkit_goes_to_the_ends_of_time_and_no_further() {
    for (millis, span) in MOMENTS.into_iter().flat_map(|millis| SPANS.map(|span| (millis, span))) {
        let clock = TestClock::new(Timestamp::from_millis(millis));
        tokio::time::sleep(secs(1)).await;
        let before = clock.wall();
        clock.jump(span);
        assert!(clock.wall() >= before, "{millis} and {span:?}");
        let before = clock.wall();
        clock.jump_back(span);
        assert!(clock.wall() <= before, "{millis} less {span:?}");
        clock.set(Timestamp::from_millis(millis));
        // At the beginning of time it cannot stand for a moment in which it has run already.
        assert!(clock.wall().since(Timestamp::from_millis(millis)) <= secs(3600), "{millis}");
    }
}
