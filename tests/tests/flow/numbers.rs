//! Metrics: each moves when it should, and none holds a visitor.

use std::time::Duration;

use wix_visitor_core::{GrantError, GrantFailure, GrantReply, Role, StoreErrorKind};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{Plan, Rotation, StoreFault, StoreOperation};
use wix_visitor_tests::instance::{CLIENT_ID, Instance, secs};
use wix_visitor_tests::numbers::Numbers;

const GRANTS: &str = "wix_visitor_grants_total";
const IN_FLIGHT: &str = "wix_visitor_grants_in_flight";
const GRANT_DURATION: &str = "wix_visitor_grant_duration_seconds";
const LOST: &str = "wix_visitor_visitors_lost_total";
const SESSIONS_ENDED: &str = "wix_visitor_member_sessions_ended_total";
const TAKEN_OVER: &str = "wix_visitor_claims_taken_over_total";
const HITS: &str = "wix_visitor_snapshot_hits_total";
const MISSES: &str = "wix_visitor_snapshot_misses_total";
const WAITERS: &str = "wix_visitor_waiters";
const STORE: &str = "wix_visitor_store_operations_total";
const STORE_DURATION: &str = "wix_visitor_store_duration_seconds";
const UNSAVED: &str = "wix_visitor_unsaved";
const UNSAVED_SINCE: &str = "wix_visitor_unsaved_since_timestamp_seconds";

/// An instance whose numbers are seen.
fn counted(rotation: Rotation) -> (Instance, Numbers) {
    let numbers = Numbers::default();
    (numbers.of(|| Instance::new(rotation)), numbers)
}

fn failure(failure: GrantFailure) -> Plan {
    Plan::Fail(GrantError::new(failure, "as planned"))
}

#[tokio::test(start_paused = true)]
async fn grants_are_counted_by_kind_and_by_how_they_ended() {
    let failures = [
        (failure(GrantFailure::Refused), "refused"),
        (failure(GrantFailure::Misconfigured), "misconfigured"),
        (failure(GrantFailure::Transient), "transient"),
        (failure(GrantFailure::Unknown), "unknown"),
        (failure(GrantFailure::Doubtful), "doubtful"),
        (Plan::Hang, "unknown"),
        (Plan::Reply(GrantReply::default()), "transient"),
    ];
    for (plan, outcome) in failures {
        let (site, numbers) = counted(Rotation::Same);
        site.who().await.unwrap();
        site.expire().await;
        site.endpoint.plan(plan);
        let _ = site.who().await;
        assert_eq!(numbers.value(GRANTS, &["renew", outcome]), 1.0, "{outcome}");
        assert_eq!(numbers.value(GRANTS, &["renew", "granted"]), 0.0, "{outcome}");
        // Who is refused for good is followed by a new visitor.
        let mints = if outcome == "refused" { 2.0 } else { 1.0 };
        assert_eq!(numbers.value(GRANTS, &["mint", "granted"]), mints, "{outcome}");
        tokio::time::sleep(secs(120)).await;
        site.visitor().renew().await.unwrap();
        assert_eq!(numbers.value(GRANTS, &["renew", "granted"]), 1.0, "{outcome}");
        numbers.log();
    }
}

