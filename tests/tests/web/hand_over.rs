//! Hand-over with the page's own scripts.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::Value;
use wix_visitor_core::{Role, Tokens};
use wix_visitor_tests::instance::{CLIENT_ID, hours, secs};

use crate::browser::{Browser, HOST_NAME};
use crate::shop::Shop;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_pages_script_gets_the_access_token_of_the_servers_visitor_and_a_fresh_one_in_time() {
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/").await;
    let who = browser.get(&shop, "/who").await.identity();
    let mut last = String::new();
    for _ in 0..3 {
        let answer = browser.post_json(&shop, "/token", "{}").await;
        assert_eq!((answer.status, &answer.headers["cache-control"]), (StatusCode::OK, &"no-store".parse().unwrap()));
        let given = json(&answer.body);
        let access = given["accessToken"]["value"].as_str().unwrap();
        assert_eq!(shop.instance.endpoint.identity(access), Some(who));
        assert!(
            given["expiresIn"].as_u64().is_some_and(|left| left > 60 && left <= 4 * 3600),
            "{}",
            given["expiresIn"]
        );
        assert_eq!((&given["refreshToken"]["value"], &given["refreshToken"]["role"]), (&"".into(), &"visitor".into()));
        assert_ne!(access, last);
        last = access.to_owned();
        tokio::time::sleep(hours(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_refresh_token_is_given_only_where_that_was_asked_for_and_a_members_never() {
    let shop = Shop::new();
    let browser = Browser::default();
    let refresh = async |path| json(&browser.post_json(&shop, path, "{}").await.body)["refreshToken"].clone();
    let pair = refresh("/pair").await;
    assert!(pair["value"].as_str().is_some_and(|value| !value.is_empty()));
    assert_eq!(refresh("/token").await["value"], "");
    browser.post(&shop, "/sign-in").await.identity();
    let member = refresh("/pair").await;
    assert_eq!((&member["value"], &member["role"]), (&"".into(), &"member".into()));
    // Of whom nothing is known is no visitor either.
    let (_, tokens) = shop.instance.sign_in(Role::None);
    let browser = Browser::default();
    let body = tokens.to_json();
    assert_eq!(browser.post_json(&shop, "/take-over", body.expose()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(json(&browser.post_json(&shop, "/pair", "{}").await.body)["refreshToken"]["value"], "");
}

#[tokio::test(start_paused = true)]
async fn only_a_script_of_this_very_host_is_answered_and_only_a_post_of_json() {
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/who").await.identity();
    let origin = format!("https://{HOST_NAME}");
    let ask = async |method: &str, origin: Option<&str>, kind: Option<&str>, path: &str| {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        browser.send(&shop, request.body(Body::from("{}")).unwrap()).await
    };
    let json = Some("application/json; charset=utf-8");
    for path in ["/token", "/take-over"] {
        for (method, origin, kind, status) in [
            ("GET", Some(&*origin), json, 405),
            ("PUT", Some(&*origin), json, 405),
            ("POST", None, json, 403),
            ("POST", Some("null"), json, 403),
            ("POST", Some("https://evil.example"), json, 403),
            ("POST", Some("https://shop.example.evil.example"), json, 403),
            ("POST", Some("https://shop.example:444"), json, 403),
            ("POST", Some(&*origin), None, 415),
            ("POST", Some(&*origin), Some("text/plain"), 415),
            ("POST", Some(&*origin), Some("application/x-www-form-urlencoded"), 415),
        ] {
            let answer = ask(method, origin, kind, path).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {path} {origin:?} {kind:?}");
            assert!(!answer.body.contains("accessToken") && answer.headers["cache-control"] == "no-store");
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
        }
    }
    assert_eq!(ask("POST", Some(&origin), json, "/token").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_the_page_has_kept_is_taken_over_by_a_session_without_a_visitor() {
    for wrapped in [false, true] {
        let shop = Shop::new();
        let browser = Browser::default();
        browser.get(&shop, "/").await;
        let planted = browser.copy();
        let (identity, tokens) = shop.instance.sign_in(Role::Visitor);
        let kept = tokens.to_json();
        let body = if wrapped {
            format!(r#"{{"clientId":"{CLIENT_ID}","tokens":{}}}"#, kept.expose())
        } else {
            kept.expose().to_owned()
        };
        let answer = browser.post_json(&shop, "/take-over", &body).await;
        assert_eq!((answer.status, answer.cookies().len()), (StatusCode::NO_CONTENT, 1), "{answer:?}");
        for server in [shop.clone(), shop.another()] {
            assert_eq!(browser.get(&server, "/who").await.identity(), identity);
        }
        assert_eq!(shop.instance.endpoint.mints(), 0);
        // Whoever planted the session id before has nothing of it.
        assert_eq!(planted.get(&shop.another(), "/who").await.status, StatusCode::CONFLICT);
    }
}

#[tokio::test(start_paused = true)]
async fn where_both_sides_have_a_visitor_nothing_is_overwritten() {
    let shop = Shop::new();
    let browser = Browser::default();
    let who = browser.get(&shop, "/who").await.identity();
    let body = shop.instance.sign_in(Role::Visitor).1.to_json();
    let cookies = browser.header();
    for server in [shop.clone(), shop.another()] {
        let answer = browser.post_json(&server, "/take-over", body.expose()).await;
        assert_eq!((answer.status, answer.cookies().len()), (StatusCode::CONFLICT, 0));
    }
    assert_eq!(browser.header(), cookies);
    assert_eq!(browser.get(&shop.another(), "/who").await.identity(), who);
    // Nor where one is being minted just now.
    let newcomer = Browser::default();
    newcomer.get(&shop, "/").await;
    shop.instance.endpoint.close();
    let (minting, server) = (newcomer.clone(), shop.clone());
    let minting = tokio::spawn(async move { minting.get(&server, "/who").await });
    shop.instance.endpoint.arrived().await;
    let answer = newcomer.post_json(&shop.another(), "/take-over", body.expose()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    shop.instance.endpoint.open();
    let minted = minting.await.unwrap().identity();
    assert_eq!(newcomer.get(&shop, "/who").await.identity(), minted);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_of_this_site_is_refused_and_changes_nothing() {
    let shop = Shop::new();
    let browser = Browser::default();
    browser.get(&shop, "/").await;
    let good = shop.instance.sign_in(Role::Visitor).1.to_json();
    let other = format!(r#"{{"clientId":"{}","tokens":{}}}"#, CLIENT_ID.replace('5', "6"), good.expose());
    let huge = format!(r#"{{"refreshToken":{{"value":"{}"}}}}"#, "x".repeat(70_000));
    let long = format!(r#"{{"refreshToken":{{"value":"{}"}}}}"#, "x".repeat(20_000));
    let empty = Tokens::default().to_json();
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("{}", 400),
        ("null", 400),
        (empty.expose(), 400),
        (&other, 400),
        (&long, 400),
        (&huge, 413),
        (r#"{"refreshToken":{"value":"line\nbreak"}}"#, 400),
    ] {
        let answer = browser.post_json(&shop, "/take-over", body).await;
        assert_eq!((answer.status.as_u16(), answer.cookies().len()), (status, 0), "{body:.40}: {answer:?}");
    }
    tokio::time::sleep(secs(1)).await;
    assert_eq!(browser.post_json(&shop, "/take-over", good.expose()).await.status, StatusCode::NO_CONTENT);
}
