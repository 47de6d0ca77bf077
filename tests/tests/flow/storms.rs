//! Many visitors at once, on an endpoint that is one for all of them.

use std::time::Duration;

use wix_visitor_core::{ErrorKind, GrantError, GrantFailure, Policy, StoreErrorKind};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{Plan, Rotation};
use wix_visitor_tests::instance::{Instance, hours, secs};

/// Many visitors of one instance, all minted.
async fn crowd(site: &Instance, count: usize) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|_| secret_key("shopper")).collect();
    for key in &keys {
        site.visitors.visitor(key).authorization().await.unwrap();
    }
    keys
}

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    change(&mut policy);
    policy
}

fn busy(status: u16) -> Plan {
    Plan::Fail(GrantError::new(GrantFailure::Transient, "busy").with_status(status))
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_for_an_hour_is_asked_once_a_pause_and_serves_all_when_it_is_back() {
    let site = Instance::new(Rotation::Same);
    let keys = crowd(&site, 500).await;
    site.expire().await;
    site.endpoint.plan_always(Some(busy(503)));
    let before = site.endpoint.grants();
    for second in 0..3_600 {
        let key = &keys[second * 7 % keys.len()];
        let error = site.visitors.visitor(key).authorization().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_in().is_some_and(|pause| pause <= secs(75)), "{error}");
        tokio::time::sleep(secs(1)).await;
    }
    let asked = site.endpoint.grants() - before;
    assert!((60..=80).contains(&asked), "{asked} grants in an hour");
    site.endpoint.plan_always(None);
    tokio::time::sleep(secs(75)).await;
    for key in &keys {
        let visitor = site.visitors.visitor(key);
        let served = visitor.authorization().await;
        assert!(served.is_ok(), "{served:?}");
    }
    assert_eq!(site.endpoint.mints(), 500);
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_bar_everybody_for_as_long_as_was_asked_and_nobody_with_a_usable_token_notices() {
    let site = Instance::new(Rotation::Same);
    let keys = crowd(&site, 20).await;
    site.endpoint.plan(Plan::Fail(
        GrantError::new(GrantFailure::Transient, "slow down").with_status(429).with_retry_after(Some(secs(30))),
    ));
    let newcomer = secret_key("newcomer");
    site.visitors.visitor(&newcomer).authorization().await.unwrap_err();
    let asked = site.endpoint.mints();
    for _ in 0..25 {
        let other = site.visitors.visitor(secret_key("other")).authorization().await.unwrap_err();
        assert!(other.retry_in().is_some_and(|pause| pause <= secs(38)));
        for key in &keys {
            site.visitors.visitor(key).authorization().await.unwrap();
        }
        tokio::time::sleep(secs(1)).await;
    }
    assert_eq!(site.endpoint.mints(), asked, "nobody asked meanwhile");
    tokio::time::sleep(secs(15)).await;
    site.visitors.visitor(&newcomer).authorization().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn fifty_new_visitors_a_second_for_a_minute_are_all_served() {
    let site = Instance::new(Rotation::Same);
    site.endpoint.set_latency(Duration::from_millis(200));
    let mut calls = Vec::new();
    for _ in 0..60 * 50 {
        let visitor = site.visitors.visitor(secret_key("newcomer"));
        calls.push(tokio::spawn(async move { visitor.authorization().await }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(site.endpoint.mints(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn renewals_in_the_background_keep_within_their_bounds_and_a_waiting_shopper_goes_first() {
    let policy = policy(|p| (p.jitter, p.background_in_flight, p.background_per_minute) = (Duration::ZERO, 4, 60));
    let site = Instance::with_policy(Rotation::Same, policy);
    let keys = crowd(&site, 300).await;
    tokio::time::sleep(hours(3) + secs(31 * 60)).await;
    site.endpoint.set_latency(secs(5));
    let mut newcomers = Vec::new();
    for _ in 0..60 {
        for key in &keys {
            site.visitors.visitor(key).authorization().await.unwrap();
        }
        let newcomer = site.visitors.visitor(secret_key("newcomer"));
        let asked = tokio::time::Instant::now();
        newcomers.push(tokio::spawn(async move { newcomer.authorization().await.map(|_| asked.elapsed()) }));
        tokio::time::sleep(secs(1)).await;
    }
    let renewals = site.endpoint.renewals();
    assert!((40..=64).contains(&renewals), "{renewals} in a minute: four at a time, five seconds each");
    for newcomer in newcomers {
        assert_eq!(newcomer.await.unwrap().unwrap(), secs(5), "the endpoint's own time");
    }
    site.endpoint.set_latency(Duration::ZERO);
    for _ in 0..6 * 60 {
        for key in &keys {
            site.visitors.visitor(key).authorization().await.unwrap();
        }
        tokio::time::sleep(secs(1)).await;
    }
    assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (300, 360), "in the end all are renewed");
}

#[tokio::test(start_paused = true)]
async fn a_shopper_is_never_told_that_a_background_renewal_had_to_wait() {
    let policy = policy(|p| (p.jitter, p.background_in_flight, p.background_per_minute) = (Duration::ZERO, 1, 1));
    let site = Instance::with_policy(Rotation::Same, policy);
    let keys = crowd(&site, 3).await;
    tokio::time::sleep(hours(3) + secs(31 * 60)).await;
    site.endpoint.set_latency(secs(2));
    for key in &keys {
        let visitor = site.visitors.visitor(key);
        visitor.authorization().await.unwrap();
        let header = visitor.authorization().await.unwrap();
        // A renewal in the background may just have been held back.
        visitor.renew_if(header).await.unwrap();
    }
    assert_eq!(site.endpoint.renewals(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_grant_waits_rather_than_that_more_is_unsaved_than_there_is_room_for() {
    let site = Instance::with_policy(Rotation::Same, policy(|p| p.unsaved_most = 2));
    site.endpoint.set_latency(secs(2));
    let ask = || {
        let visitor = site.visitors.visitor(secret_key("newcomer"));
        tokio::spawn(async move { visitor.authorization().await })
    };
    let calls = [ask(), ask(), ask()];
    tokio::time::sleep(secs(1)).await;
    site.store.break_down(StoreErrorKind::Unavailable);
    tokio::time::sleep(secs(3)).await;
    assert_eq!(site.endpoint.mints(), 2, "the third waits for room");
    site.store.heal();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(site.endpoint.mints(), 3);
    site.visitors.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_finds_no_room_in_time_is_not_sent_and_its_caller_is_told() {
    let site = Instance::with_policy(Rotation::Same, policy(|p| p.unsaved_most = 1));
    site.endpoint.set_latency(secs(2));
    let first = site.ask();
    tokio::time::sleep(secs(1)).await;
    let late = site.visitors.visitor(secret_key("late"));
    let call = {
        let late = late.clone();
        tokio::spawn(async move { late.authorization().await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    site.store.break_down(StoreErrorKind::Unavailable);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), site.endpoint.mints()), (ErrorKind::Busy, 1));
    assert!(error.to_string().contains("wait to be saved"), "{error}");
    site.store.heal();
    tokio::time::sleep(secs(20)).await;
    late.authorization().await.unwrap();
    site.visitors.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_accepts_nobodys_configuration_is_asked_once_a_pause() {
    let site = Instance::new(Rotation::Same);
    let error = GrantError::new(GrantFailure::Misconfigured, "no app has this client id");
    site.endpoint.plan_always(Some(Plan::Fail(error)));
    for _ in 0..1_000 {
        let visitor = site.visitors.visitor(secret_key("newcomer"));
        assert_eq!(visitor.authorization().await.unwrap_err().kind(), ErrorKind::Misconfigured);
    }
    assert!(site.endpoint.grants() < 10, "{}", site.endpoint.grants());
    site.endpoint.plan_always(None);
    tokio::time::sleep(secs(600)).await;
    site.who().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn doubtful_answers_to_everybody_replace_nobody_who_can_still_be_served() {
    let site = Instance::new(Rotation::Same);
    let keys = crowd(&site, 20).await;
    let mut first = Vec::new();
    for key in &keys {
        first.push(site.identity(&site.visitors.visitor(key).authorization().await.unwrap()));
    }
    let error = GrantError::new(GrantFailure::Doubtful, "rejected, not clearly for its refresh token");
    site.endpoint.plan_renewals(Some(Plan::Fail(error)));
    tokio::time::sleep(hours(4) - secs(1_800)).await;
    for _ in 0..96 {
        for key in &keys {
            site.visitors.visitor(key).authorization().await.unwrap();
        }
        tokio::time::sleep(secs(5)).await;
    }
    // For eight minutes; then it is well again, and the old tokens end.
    site.endpoint.plan_renewals(None);
    tokio::time::sleep(hours(1)).await;
    for (key, who) in keys.iter().zip(first) {
        assert_eq!(site.identity(&site.visitors.visitor(key).authorization().await.unwrap()), who);
    }
    assert_eq!(site.endpoint.mints(), 20);
}
