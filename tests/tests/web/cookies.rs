//! Cookies that nobody gave out.

use http::StatusCode;
use wix_visitor_tests::instance::hours;
use wix_visitor_tests::numbers::Numbers;

use crate::browser::Browser;
use crate::shop::Shop;

const NAME: &str = "__Host-visitor";

#[tokio::test(start_paused = true)]
async fn a13_a_damaged_cookie_is_an_error_of_its_own_and_neither_mints_nor_replaces() {
    let shop = Shop::new();
    let browser = Browser::default();
    let who = browser.get(&shop, "/who").await.identity();
    let good = browser.header().split_once('=').unwrap().1.to_owned();
    let huge = "A".repeat(64 * 1024);
    let flipped = format!("!{}", &good[1..]);
    let damaged = [&good[..10], &good[1..], "", "%00", &huge, &flipped, "AAAAAAAAAAAAAAAAAAAAAA", "\u{1}"];
    for value in damaged.iter().filter(|value| value.bytes().all(|byte| byte >= 32)) {
        for path in ["/who", "/"] {
            let answer = Browser::with(NAME, value).get(&shop, path).await;
            assert!(answer.cookies().is_empty(), "{value:.30}: {answer:?}");
            assert_eq!(
                answer.status,
                if path == "/" { StatusCode::OK } else { StatusCode::BAD_REQUEST },
                "{value:.30}"
            );
        }
    }
    assert_eq!(shop.instance.endpoint.mints(), 1);
    assert_eq!(browser.get(&shop, "/who").await.identity(), who, "the session is where it was");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_session_is_counted_by_its_reason_and_no_label_knows_a_cookie() {
    let numbers = Numbers::default();
    let _recorder = metrics::set_default_local_recorder(&numbers);
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/who").await.identity();
    let old = browser.copy();
    browser.post(&shop, "/sign-out").await;
    old.get(&shop, "/who").await;
    Browser::with(NAME, "0123456789-a-damaged-cookie").get(&shop, "/").await;
    let name = "wix_visitor_requests_without_session_total";
    assert_eq!((numbers.value(name, &["retired"]), numbers.value(name, &["damaged"])), (1.0, 1.0));
    let shown = numbers.rendered();
    let id = old.header().split_once('=').unwrap().1.split('.').next().unwrap().to_owned();
    assert!(!shown.contains(&id) && !shown.contains("0123456789-a-damaged-cookie"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_cookie_beside_a_good_one_costs_nothing_and_two_sessions_are_nobodys() {
    let shop = Shop::new();
    let (one, other) = (Browser::default(), Browser::default());
    let who = one.get(&shop, "/who").await.identity();
    other.get(&shop, "/who").await.identity();
    let send = async |cookies: String| {
        let request = http::Request::get("/who").header("cookie", cookies).body(axum::body::Body::empty()).unwrap();
        Browser::default().send(&shop, request).await
    };
    let good = one.header();
    for cookies in [format!("{NAME}=cut; {good}"), format!("{good}; {NAME}=cut"), format!("{good}; {good}")] {
        assert_eq!(send(cookies).await.identity(), who);
    }
    let both = send(format!("{good}; {}", other.header())).await;
    assert_eq!((both.status, both.cookies().len()), (StatusCode::BAD_REQUEST, 0));
    assert_eq!(shop.instance.endpoint.mints(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_guessed_session_is_nobody_elses_and_comes_to_be_only_when_it_is_used() {
    let shop = Shop::new();
    let victim = Browser::default();
    let who = victim.get(&shop, "/who").await.identity();
    let guess = Browser::with(NAME, "AAAAAAAAAAAAAAAAAAAAAA.20000");
    guess.get(&shop, "/").await;
    assert_eq!(shop.instance.endpoint.mints(), 1);
    assert_ne!(guess.get(&shop, "/who").await.identity(), who);
    assert_eq!(victim.get(&shop, "/who").await.identity(), who);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_replayed_or_with_another_day_is_the_same_session() {
    let shop = Shop::new();
    let browser = Browser::default();
    let who = browser.get(&shop, "/who").await.identity();
    let old = browser.copy();
    tokio::time::sleep(hours(48)).await;
    browser.get(&shop, "/").await;
    assert_ne!(browser.header(), old.header());
    assert_eq!(old.get(&shop.another(), "/who").await.identity(), who);
    let id = browser.header().split_once('=').unwrap().1.split_once('.').unwrap().0.to_owned();
    for day in ["0", "999999"] {
        assert_eq!(Browser::with(NAME, &format!("{id}.{day}")).get(&shop, "/who").await.identity(), who);
    }
    assert_eq!(shop.instance.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_start_over_gets_a_new_session_even_in_place_of_a_damaged_one() {
    let shop = Shop::new();
    let browser = Browser::with(NAME, "damaged");
    assert_eq!(browser.get(&shop, "/who").await.status, StatusCode::BAD_REQUEST);
    let over = browser.post(&shop, "/start-over").await;
    assert_eq!((over.status, over.cookies().len()), (StatusCode::OK, 1));
    browser.get(&shop, "/who").await.identity();
}
