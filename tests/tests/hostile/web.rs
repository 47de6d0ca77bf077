//! Requests from browsers that send anything.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use wix_visitor_core::SealingKey;
use wix_visitor_testkit::Rotation;
use wix_visitor_tests::instance::{Instance, client_id};
use wix_visitor_web::{HandOver, KeyRing, SealedSessionLayer, Session, SessionError, SessionLayer, TakeOver};

use crate::{MIB, is_refused, texts};

/// More cookies than an answer ever has a reason to set.
const MOST_SET: usize = 64;

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { axum::response::Html("a page") }))
        .route("/who", get(who).post(who))
        .route("/start-over", get(start_over).post(start_over))
        .route("/sign-out", get(sign_out).post(sign_out))
        .route_service("/token", HandOver::new())
        .route_service("/take-over", TakeOver::new())
}

async fn who(session: Session) -> Result<String, SessionError> {
    let _ = (format!("{session:?}"), session.is_cross_site());
    session.visitor().await?.authorization().await?;
    Ok("somebody".to_owned())
}

async fn start_over(session: Session) -> Result<(), SessionError> {
    session.start_over().await
}

async fn sign_out(session: Session) -> Result<(), SessionError> {
    session.sign_out().await
}

/// Two servers: one that keeps sessions, one whose browsers do.
fn servers() -> [(Instance, Router); 2] {
    let (kept, sealed) = (Instance::new(Rotation::Same), Instance::new(Rotation::Same));
    let clock = sealed.clock.clone();
    let ring = KeyRing::new(SealingKey::generate().unwrap());
    wix_visitor_testkit::ledger::note_secret(ring.to_text().expose().trim());
    let layer =
        SealedSessionLayer::configured(client_id(), sealed.endpoint.clone(), ring, |builder| builder.clock(clock));
    let of_kept = app().layer(SessionLayer::new(&kept.visitors));
    [(kept, of_kept), (sealed, app().layer(layer.unwrap()))]
}

struct Answer {
    status: StatusCode,
    set: Vec<String>,
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let set = response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    let answer = Answer { status: response.status(), set };
    response.into_body().collect().await.unwrap();
    answer
}

/// A request of the shop's own page, as browsers make them.
fn request(method: &str, path: &str, cookies: &[Vec<u8>]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "shop.example");
    request = request.header("sec-fetch-site", "same-origin").header("origin", "https://shop.example");
    for cookie in cookies {
        // What no header can carry never arrives.
        if let Ok(value) = HeaderValue::from_bytes(cookie) {
            request = request.header(COOKIE, value);
        }
    }
    request.header(CONTENT_TYPE, "application/json").body(Body::empty()).unwrap()
}

/// Of the long ones, only one.
fn most_texts() -> Vec<String> {
    texts().into_iter().filter(|text| text.len() < MIB || text.starts_with('x')).collect()
}

