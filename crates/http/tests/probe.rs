//! Raw questions: what came is shown, and nothing goes astray.

// Clippy takes the helpers of a suite for library code.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use support::{Answer, Server, answer, json};
use wix_visitor_core::ErrorKind;
use wix_visitor_http::{HttpOptions, Probe};

const TOKEN: &str = "OauthNG.JWS.0123456789abcdef";

fn probe(server: &Server) -> Probe {
    Probe::new(&HttpOptions::new().base_url(&server.url), Duration::from_secs(5)).unwrap()
}

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).header("authorization", TOKEN).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn a_question_goes_out_as_it_is_and_its_answer_is_shown_as_it_came() {
    let server = Server::start(|_, _| answer("429 Too Many", &["retry-after: 7"], "slow down")).await;
    let asked = Request::post("/oauth2/token?a=b").header("content-type", "x/y").body(Bytes::from("a body")).unwrap();
    let said = probe(&server).ask(asked).await.unwrap();
    assert_eq!((said.status().as_u16(), said.body(), said.is_whole()), (429, &b"slow down"[..], true));
    assert_eq!(
        (said.headers()["retry-after"].as_bytes(), said.retry_after()),
        (&b"7"[..], Some(Duration::from_secs(7)))
    );
    let received = &server.received()[0];
    assert_eq!((received.line.as_str(), received.text()), ("POST /oauth2/token?a=b HTTP/1.1", "a body"));
    assert_eq!((received.header("content-type"), received.header("authorization")), (Some("x/y"), None));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = Server::start(|_, _| answer("307 Elsewhere", &["location: /other"], "")).await;
    assert_eq!(probe(&server).ask(get("/x")).await.unwrap().status(), 307);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_to_another_host_or_with_headers_of_the_connection() {
    let server = Server::start(|_, _| json("200 OK", "{}")).await;
    let probe = probe(&server);
    for uri in ["http://127.0.0.1:1/x", "https://www.wixapis.com/x", "//evil.example/x"] {
        assert_eq!(probe.ask(get(uri)).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{uri}");
    }
    for name in ["host", "content-length", "transfer-encoding", "proxy-authorization"] {
        let mut asked = get("/x");
        asked.headers_mut().insert(name, "1".parse().unwrap());
        assert_eq!(probe.ask(asked).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
    }
    assert!(server.received().is_empty());
    let remote = HttpOptions::new().base_url("http://www.wixapis.com");
    assert_eq!(Probe::new(&remote, Duration::from_secs(5)).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn of_a_body_without_end_only_the_beginning_is_read_and_a_broken_one_is_an_error() {
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    let flood = head.clone();
    let server = Server::start(move |_, _| Answer::Flood(flood.clone())).await;
    let said = probe(&server).ask(get("/x")).await.unwrap();
    assert!(!said.is_whole() && said.body().len() <= 64 * 1024, "{}", said.body().len());

    let server = Server::start(|_, _| Answer::Reset(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab".to_vec())).await;
    let error = probe(&server).ask(get("/x")).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(200)));

    let server = Server::start(move |_, _| Answer::Hold(head.clone())).await;
    let impatient = Probe::new(&HttpOptions::new().base_url(&server.url), Duration::from_millis(50)).unwrap();
    let error = impatient.ask(get("/x")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn debug_shows_no_token() {
    let server = Server::start(|_, _| answer("200 OK", &["x-token: OauthNG.JWS.0123456789abcdef"], TOKEN)).await;
    let probe = probe(&server);
    let said = probe.ask(get("/x")).await.unwrap();
    assert!(!format!("{probe:?} {said:?}").contains("JWS"));
    assert_eq!(said.body(), TOKEN.as_bytes());
}