#[tokio::test(start_paused = true)]
async fn how_long_a_grant_took_is_counted_in_seconds() {
    let (site, numbers) = counted(Rotation::Same);
    site.endpoint.set_latency(secs(3));
    site.who().await.unwrap();
    assert_eq!((numbers.count(GRANT_DURATION, &["mint"]), numbers.value(GRANT_DURATION, &["mint"])), (1, 3.0));
    assert_eq!(numbers.count(GRANT_DURATION, &["renew"]), 0);
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_in_flight_and_its_callers_wait_until_it_is_answered() {
    let (site, numbers) = counted(Rotation::Same);
    let now =
        || (numbers.value(IN_FLIGHT, &["mint"]), numbers.value(IN_FLIGHT, &["renew"]), numbers.value(WAITERS, &[]));
    assert_eq!(now(), (0.0, 0.0, 0.0));
    site.who().await.unwrap();
    assert_eq!(now(), (0.0, 0.0, 0.0));
    site.expire().await;
    site.endpoint.close();
    let calls: Vec<_> = (0..100).map(|_| site.ask()).collect();
    site.endpoint.arrived().await;
    assert_eq!(now(), (0.0, 1.0, 100.0));
    for gone in &calls[..40] {
        gone.abort();
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(now(), (0.0, 1.0, 60.0));
    site.endpoint.open();
    for call in calls {
        let _ = call.await;
    }
    assert_eq!(now(), (0.0, 0.0, 0.0));
    assert_eq!(numbers.value(GRANTS, &["renew", "granted"]), 1.0);
}

#[test]
fn a_grant_that_went_with_its_runtime_is_in_flight_no_more_and_counts_as_abandoned() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, theirs) = (runtime(), runtime());
    let (site, numbers) = ours.block_on(async { counted(Rotation::Same) });
    site.endpoint.close();
    theirs.block_on(async {
        site.ask();
        site.endpoint.arrived().await;
    });
    let now = || (numbers.value(IN_FLIGHT, &["mint"]), numbers.value(WAITERS, &[]));
    assert_eq!((now(), numbers.value(GRANTS, &["mint", "abandoned"])), ((1.0, 1.0), 0.0));
    drop(theirs);
    assert_eq!((now(), numbers.value(GRANTS, &["mint", "abandoned"])), ((0.0, 0.0), 1.0));
    assert_eq!(numbers.count(GRANT_DURATION, &["mint"]), 0, "it took no time that says anything");
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_whether_memory_had_an_answer() {
    let (site, numbers) = counted(Rotation::Same);
    let counts = || (numbers.value(HITS, &[]), numbers.value(MISSES, &[]));
    let first = site.visitor().authorization().await.unwrap();
    assert_eq!(counts(), (0.0, 1.0));
    for _ in 0..5 {
        site.who().await.unwrap();
    }
    assert_eq!(counts(), (5.0, 1.0));
    site.visitor().renew_if(&first).await.unwrap();
    assert_eq!(counts(), (5.0, 2.0), "the one in memory was rejected");
    site.visitor().renew_if(&first).await.unwrap();
    assert_eq!(counts(), (6.0, 2.0), "and this one had been replaced already");
    site.expire().await;
    site.who().await.unwrap();
    assert_eq!(counts(), (6.0, 3.0));
}

#[tokio::test(start_paused = true)]
async fn lost_visitors_are_counted_by_reason() {
    let (site, numbers) = counted(Rotation::Same);
    let counts = || ["refused", "no_refresh_token", "superseded"].map(|reason| numbers.value(LOST, &[reason]));
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.endpoint.revoke(identity);
    site.who().await.unwrap();
    assert_eq!(counts(), [1.0, 0.0, 0.0]);

    let mut barren = GrantReply::default();
    barren.access_token = Some(secret_key("access").into());
    barren.expires_in = Some(secs(14_400));
    site.endpoint.plan(Plan::Reply(barren));
    let visitor = site.visitors.visitor(secret_key("barren"));
    visitor.authorization().await.unwrap();
    site.expire().await;
    visitor.authorization().await.unwrap();
    assert_eq!(counts(), [1.0, 1.0, 0.0]);

    let (site, numbers) = counted(Rotation::Same);
    site.store.decide(|operation, number| {
        (operation == StoreOperation::Swap && number > 1).then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    site.who().await.unwrap();
    site.another().who().await.unwrap();
    site.store.heal();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(numbers.value(LOST, &["superseded"]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn members_whose_session_ended_are_counted_and_are_no_lost_visitors() {
    let (site, numbers) = counted(Rotation::Same);
    let (member, tokens) = site.sign_in(Role::Member);
    site.visitor().set_tokens(tokens).await.unwrap();
    site.expire().await;
    site.endpoint.revoke(member);
    site.who().await.unwrap_err();
    assert_eq!((numbers.value(SESSIONS_ENDED, &[]), numbers.value(LOST, &["refused"])), (1.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn store_operations_are_counted_by_how_they_ended_and_timed() {
    let (site, numbers) = counted(Rotation::Same);
    let count = |operation, outcome| numbers.value(STORE, &[operation, outcome]);
    site.store.plan_load(StoreFault::Delay(Duration::from_millis(250)));
    site.who().await.unwrap();
    assert_eq!((count("load", "ok"), count("swap", "ok"), count("reserve", "ok")), (1.0, 2.0, 1.0));
    assert_eq!((numbers.count(STORE_DURATION, &["load"]), numbers.value(STORE_DURATION, &["load"])), (1, 0.25));

    // Repeated; the repetition finds that the first had been applied.
    site.store.plan_swap(StoreFault::LoseAnswer);
    site.visitor().renew().await.unwrap();
    assert_eq!((count("swap", "unknown"), count("swap", "conflict")), (1.0, 1.0));

    let kinds = [
        (StoreErrorKind::Unavailable, "unavailable"),
        (StoreErrorKind::Corrupt, "corrupt"),
        (StoreErrorKind::Misconfigured, "misconfigured"),
        (StoreErrorKind::Unsupported, "unsupported"),
    ];
    for (kind, outcome) in kinds {
        site.store.plan_load(StoreFault::Fail(kind));
        site.visitors.visitor(secret_key("another")).authorization().await.unwrap_err();
        assert_eq!(count("load", outcome), 1.0);
    }

    site.store.plan_load(StoreFault::Hang);
    let visitor = site.visitors.visitor(secret_key("another"));
    tokio::time::timeout(secs(1), visitor.tokens()).await.unwrap_err();
    assert_eq!((count("load", "abandoned"), numbers.count(STORE_DURATION, &["load"])), (1.0, 5));

    site.visitors.health().await;
    assert_eq!((count("health", "ok"), count("load", "ok")), (1.0, 1.0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_counted_as_taken_over_where_its_holder_let_it_run_out_and_not_where_it_gave_it_back() {
    let (site, numbers) = counted(Rotation::Same);
    site.who().await.unwrap();
    site.expire().await;
    let other = site.another();
    other.endpoint.close();
    let (theirs, ours) = (other.ask(), site.ask());
    tokio::time::sleep(secs(1)).await;
    other.endpoint.open();
    theirs.await.unwrap().unwrap();
    ours.await.unwrap().unwrap();
    assert_eq!(numbers.value(TAKEN_OVER, &[]), 0.0);

    site.expire().await;
    let gone = site.another();
    gone.endpoint.plan(Plan::Hang);
    let theirs = gone.ask();
    tokio::time::sleep(secs(1)).await;
    let ours = site.ask();
    theirs.await.unwrap().unwrap_err();
    ours.await.unwrap().unwrap();
    assert_eq!(numbers.value(TAKEN_OVER, &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_saved_is_counted_with_the_moment_since_when_the_oldest_waits() {
    let (site, numbers) = counted(Rotation::Same);
    let now = || (numbers.value(UNSAVED, &[]), numbers.value(UNSAVED_SINCE, &[]));
    let visitors = [site.visitor(), site.visitors.visitor(secret_key("later"))];
    for visitor in &visitors {
        visitor.authorization().await.unwrap();
    }
    assert_eq!(now(), (0.0, 0.0));
    let mut oldest = None;
    for (number, visitor) in visitors.iter().enumerate() {
        let swaps = site.store.swaps();
        site.store.decide(move |operation, number| {
            (operation == StoreOperation::Swap && number != swaps + 1)
                .then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
        });
        #[allow(clippy::cast_precision_loss)]
        oldest.get_or_insert(site.now().as_millis() as f64 / 1e3);
        visitor.renew().await.unwrap();
        assert_eq!(now(), ((number + 1) as f64, oldest.unwrap()));
        tokio::time::sleep(secs(60)).await;
    }
    site.store.heal();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(now(), (0.0, 0.0));
}

#[test]
fn what_went_with_its_runtime_on_the_way_to_the_store_counts_until_it_is_there() {
    let ours = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let theirs = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (site, numbers) = ours.block_on(async { counted(Rotation::Single) });
    let visitor = site.visitor();
    ours.block_on(visitor.authorization()).unwrap();
    let swaps = site.store.swaps();
    site.store.decide(move |operation, number| {
        (operation == StoreOperation::Swap && number > swaps + 1).then_some(StoreFault::Hang)
    });
    theirs.block_on(async {
        let visitor = visitor.clone();
        tokio::spawn(async move { visitor.renew().await });
        while site.store.swaps() < swaps + 2 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(numbers.value(UNSAVED, &[]), 1.0);
    drop(theirs);
    assert_eq!(numbers.value(UNSAVED, &[]), 1.0);
    site.store.heal();
    ours.block_on(async {
        visitor.authorization().await.unwrap();
        tokio::time::sleep(secs(1)).await;
    });
    assert_eq!((numbers.value(UNSAVED, &[]), site.endpoint.renewals()), (0.0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_site_that_goes_takes_what_it_did_not_save_out_of_the_numbers() {
    let numbers = Numbers::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn({
        let numbers = numbers.clone();
        move || {
            let site = runtime.block_on(async { numbers.of(|| Instance::new(Rotation::Same)) });
            site.store.decide(|operation, number| {
                (operation == StoreOperation::Swap && number > 1)
                    .then_some(StoreFault::Fail(StoreErrorKind::Misconfigured))
            });
            runtime.block_on(site.who()).unwrap();
            assert_eq!(numbers.value(UNSAVED, &[]), 1.0);
            drop(runtime); // and the saver with it
            assert_eq!(numbers.value(UNSAVED, &[]), 1.0);
        }
    })
    .join()
    .unwrap();
    assert_eq!((numbers.value(UNSAVED, &[]), numbers.value(UNSAVED_SINCE, &[])), (0.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn each_metric_and_each_value_of_a_label_is_in_the_documentation_and_names_no_visitor() {
    let documentation = include_str!("../../../docs/operations.md");
    let (site, numbers) = counted(Rotation::New);
    let identity = site.who().await.unwrap();
    let before = numbers.keys();
    site.expire().await;
    site.endpoint.revoke(identity);
    site.who().await.unwrap();
    site.visitor().forget().await.unwrap();
    site.store.break_down(StoreErrorKind::Unavailable);
    site.visitors.visitor(secret_key("another")).authorization().await.unwrap_err();
    numbers.log();
    assert_eq!(numbers.keys(), before, "all are there from the start, and no others come");
    for key in before {
        let name = key.name();
        assert!(name.starts_with("wix_visitor_") && documentation.contains(&format!("| `{name}` |")), "{name}");
        assert!(numbers.text(name).is_some_and(|text| text.ends_with('.')), "{name}");
        for label in key.labels() {
            let documented = documentation.contains(&format!("`{}`", label.value()));
            assert!(if label.key() == "site" { label.value() == CLIENT_ID } else { documented }, "{label:?}");
        }
    }
    let id = site.visitor().id().to_string();
    let rendered = numbers.rendered();
    assert!(!rendered.contains(&*site.key) && !rendered.contains(&id), "{rendered}");
}
