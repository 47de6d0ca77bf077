//! Signing in and out: a new session, and an old one that is worth nothing.

use axum::body::Body;
use http::{Request, StatusCode};
use wix_visitor_core::{Role, StoreErrorKind};
use wix_visitor_testkit::TestClock;
use wix_visitor_tests::instance::{hours, secs};

use crate::browser::{Answer, Browser};
use crate::shop::Shop;

fn who() -> Request<Body> {
    Request::get("/who").body(Body::empty()).unwrap()
}

/// Six requests under way, on both servers, with the cookies of now.
async fn under_way(shop: &Shop, browser: &Browser) -> Vec<tokio::task::JoinHandle<Answer>> {
    let servers = [shop.clone(), shop.another()];
    let mut calls = Vec::new();
    for at in 0..6 {
        let (browser, server) = (browser.copy(), servers[at % 2].clone());
        calls.push(tokio::spawn(async move { browser.send_only(&server, who()).await }));
    }
    shop.instance.endpoint.arrived().await;
    calls
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_with_six_requests_under_way_stays_signed_in_and_what_they_began_mints_nothing() {
    for renewal in [false, true] {
        let shop = Shop::new();
        let browser = Browser::default();
        browser.get(&shop, "/").await;
        if renewal {
            browser.get(&shop, "/who").await.identity();
            tokio::time::sleep(hours(5)).await;
        }
        shop.instance.endpoint.close();
        let calls = under_way(&shop, &browser).await;
        let signed_in = browser.post(&shop, "/sign-in").await;
        let member = signed_in.identity();
        shop.instance.endpoint.open();
        for call in calls {
            // They arrive after the sign-in's own answer.
            let answer = call.await.unwrap();
            assert!(answer.cookies().is_empty(), "{answer:?}");
            assert!(matches!(answer.status.as_u16(), 200 | 409), "{answer:?}");
            browser.take(&answer);
        }
        let mints = shop.instance.endpoint.mints();
        tokio::time::sleep(secs(30)).await;
        for server in [shop.clone(), shop.another()] {
            assert_eq!(browser.get(&server, "/who").await.identity(), member);
        }
        assert_eq!(shop.instance.endpoint.mints(), mints);
        assert!(mints <= 1, "{mints}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_under_way_with_a_retired_session_puts_another_in_the_place_of_the_new_one() {
    for signed_in in [true, false] {
        for path in ["/sign-in", "/sign-out", "/start-over", "/take-over"] {
            let shop = Shop::new();
            let browser = Browser::default();
            browser.get(&shop, "/who").await.identity();
            let old = browser.copy();
            browser.post(&shop, if signed_in { "/sign-in" } else { "/sign-out" }).await;
            let now = browser.get(&shop, "/who").await.identity();
            let cookies = browser.header();
            for server in [shop.clone(), shop.another()] {
                let kept = shop.instance.sign_in(Role::Visitor).1.to_json();
                let answer = if path == "/take-over" {
                    old.post_json(&server, path, kept.expose()).await
                } else {
                    old.post(&server, path).await
                };
                assert!(answer.cookies().is_empty(), "{path}: {answer:?}");
                let status = if path == "/sign-out" { StatusCode::OK } else { StatusCode::CONFLICT };
                assert_eq!(answer.status, status, "{path}");
                browser.take(&answer);
            }
            assert_eq!(browser.header(), cookies);
            assert_eq!(browser.get(&shop.another(), "/who").await.identity(), now);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_pages_that_take_over_at_once_one_does() {
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/").await;
    let (identity, tokens) = shop.instance.sign_in(Role::Visitor);
    let kept = tokens.to_json();
    let (one, other) = (browser.copy(), browser.copy());
    let server = shop.another();
    let answers = tokio::join!(
        one.post_json(&shop, "/take-over", kept.expose()),
        other.post_json(&server, "/take-over", kept.expose())
    );
    let taken = [&answers.0, &answers.1].into_iter().filter(|answer| answer.status == StatusCode::NO_CONTENT);
    assert_eq!(taken.inspect(|answer| browser.take(answer)).count(), 1, "{answers:?}");
    assert_eq!(browser.get(&shop, "/who").await.identity(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_session_id_that_was_planted_before_a_sign_in_is_worthless_after_it() {
    let shop = Shop::new();
    let attacker = Browser::default();
    attacker.get(&shop, "/").await;
    attacker.get(&shop, "/who").await.identity();
    let victim = attacker.copy();
    let member = victim.post(&shop, "/sign-in").await.identity();
    let servers = [shop.clone(), shop.another()];
    for server in &servers {
        let answer = attacker.get(server, "/who").await;
        assert_eq!((answer.status, answer.cookies().len()), (StatusCode::CONFLICT, 0), "{answer:?}");
        assert!(attacker.get(server, "/").await.cookies().is_empty());
    }
    assert_eq!(shop.instance.endpoint.mints(), 1, "a retired id mints nothing");
    tokio::time::sleep(secs(61)).await;
    for server in &servers {
        assert_ne!(attacker.get(server, "/who").await.identity(), member);
    }
    assert_eq!(victim.get(&shop, "/who").await.identity(), member);
    // Also where the victim never used it before.
    let planted = Browser::with("__Host-visitor", "AAAAAAAAAAAAAAAAAAAAAA.20000");
    let victim = planted.copy();
    let member = victim.post(&shop, "/sign-in").await.identity();
    let server = shop.another();
    assert_eq!(planted.get(&server, "/who").await.status, StatusCode::CONFLICT);
    tokio::time::sleep(secs(61)).await;
    assert_ne!(planted.get(&server, "/who").await.identity(), member);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_undoes_no_sign_in_whatever_the_clocks_of_two_servers_say() {
    for ahead in [false, true] {
        let shop = Shop::new();
        let now = shop.instance.now();
        let wall = if ahead { now + secs(600) } else { now - secs(600) };
        let server = shop.with_clock(TestClock::new(wall));
        let browser = Browser::default();
        browser.get(&shop, "/who").await.identity();
        let old = browser.copy();
        let member = browser.post(&shop, "/sign-in").await.identity();
        let late = old.send_only(&server, who()).await;
        assert_eq!((late.status, late.cookies().len()), (StatusCode::CONFLICT, 0), "{ahead}");
        browser.take(&late);
        assert_eq!(browser.get(&server, "/who").await.identity(), member);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retired_session_gets_a_new_one_after_a_minute_and_none_before() {
    let shop = Shop::new();
    let browser = Browser::default();
    let old = browser.get(&shop, "/who").await.identity();
    let stale = browser.copy();
    browser.post(&shop, "/sign-out").await;
    tokio::time::sleep(secs(59)).await;
    let server = shop.another();
    assert_eq!(stale.get(&server, "/who").await.status, StatusCode::CONFLICT);
    tokio::time::sleep(secs(61)).await;
    assert_eq!(stale.copy().get(&server, "/who").await.status, StatusCode::OK);
    tokio::time::sleep(hours(24)).await;
    assert!(stale.get(&shop.another(), "/").await.cookies().is_empty(), "a page does not bring a retired session back");
    let new = stale.get(&shop.another(), "/who").await;
    assert_eq!(new.cookies().len(), 1);
    assert_ne!(new.identity(), old);
    assert_eq!(stale.get(&shop.another(), "/who").await.identity(), new.identity());
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_forgets_on_every_server_and_requests_under_way_do_not_undo_it() {
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/").await;
    let member = browser.post(&shop, "/sign-in").await.identity();
    tokio::time::sleep(hours(5)).await;
    shop.instance.endpoint.close();
    let calls = under_way(&shop, &browser).await;
    let before = browser.header();
    assert_eq!(browser.post(&shop, "/sign-out").await.cookies().len(), 1);
    assert_ne!(browser.header(), before);
    shop.instance.endpoint.open();
    for call in calls {
        let answer = call.await.unwrap();
        assert!(answer.cookies().is_empty());
        browser.take(&answer);
    }
    let guest = browser.get(&shop.another(), "/who").await.identity();
    assert_ne!(guest, member);
    assert_eq!(shop.instance.endpoint.mints(), 1, "the guest alone");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_or_sign_out_that_could_not_be_saved_leaves_the_session_as_it_was() {
    let shop = Shop::new();
    let browser = Browser::default();
    let guest = browser.get(&shop, "/who").await.identity();
    shop.instance.store.break_down(StoreErrorKind::Unavailable);
    for path in ["/sign-in", "/sign-out"] {
        let answer = browser.post(&shop, path).await;
        assert_eq!((answer.status, answer.cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0), "{path}");
    }
    shop.instance.store.heal();
    assert_eq!(browser.get(&shop.another(), "/who").await.identity(), guest);
}

#[tokio::test(start_paused = true)]
async fn an_old_session_that_cannot_be_retired_at_a_sign_in_is_retired_as_soon_as_the_store_is_back() {
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/who").await.identity();
    let old = browser.copy();
    // The tokens are kept, and then the store goes away.
    shop.instance.store.decide(|operation, at| {
        use wix_visitor_testkit::{StoreFault, StoreOperation};
        let swap = matches!(operation, StoreOperation::Swap);
        (swap && at >= 4).then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    let member = browser.post(&shop, "/sign-in").await.identity();
    assert_eq!(browser.get(&shop, "/who").await.identity(), member);
    assert_eq!(old.get(&shop.another(), "/who").await.status, StatusCode::OK, "not yet");
    shop.instance.store.heal();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(old.get(&shop.another(), "/who").await.status, StatusCode::CONFLICT);
}

#[tokio::test(start_paused = true)]
async fn signing_out_of_a_session_that_never_was_keeps_nothing() {
    let shop = Shop::new();
    assert_eq!(Browser::default().post(&shop, "/sign-out").await.status, StatusCode::OK);
    let store = &shop.instance.store;
    assert_eq!((store.loads(), store.swaps()), (0, 0));
}
