//! Spans: there where something is done, with the fields that are promised and nothing secret in them.

use tracing::{Instrument, Level, info_span};
use wix_visitor_core::{GrantError, GrantFailure, Role, StoreErrorKind};
use wix_visitor_testkit::{Plan, Rotation, StoreFault};
use wix_visitor_tests::instance::{Instance, hours, secs};
use wix_visitor_tests::spans::Spans;

#[tokio::test(start_paused = true)]
async fn a_mint_is_a_flight_with_a_grant_and_its_store_operations() {
    let site = Instance::new(Rotation::Same);
    let id = site.visitor().id();
    let spans = Spans::seen();
    site.who().await.unwrap();
    assert_eq!(spans.named("wix_visitor.flight"), [format!("goal=serve outcome=landed visitor={id}")]);
    assert_eq!(spans.named("wix_visitor.grant"), [format!("kind=mint outcome=granted visitor={id}")]);
    let operations = ["load", "swap", "reserve", "swap"].map(|operation| format!("operation={operation} outcome=ok"));
    assert_eq!(spans.named("wix_visitor.store"), operations);
    for span in spans.all() {
        let (level, within) = match span.name {
            "wix_visitor.flight" => (Level::DEBUG, None),
            "wix_visitor.grant" => (Level::INFO, Some("wix_visitor.flight")),
            _ => (Level::DEBUG, Some("wix_visitor.flight")),
        };
        assert_eq!((span.level, span.within), (Some(level), within), "{span:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_from_memory_makes_no_span() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    let spans = Spans::seen();
    site.who().await.unwrap();
    assert!(spans.all().is_empty(), "{:?}", spans.all());
}

#[tokio::test(start_paused = true)]
async fn a_flight_follows_from_the_call_that_it_took_off_for_and_is_no_child_of_it() {
    let site = Instance::new(Rotation::Same);
    let spans = Spans::seen();
    site.who().instrument(info_span!("request")).await.unwrap();
    let all = spans.all();
    let flight = all.iter().find(|span| span.name == "wix_visitor.flight").unwrap();
    assert_eq!((flight.within, flight.follows), (None, Some("request")));
}

#[tokio::test(start_paused = true)]
async fn a_span_says_how_it_ended() {
    let site = Instance::new(Rotation::Same);
    let id = site.visitor().id();
    site.who().await.unwrap();
    site.expire().await;
    let spans = Spans::seen();
    site.endpoint.plan(Plan::Fail(GrantError::new(GrantFailure::Unknown, "as planned")));
    site.who().await.unwrap_err();
    assert_eq!(spans.named("wix_visitor.flight"), [format!("goal=serve outcome=outcome_unknown visitor={id}")]);
    assert_eq!(spans.named("wix_visitor.grant"), [format!("kind=renew outcome=unknown visitor={id}")]);

    let spans = Spans::seen();
    site.store.plan_swap(StoreFault::LoseAnswer);
    site.visitor().forget().await.unwrap();
    assert_eq!(spans.named("wix_visitor.change"), [format!("outcome=done visitor={id}")]);
    let swaps = ["unknown", "conflict"].map(|outcome| format!("operation=swap outcome={outcome}"));
    assert_eq!(spans.named("wix_visitor.store"), swaps);

    let spans = Spans::seen();
    site.store.break_down(StoreErrorKind::Unavailable);
    tokio::time::sleep(secs(60)).await;
    site.visitor().forget().await.unwrap_err();
    site.visitors.health().await;
    assert_eq!(spans.named("wix_visitor.change"), [format!("outcome=store visitor={id}")]);
    let last = spans.named("wix_visitor.store").pop();
    assert_eq!(last.as_deref(), Some("operation=health outcome=unavailable"));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_nobody_waits_for_says_so() {
    let site = Instance::new(Rotation::Same);
    let id = site.visitor().id();
    site.who().await.unwrap();
    tokio::time::sleep(hours(4) - secs(600)).await;
    let spans = Spans::seen();
    site.who().await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert!(spans.named("wix_visitor.flight").contains(&format!("goal=renew outcome=landed visitor={id}")));
}

#[tokio::test(start_paused = true)]
async fn no_field_of_a_span_holds_a_visitor_key_or_a_token() {
    let site = Instance::new(Rotation::New);
    let spans = Spans::seen();
    let mut secrets = vec![site.key.to_string()];
    site.who().await.unwrap();
    let first = site.visitor().authorization().await.unwrap();
    secrets.push(first.header().to_str().unwrap().to_owned());
    secrets.push(site.refresh_token().await.expose().to_owned());
    let second = site.visitor().renew_if(&first).await.unwrap();
    secrets.push(second.header().to_str().unwrap().to_owned());
    site.visitor().set_tokens(site.sign_in(Role::Member).1).await.unwrap();
    secrets.push(site.refresh_token().await.expose().to_owned());
    site.visitor().forget().await.unwrap();
    let all = spans.all();
    assert!(all.len() > 10);
    for span in all {
        let shown = format!("{span:?}");
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{}", span.name);
    }
}
