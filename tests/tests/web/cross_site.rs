//! What other sites make a browser send.

use axum::body::Body;
use http::{Request, StatusCode};

use crate::browser::{Answer, Browser};
use crate::shop::Shop;

/// A browser keeps the cookie back from what another site starts, unless a link is followed.
async fn from_elsewhere(shop: &Shop, browser: &Browser, method: &str, path: &str, mode: &str, dest: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", mode)
        .header("sec-fetch-dest", dest)
        .header("origin", "https://evil.example")
        .body(Body::empty())
        .unwrap();
    let followed = method == "GET" && mode == "navigate" && dest == "document";
    let sender = if followed { browser.clone() } else { Browser::default() };
    let answer = sender.send_only(shop, request).await;
    browser.take(&answer);
    answer
}

#[tokio::test(start_paused = true)]
async fn another_site_can_neither_replace_a_session_nor_use_one() {
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/").await;
    let who = browser.get(&shop, "/who").await.identity();
    let cookies = browser.header();
    for (method, path, mode, dest) in [
        ("POST", "/who", "navigate", "document"),
        ("GET", "/who", "navigate", "iframe"),
        ("GET", "/who", "no-cors", "image"),
        ("GET", "/who", "cors", "empty"),
        ("POST", "/sign-out", "navigate", "document"),
        ("POST", "/start-over", "navigate", "document"),
        ("POST", "/token", "no-cors", "empty"),
        ("POST", "/take-over", "navigate", "document"),
    ] {
        let answer = from_elsewhere(&shop, &browser, method, path, mode, dest).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {answer:?}");
        assert!(answer.cookies().is_empty(), "{method} {path}");
    }
    // A page of ours in a frame of theirs, or reached by a form of theirs.
    for (method, mode, dest) in [("GET", "navigate", "iframe"), ("GET", "no-cors", "image")] {
        assert!(from_elsewhere(&shop, &browser, method, "/", mode, dest).await.cookies().is_empty());
    }
    assert_eq!(browser.header(), cookies);
    assert_eq!(browser.get(&shop, "/who").await.identity(), who);
    assert_eq!(shop.instance.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_host_of_the_same_site_can_neither_sign_out_nor_start_over_nor_take_over() {
    let shop = Shop::new();
    let browser = Browser::default();
    let who = browser.get(&shop, "/who").await.identity();
    for path in ["/sign-out", "/start-over", "/take-over"] {
        let request =
            Request::post(path).header("sec-fetch-site", "same-site").header("origin", "https://other.shop.example");
        let request = request.header("content-type", "application/json").body(Body::from("{}")).unwrap();
        let answer = browser.send(&shop, request).await;
        assert_eq!((answer.status, answer.cookies().len()), (StatusCode::FORBIDDEN, 0), "{path}");
    }
    assert_eq!(browser.get(&shop, "/who").await.identity(), who);
}

#[tokio::test(start_paused = true)]
async fn who_posts_the_shopper_back_from_a_login_elsewhere_signs_nobody_in() {
    let shop = Shop::new();
    let browser = Browser::default();
    let who = browser.get(&shop, "/who").await.identity();
    let answer = from_elsewhere(&shop, &browser, "POST", "/sign-in", "navigate", "document").await;
    assert_eq!((answer.status, answer.cookies().len()), (StatusCode::FORBIDDEN, 0));
    assert_eq!(browser.get(&shop, "/who").await.identity(), who);
}

#[tokio::test(start_paused = true)]
async fn a_link_from_another_site_is_the_same_visitor_and_signs_nobody_out() {
    let shop = Shop::new();
    let browser = Browser::default();
    let who = browser.get(&shop, "/who").await.identity();
    assert_eq!(from_elsewhere(&shop, &browser, "GET", "/who", "navigate", "document").await.identity(), who);
    let out = from_elsewhere(&shop, &browser, "GET", "/sign-out", "navigate", "document").await;
    assert_eq!(out.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get(&shop, "/who").await.identity(), who);
    // Who comes by a link for the first time is a visitor like any other.
    let newcomer = Browser::default();
    from_elsewhere(&shop, &newcomer, "GET", "/", "navigate", "document").await;
    assert!(!newcomer.header().is_empty());
}
