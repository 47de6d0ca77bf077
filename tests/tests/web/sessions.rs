//! A browser is a visitor: from its first page on, and on every server.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use wix_visitor_core::{Policy, StoreErrorKind};
use wix_visitor_tests::instance::{hours, secs};
use wix_visitor_web::{Session, SessionError, SessionLayer};

use crate::browser::Browser;
use crate::shop::Shop;

#[tokio::test(start_paused = true)]
async fn the_requests_that_a_first_page_fires_on_two_servers_are_of_one_visitor() {
    let shop = Shop::new();
    let servers = [shop.clone(), shop.another()];
    let browser = Browser::default();
    let page = browser.get(&shop, "/").await;
    assert_eq!(page.cookies().len(), 1);
    assert_eq!(shop.instance.endpoint.mints(), 0, "a page alone costs nothing");
    let calls = (0..6).map(|at| {
        let (browser, server) = (browser.clone(), servers[at % 2].clone());
        tokio::spawn(async move { browser.get(&server, "/who").await })
    });
    let mut seen = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap();
        assert!(answer.cookies().is_empty(), "the browser has it already");
        seen.push(answer.identity());
    }
    assert!(seen.iter().all(|who| *who == seen[0]), "{seen:?}");
    assert_eq!(shop.instance.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crawler_that_keeps_no_cookies_costs_neither_a_grant_nor_a_record() {
    let shop = Shop::new();
    for _ in 0..100 {
        assert_eq!(Browser::default().get(&shop, "/").await.status, StatusCode::OK);
        Browser::default().get(&shop, "/json").await;
    }
    let (endpoint, store) = (&shop.instance.endpoint, &shop.instance.store);
    assert_eq!((endpoint.grants(), store.loads(), store.swaps()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_is_used_is_kept_whatever_the_answer_is() {
    let shop = Shop::new();
    assert!(Browser::default().get(&shop, "/json").await.cookies().is_empty(), "nobody asked for it");
    let browser = Browser::default();
    let first = browser.get(&shop, "/who").await;
    assert_eq!(first.headers["cache-control"], "private, no-cache");
    assert!(first.headers["set-cookie"].is_sensitive());
    assert_eq!(browser.get(&shop.another(), "/who").await.identity(), first.identity());
    assert_ne!(Browser::default().get(&shop, "/who").await.identity(), first.identity(), "another browser");
}

#[tokio::test(start_paused = true)]
async fn a_cookie_lives_as_long_as_the_record_and_is_given_again_on_another_day_by_a_page_alone() {
    let mut policy = Policy::default();
    policy.keep = hours(24 * 100);
    let shop = Shop::with_policy(policy);
    let browser = Browser::default();
    let first = browser.get(&shop, "/").await;
    assert!(first.cookies()[0].contains("; Max-Age=8640000;"), "{first:?}");
    assert!(browser.get(&shop, "/").await.cookies().is_empty(), "the same day");
    tokio::time::sleep(hours(24)).await;
    assert!(browser.get(&shop, "/json").await.cookies().is_empty(), "no page");
    let before = browser.header();
    let again = browser.get(&shop, "/").await;
    assert_eq!(again.cookies().len(), 1);
    assert_ne!(browser.header(), before);
    assert_eq!(browser.header().split('.').next(), before.split('.').next(), "the same session");
}

#[tokio::test(start_paused = true)]
async fn what_others_may_be_given_from_a_cache_never_carries_a_session() {
    let shop = Shop::new();
    let anonymous = Browser::default().get(&shop, "/cached").await;
    assert!(anonymous.cookies().is_empty());
    assert_eq!(anonymous.headers["cache-control"], "public, max-age=600");
    let browser = Browser::default();
    let request = Request::get("/cached").header("x-use", "1").body(axum::body::Body::empty()).unwrap();
    let used = browser.send(&shop, request).await;
    assert_eq!(used.cookies().len(), 1);
    assert_eq!(used.headers["cache-control"], "private, no-cache");
    let with_session = browser.get(&shop, "/cached").await;
    assert_eq!(
        (with_session.cookies().len(), &with_session.headers["cache-control"]),
        (0, &"public, max-age=600".parse().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_a_response_says_of_caches_no_cookie_goes_out_on_one_that_others_may_be_given() {
    let shop = Shop::new();
    for says in [
        "no-cache",
        "public, no-cache",
        "no-cache, s-maxage=600",
        "public, max-age=60, no-cache=\"x-foo\"",
        "private=\"x-foo\", public, max-age=600",
        "must-revalidate",
        "stale-while-revalidate=60",
        "private, max-age=60",
        "no-store",
    ] {
        for used in [false, true] {
            let mut request = Request::get("/caching").header("x-says", says);
            if used {
                request = request.header("x-use", "1");
            }
            let answer = Browser::default().send(&shop, request.body(axum::body::Body::empty()).unwrap()).await;
            let kept_apart = ["private, no-cache", "private, max-age=60", "no-store"];
            let says_now = answer.headers["cache-control"].to_str().unwrap();
            assert!(answer.cookies().is_empty() || kept_apart.contains(&says_now), "{says} {used}: {answer:?}");
            assert_eq!(
                answer.cookies().len(),
                usize::from(used || !says.contains("max") && !says.contains("public") || says.starts_with("private,")),
                "{says} {used}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_the_browser_has_kept_brings_the_cookie_too() {
    let shop = Shop::new();
    let request = |dest: &str| {
        let request = Request::get("/caching").header("x-not-modified", "1").header("sec-fetch-site", "none");
        let request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", dest);
        request.body(axum::body::Body::empty()).unwrap()
    };
    assert_eq!(Browser::default().send(&shop, request("document")).await.cookies().len(), 1);
    assert_eq!(Browser::default().send(&shop, request("image")).await.cookies().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a3_a_store_that_fails_takes_no_cookie_away_and_mints_nothing() {
    let shop = Shop::new();
    let browser = Browser::default();
    let who = browser.get(&shop, "/who").await.identity();
    let cookies = browser.header();
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Corrupt, StoreErrorKind::Misconfigured] {
        let server = shop.another();
        server.instance.store.break_down(kind);
        tokio::time::sleep(hours(24)).await;
        for path in ["/who", "/"] {
            let answer = browser.get(&server, path).await;
            assert!(answer.cookies().is_empty(), "{kind:?} {answer:?}");
        }
        let status = browser.get(&server, "/who").await.status;
        let transient = kind == StoreErrorKind::Unavailable;
        assert_eq!(status.as_u16(), if transient { 503 } else { 500 }, "{kind:?}");
    }
    assert_eq!(browser.header(), cookies);
    assert_eq!(browser.get(&shop.another(), "/who").await.identity(), who);
    assert_eq!(shop.instance.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_out_already_cannot_bring_a_new_visitor_and_none_is_minted() {
    let shop = Shop::new();
    let kept: Arc<Mutex<Option<Session>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let inner = service_fn(move |request: Request<()>| {
        *keep.lock().unwrap() = request.extensions().get::<Session>().cloned();
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    // Any tower service will do, with any body.
    let mut service = SessionLayer::new(&shop.instance.visitors).layer(inner);
    service.ready().await.unwrap();
    let response = service.call(Request::new(())).await.unwrap();
    assert!(response.headers().is_empty());
    let session = kept.lock().unwrap().take().unwrap();
    assert!(matches!(session.visitor().await, Err(SessionError::TooLate)));
    assert!(matches!(session.sign_in(shop.member().1).await, Err(SessionError::TooLate)));
    assert!(matches!(session.sign_out().await, Err(SessionError::TooLate)));
    tokio::time::sleep(secs(60)).await;
    assert_eq!(shop.instance.endpoint.grants(), 0);
}