fn cookies() -> Vec<Vec<Vec<u8>>> {
    let name = "__Host-visitor";
    let so_many =
        |n: usize, of: &dyn Fn(usize) -> String| vec![(0..n).map(of).collect::<Vec<_>>().join("; ").into_bytes()];
    let many = |of: &dyn Fn(usize) -> String| so_many(1_000, of);
    let mut all = vec![
        so_many(10_000, &|n| format!("c{n}=v")),
        many(&|_| format!("{name}=x")),
        many(&|n| format!("{name}=AAAAAAAAAAAAAAAAAAAAAA.{n}")),
        so_many(10_000, &|n| format!("{name}-{n}-0=1.1.AAAA")),
        many(&|n| format!("{name}-0-0.{n}=1.1.AAAA")),
        many(&|n| format!("{name}-{}-0=1.1.AAAA", u32::MAX - u32::try_from(n).unwrap())),
        many(&|_| format!("{name}-0-0=18446744073709551615.8.AAAA")),
        many(&|_| format!("{name}-0-a0=18446744073709551615.18446744073709551615.AAAA")),
        vec![b"a=b".to_vec(); 1_000],
        vec![[format!("{name}=").as_bytes(), &[0xff; 100]].concat()],
        vec![[format!("{name}-0-0=").as_bytes(), &[0xff; 100]].concat()],
        vec![[format!("{name}-").as_bytes(), &[0xff; 100], b"=x"].concat()],
        vec![format!("{name}-0-0").into_bytes(), b";;;=;=".to_vec()],
    ];
    for text in most_texts() {
        all.push(vec![text.clone().into_bytes()]);
        all.push(vec![format!("{name}={text}").into_bytes()]);
        all.push(vec![format!("{name}-0-0={text}; {name}-{text}-0=1").into_bytes()]);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn cookies_of_any_kind_and_number_mint_nobody_and_are_answered_in_few_words() {
    for (instance, app) in servers() {
        for cookies in cookies() {
            let shown = String::from_utf8_lossy(&cookies[0]).chars().take(40).collect::<String>();
            let page = send(&app, request("GET", "/", &cookies)).await;
            assert_eq!(page.status, StatusCode::OK, "{shown}");
            assert!(page.set.len() <= MOST_SET, "{shown}: {} cookies", page.set.len());
            for path in ["/start-over", "/sign-out"] {
                let answer = send(&app, request("POST", path, &cookies)).await;
                assert!(answer.set.len() <= MOST_SET, "{shown}: {} cookies", answer.set.len());
                assert!(!answer.status.is_server_error(), "{shown}: {}", answer.status);
            }
        }
        assert_eq!(instance.endpoint.mints(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_starts_over_among_ten_thousand_old_cookies_is_somebody_again() {
    let [_, (instance, app)] = servers();
    let old: Vec<_> = (0..10_000).map(|n| format!("__Host-visitor-{n}-0=1.1.AAAA")).collect();
    let old = old.join("; ");
    assert_eq!(send(&app, request("GET", "/who", &[old.clone().into_bytes()])).await.status, StatusCode::BAD_REQUEST);
    let begun = send(&app, request("POST", "/start-over", &[old.clone().into_bytes()])).await;
    let new: Vec<_> = begun.set.iter().filter(|cookie| !cookie.contains("=;")).collect();
    let new = new.iter().map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ");
    let answer = send(&app, request("GET", "/who", &[format!("{old}; {new}").into_bytes()])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!((1..=MOST_SET).contains(&answer.set.len()));
    assert_eq!(instance.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn headers_of_any_kind_are_no_reason_to_fail() {
    let names = ["host", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "content-type"];
    for (_, app) in servers() {
        for (text, name) in most_texts().iter().flat_map(|text| names.map(|name| (text, name))) {
            let values =
                [text.as_bytes().to_vec(), [text.as_bytes(), &[0xff]].concat(), format!("https://{text}").into()];
            for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
                let mut once = request("POST", "/who", &[]);
                once.headers_mut().insert(name, value.clone());
                let mut twice = request("POST", "/token", &[]);
                twice.headers_mut().append(name, value);
                for request in [once, twice] {
                    let answer = send(&app, request).await;
                    assert!(!answer.status.is_server_error(), "{name}: {text:.40?}: {}", answer.status);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_of_any_kind_take_nothing_over() {
    for (instance, app) in servers() {
        let mut bodies: Vec<Vec<u8>> = texts().into_iter().map(String::into_bytes).collect();
        bodies.extend([
            vec![0xff; 1000],
            b"{\"refreshToken\":{\"value\":\"\\u0000\"}}".to_vec(),
            vec![b' '; 64 * 1024 + 1],
        ]);
        bodies.push(format!("{{\"refreshToken\":{{\"value\":\"{}\"}}}}", "x".repeat(10_000)).into_bytes());
        for body in bodies {
            let (large, shown) =
                (body.len() > 64 * 1024, String::from_utf8_lossy(&body).chars().take(40).collect::<String>());
            let request = request("POST", "/take-over", &[]).map(|_| Body::from(body));
            let expected = if large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
            let answer = send(&app, request).await;
            assert_eq!((answer.status, answer.set.len()), (expected, 0), "{shown}");
        }
        assert_eq!((instance.endpoint.mints(), instance.store.swaps()), (0, 0));
    }
}

#[test]
fn a_cookies_name_of_any_text_is_one_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let site = runtime.block_on(async { Instance::new(Rotation::Same) });
    for text in texts() {
        match SessionLayer::new(&site.visitors).cookie_name(&text) {
            Ok(_) => assert!(
                text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) && text.len() <= 64
            ),
            Err(error) => is_refused(&error, &text),
        }
    }
}
