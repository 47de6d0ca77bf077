//! What an instance says of itself to those who decide whether shoppers are sent to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wix_visitor_core::{GrantError, GrantFailure, Policy, StoreErrorKind};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{Plan, Rotation, StoreFault};
use wix_visitor_tests::announcing::Announcing;
use wix_visitor_tests::instance::{Instance, secs};

#[tokio::test(start_paused = true)]
async fn an_instance_is_ready_while_its_store_answers() {
    let site = Instance::new(Rotation::Same);
    let health = site.visitors.health().await;
    assert!(health.is_ready() && health.store.is_ok() && !health.closing, "{health:?}");
    assert_eq!((health.unsaved, health.oldest_unsaved, health.endpoint_paused_for), (0, None, None));
    site.store.break_down(StoreErrorKind::Unavailable);
    tokio::time::sleep(secs(1)).await;
    let health = site.visitors.health().await;
    assert_eq!(health.store.as_ref().unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert!(!health.is_ready());
    site.store.heal();
    tokio::time::sleep(secs(1)).await;
    assert!(site.visitors.health().await.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_makes_an_instance_unready_within_the_deadline_of_a_save() {
    let site = Instance::new(Rotation::Same);
    site.store.plan_load(StoreFault::Hang);
    let start = Instant::now();
    let health = site.visitors.health().await;
    assert_eq!(start.elapsed(), site.visitors.policy().save);
    assert!(!health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_the_store_is_asked_once_a_second() {
    let site = Instance::new(Rotation::Same);
    site.store.allow(0);
    let ask = || {
        let visitors = site.visitors.clone();
        tokio::spawn(async move { visitors.health().await.is_ready() })
    };
    let together: Vec<_> = (0..1_000).map(|_| ask()).collect();
    site.store.held().await;
    site.store.open();
    for one in together {
        assert!(one.await.unwrap());
    }
    assert_eq!((site.store.loads(), site.store.swaps()), (1, 0));
    for _ in 0..100 {
        assert!(ask().await.unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((10..=11).contains(&site.store.loads()), "{} in ten seconds", site.store.loads());
    assert_eq!(site.store.swaps(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_for_the_answer_leaves_it_to_the_next() {
    let site = Instance::new(Rotation::Same);
    site.store.plan_load(StoreFault::Delay(Duration::from_millis(1_500)));
    for _ in 0..3 {
        let asked = tokio::time::timeout(Duration::from_millis(400), site.visitors.health()).await;
        assert!(asked.is_err(), "it takes longer");
    }
    assert!(site.visitors.health().await.is_ready());
    assert_eq!(site.store.loads(), 1);
}

#[test]
fn a_question_that_went_with_its_runtime_is_asked_anew() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (first, second) = (runtime(), runtime());
    let site = second.block_on(async { Instance::new(Rotation::Same) });
    site.store.plan_load(StoreFault::Hang);
    first.block_on(async {
        let visitors = site.visitors.clone();
        tokio::spawn(async move { visitors.health().await });
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    });
    assert_eq!(site.store.loads(), 1);
    drop(first);
    assert!(second.block_on(site.visitors.health()).is_ready());
}

#[test]
fn without_a_runtime_an_instance_is_not_ready_and_nothing_panics() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = runtime.block_on(async { Instance::new(Rotation::Same) });
    drop(runtime);
    let mut health = std::pin::pin!(site.visitors.health());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(health) = health.as_mut().poll(&mut context) else { panic!("it waits for nothing") };
    assert!(!health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_is_told_of_and_makes_no_instance_unready() {
    let site = Instance::new(Rotation::Same);
    let patience = GrantError::new(GrantFailure::Transient, "busy").with_status(429).with_retry_after(Some(secs(30)));
    site.endpoint.plan(Plan::Fail(patience));
    site.who().await.unwrap_err();
    let health = site.visitors.health().await;
    assert!(health.endpoint_paused_for.is_some_and(|pause| pause > secs(20)), "{health:?}");
    assert!(health.is_ready());
    tokio::time::sleep(secs(60)).await;
    assert_eq!(site.visitors.health().await.endpoint_paused_for, Some(Duration::ZERO), "somebody may find out");
    site.who().await.unwrap();
    assert_eq!(site.visitors.health().await.endpoint_paused_for, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_saved_is_told_with_its_age_and_makes_no_instance_unready() {
    let site = Instance::new(Rotation::Same);
    let first = site.visitor();
    let later = site.visitors.visitor(secret_key("later"));
    for visitor in [&first, &later] {
        visitor.authorization().await.unwrap();
    }
    for visitor in [&first, &later] {
        let swaps = site.store.swaps();
        site.store.decide(move |operation, number| {
            (operation == wix_visitor_testkit::StoreOperation::Swap && number != swaps + 1)
                .then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
        });
        visitor.renew().await.unwrap();
        tokio::time::sleep(secs(60)).await;
    }
    let health = site.visitors.health().await;
    assert_eq!(health.unsaved, 2);
    assert!(health.oldest_unsaved.is_some_and(|age| secs(120) <= age && age < secs(126)), "{health:?}");
    assert!(health.is_ready());
    site.store.heal();
    tokio::time::sleep(secs(10)).await;
    let health = site.visitors.health().await;
    assert_eq!((health.unsaved, health.oldest_unsaved), (0, None));
}

#[tokio::test(start_paused = true)]
async fn an_instance_says_whether_it_hears_of_changes_made_elsewhere() {
    let store = Announcing::default();
    let site = Instance::with_store(store.clone(), Rotation::Same, Policy::default());
    site.who().await.unwrap();
    assert!(!site.visitors.health().await.hears_changes);
    tokio::time::sleep(secs(2)).await;
    assert!(site.visitors.health().await.hears_changes);
    store.cut();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!site.visitors.health().await.hears_changes);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_shut_down_is_not_ready() {
    let site = Instance::new(Rotation::Same);
    site.visitors.shutdown().await.unwrap();
    let health = site.visitors.health().await;
    assert!(health.closing && health.store.is_ok() && !health.is_ready(), "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn health_shows_no_secret() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    site.store.break_down(StoreErrorKind::Corrupt);
    let shown = format!("{:?}", site.visitors.health().await);
    let tokens = site.visitor().tokens().await.unwrap();
    let secrets = [tokens.access.unwrap().value, tokens.refresh.unwrap().value];
    assert!(secrets.iter().all(|secret| !shown.contains(secret.expose())) && !shown.contains(&*Arc::clone(&site.key)));
}
