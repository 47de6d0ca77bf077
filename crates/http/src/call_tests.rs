//! API calls on the wire, with a stand-in for the token flow.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use wix_visitor_core::{Error, ErrorKind, Secret, VisitorId, async_trait};

use crate::call::{Api, Credentials, Pass};
use crate::memory::ApiMemory;
use crate::options::HttpOptions;
use crate::request::ApiRequest;
use crate::response::ApiResponse;
use crate::support::{Answer, Received, Server, answer, json};
use crate::token_info::token_info;

/// Holds the token `…-0`, and renews it to `…-1` and so on, unless told to fail.
#[derive(Default)]
struct Flow {
    renewals: Mutex<u32>,
    fails: Option<ErrorKind>,
    stuck: bool,
}

impl Flow {
    fn pass(n: u32) -> Pass {
        Pass { header: Secret::new(token(n)).to_header().unwrap(), lost: None }
    }

    fn renewals(&self) -> u32 {
        *self.renewals.lock().unwrap()
    }
}

fn token(n: u32) -> String {
    format!("OauthNG.JWS.very-secret-{n}")
}

#[async_trait]
impl Credentials for Flow {
    fn id(&self) -> Option<VisitorId> {
        None
    }

    async fn authorization(&self) -> Result<Pass, Error> {
        Ok(Self::pass(if self.stuck { 0 } else { self.renewals() }))
    }

    async fn renew_if(&self, rejected: &Pass) -> Result<Pass, Error> {
        let mut renewals = self.renewals.lock().unwrap();
        if self.stuck || rejected.header == Self::pass(*renewals).header {
            *renewals += 1;
        }
        match self.fails {
            Some(kind) => Err(Error::new(kind, "no renewal today")),
            None => Ok(Self::pass(if self.stuck { 0 } else { *renewals })),
        }
    }
}

struct Caller {
    api: Arc<Api>,
    flow: Arc<Flow>,
    memory: Arc<ApiMemory>,
}

impl Caller {
    fn new(server: &Server) -> Self {
        Self::with(server, Flow::default())
    }

    fn with(server: &Server, flow: Flow) -> Self {
        let options = HttpOptions::new().base_url(&server.url);
        let api = Arc::new(Api::new(&options, Duration::from_secs(10)).unwrap());
        Self { api, flow: Arc::new(flow), memory: Arc::default() }
    }

    fn request(&self, method: Method, path: &str) -> ApiRequest {
        let flow: Arc<dyn Credentials> = Arc::<Flow>::clone(&self.flow);
        ApiRequest::new(Arc::clone(&self.api), flow, Arc::clone(&self.memory), method, path)
    }

    fn get(&self, path: &str) -> ApiRequest {
        self.request(Method::GET, path)
    }

    fn post(&self, path: &str) -> ApiRequest {
        self.request(Method::POST, path)
    }
}

fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        shown += &format!(" {cause} {cause:?}");
        source = cause.source();
    }
    shown
}

/// Answers 401 to every token but the nth.
fn only_token(n: u32) -> impl Fn(usize, &Received) -> Answer + Send + Sync {
    move |_, request| {
        if request.header("authorization") == Some(token(n).as_str()) {
            json("200 OK", r#"{"fine":true}"#)
        } else {
            json("401 Unauthorized", r#"{"message":"expired"}"#)
        }
    }
}

const AMBIGUOUS: &str =
    r#"{"message":"x","details":{"applicationError":{"code":"WDE0117","description":"MetaSite not found"}}}"#;

#[derive(Debug, serde::Deserialize)]
struct Fine {
    fine: bool,
}

/// A body that can be sent once.
struct Pieces(VecDeque<&'static str>);

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))))
    }
}

#[tokio::test]
async fn a_call_goes_out_as_it_was_put_together() {
    let server = Server::start(only_token(0)).await;
    let caller = Caller::new(&server);
    let reply = caller
        .request(Method::PATCH, "/a/b?x=y")
        .query([("q", "one two"), ("r", "&")])
        .header("x-one", "1")
        .json(&serde_json::json!({"a": 1}))
        .header("content-type", "application/merge-patch+json")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert!(reply.json::<Fine>().await.unwrap().fine);
    let request = server.only();
    assert_eq!(request.line, "PATCH /a/b?x=y&q=one+two&r=%26 HTTP/1.1");
    assert_eq!(request.header("authorization"), Some(token(0).as_str()));
    assert_eq!(request.header("x-one"), Some("1"));
    assert_eq!(request.header("content-type"), Some("application/merge-patch+json"));
    assert_eq!(request.text(), r#"{"a":1}"#);
}

#[tokio::test]
async fn a_401_renews_once_and_the_call_is_sent_once_more() {
    let server = Server::start(only_token(1)).await;
    let caller = Caller::new(&server);
    let reply = caller.post("/a").body("same").header("content-type", "text/plain").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(caller.flow.renewals(), 1);
    let received = server.received();
    assert_eq!(received.len(), 2);
    for request in &received {
        assert_eq!((request.text(), request.header("content-type")), ("same", Some("text/plain")));
    }
    assert_eq!(received[1].header("authorization"), Some(token(1).as_str()));
    // And the token that proved itself is renewed again when its day comes.
    assert!(caller.memory.may_renew(
        crate::memory::Rejection::Unauthorized,
        token(1).as_bytes(),
        std::time::Instant::now()
    ));
}

#[tokio::test]
async fn an_api_that_always_answers_401_does_not_cost_a_grant_per_call() {
    let server = Server::start(|_, _| json("401 Unauthorized", "{}")).await;
    let caller = Caller::new(&server);
    for _ in 0..5 {
        assert_eq!(caller.get("/a").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(caller.flow.renewals(), 1);
    assert_eq!(server.received().len(), 6);
}

#[tokio::test]
async fn a_renewal_that_brings_the_same_token_is_neither_retried_nor_repeated() {
    let server = Server::start(|_, _| json("401 Unauthorized", "{}")).await;
    let caller = Caller::with(&server, Flow { stuck: true, ..Flow::default() });
    for _ in 0..3 {
        assert_eq!(caller.get("/a").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(caller.flow.renewals(), 1);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_body_that_can_be_sent_once_is_sent_once() {
    let server = Server::start(only_token(1)).await;
    let caller = Caller::new(&server);
    let stream = || Pieces(["one", "two"].into());
    let reply = caller.post("/a").body_stream(stream()).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(reply.text().await.unwrap(), r#"{"message":"expired"}"#);
    assert!(server.only().text().contains("one"));
    // The renewal it caused serves the next.
    let reply = caller.post("/a").body_stream(stream()).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(caller.flow.renewals(), 1);
}

#[tokio::test]
async fn streams_that_are_always_answered_401_do_not_cost_a_grant_per_call() {
    let server = Server::start(|_, _| json("401 Unauthorized", "{}")).await;
    let caller = Caller::new(&server);
    for _ in 0..4 {
        caller.post("/a").body_stream(Pieces(["x"].into())).send().await.unwrap();
    }
    assert_eq!(caller.flow.renewals(), 1);
}

#[tokio::test]
async fn a_failed_renewal_gives_back_what_the_api_said() {
    for kind in [ErrorKind::Unavailable, ErrorKind::OutcomeUnknown, ErrorKind::Busy, ErrorKind::Store] {
        let server = Server::start(only_token(9)).await;
        let caller = Caller::with(&server, Flow { fails: Some(kind), ..Flow::default() });
        let reply = caller.get("/a").send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(reply.text().await.unwrap(), r#"{"message":"expired"}"#);
        server.only();
    }
    for kind in [ErrorKind::MemberSessionEnded, ErrorKind::VisitorLost] {
        let server = Server::start(only_token(9)).await;
        let caller = Caller::with(&server, Flow { fails: Some(kind), ..Flow::default() });
        assert_eq!(caller.get("/a").send().await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn the_ambiguous_code_renews_a_token_at_most_once_and_its_body_stays_readable() {
    let server = Server::start(|_, _| json("400 Bad Request", AMBIGUOUS)).await;
    let caller = Caller::new(&server);
    for _ in 0..4 {
        let reply = caller.post("/a").json(&1).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
        assert_eq!(reply.text().await.unwrap(), AMBIGUOUS);
    }
    assert_eq!(caller.flow.renewals(), 1);

    let server = Server::start(|nth, _| json(["404 No", "200 OK"][nth], [AMBIGUOUS, "{}"][nth])).await;
    let caller = Caller::new(&server);
    assert_eq!(caller.get("/a").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn other_failures_of_the_api_are_not_about_the_token() {
    for (status, body) in [
        ("400 Bad", r#"{"message":"bad"}"#),
        ("403 Forbidden", ""),
        ("404 No", r#"{"details":{"applicationError":{"code":"OWNED_CART_NOT_FOUND"}}}"#),
        ("428 Precondition", "{}"),
        ("500 Oops", "WDE0117"),
        ("200 OK", AMBIGUOUS),
    ] {
        let server = Server::start(move |_, _| json(status, body)).await;
        let caller = Caller::new(&server);
        assert_eq!(caller.get("/a").send().await.unwrap().text().await.unwrap(), body);
        assert_eq!(caller.flow.renewals(), 0);
        server.only();
    }
}

#[tokio::test]
async fn a_large_error_body_is_passed_on_whole() {
    let body = format!(r#"{{"x":"{}"}}"#, "y".repeat(300_000));
    let expected = body.clone();
    let server = Server::start(move |_, _| json("400 Bad", &body)).await;
    assert_eq!(Caller::new(&server).get("/a").send().await.unwrap().text().await.unwrap(), expected);
}

#[tokio::test]
async fn a_body_is_handed_over_as_it_arrives() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst";
    let server = Server::start(move |_, _| Answer::Hold(head.into())).await;
    let mut reply = Caller::new(&server).get("/a").timeout(Duration::from_millis(400)).send().await.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "first");
    let error = reply.chunk().await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(200)));
    assert!(reply.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn an_error_body_that_breaks_off_is_an_error_where_it_breaks_off() {
    let bytes = "HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\nfirst";
    let server = Server::start(move |_, _| Answer::Say(bytes.into())).await;
    let mut reply = Caller::new(&server).get("/a").send().await.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "first");
    assert_eq!(reply.chunk().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(reply.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn x_wix_consistent_is_carried_into_later_calls() {
    let server = Server::start(|nth, _| match nth {
        0 => answer("200 OK", &["X-Wix-Consistent: one"], ""),
        2 => answer("404 No", &["X-Wix-Consistent: two"], ""),
        _ => answer("200 OK", &[], ""),
    })
    .await;
    let caller = Caller::new(&server);
    for _ in 0..4 {
        caller.get("/a").send().await.unwrap();
    }
    caller.get("/a").header("x-wix-consistent", "mine").send().await.unwrap();
    let seen: Vec<_> =
        server.received().iter().map(|r| r.header("x-wix-consistent").unwrap_or("-").to_owned()).collect();
    assert_eq!(seen, ["-", "one", "one", "two", "mine"]);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is() {
    let server = Server::start(only_token(0)).await;
    let other = Server::start(only_token(0)).await;
    let caller = Caller::new(&server);
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    for request in [
        caller.get(&format!("{}/a", other.url)),
        caller.get(&format!("//{}/a", other.url.trim_start_matches("http://"))),
        caller.get("\\\\evil.example"),
        caller.get("a"),
        caller.get("/a").header("Authorization", "mine"),
        caller.get("/a").header("host", "evil.example"),
        caller.get("/a").header("x", "a\nb"),
        caller.get("/a").header("a b", "x"),
        caller.get("/a").json(&unwritable),
    ] {
        assert!(!format!("{request:?}").contains("very-secret"));
        assert_eq!(request.check().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(request.send().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert!(server.received().is_empty() && other.received().is_empty());
    assert_eq!(caller.flow.renewals(), 0);
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_with_the_token() {
    let server = Server::start(|nth, _| match nth {
        0 => answer("307 Moved", &["location: /b"], ""),
        _ => json("200 OK", "{}"),
    })
    .await;
    Caller::new(&server).post("/a").body("x").send().await.unwrap();
    let second = server.received().remove(1);
    assert_eq!((second.line.as_str(), second.text()), ("POST /b HTTP/1.1", "x"));
    assert_eq!(second.header("authorization"), Some(token(0).as_str()));
    assert_eq!(second.header("referer"), None);
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_refused_and_nothing_arrives_there() {
    let other = Server::start(only_token(0)).await;
    let host = other.url.trim_start_matches("http://").to_owned();
    let port = host.split(':').next_back().unwrap().to_owned();
    for location in [
        format!("http://{host}/a"),
        format!("//{host}/a"),
        format!("http://localhost:{port}/a"),
        format!("https://{host}/a"),
    ] {
        for status in ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"] {
            let header = format!("location: {location}?t=query-secret");
            let server = Server::start(move |_, _| answer(status, &[header.as_str()], "")).await;
            let error = Caller::new(&server).post("/a?q=query-secret").body("x").send().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
            assert!(error.to_string().contains("another origin"), "{error}");
            assert!(!shown(&error).contains("query-secret") && !shown(&error).contains("very-secret"));
            server.only();
        }
    }
    // The same origin by its name, but with somebody's user info.
    let server = Server::start(|_, request| {
        let host = request.header("host").unwrap();
        answer("302 Found", &[format!("location: http://user:pw@{host}/b").as_str()], "")
    })
    .await;
    assert_eq!(Caller::new(&server).get("/a").send().await.unwrap_err().kind(), ErrorKind::Misconfigured);
    server.only();
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let server = Server::start(|_, _| answer("302 Found", &["location: /a"], "")).await;
    let error = Caller::new(&server).get("/a").send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("more than 5 times"), "{error}");
    assert_eq!(server.received().len(), 6);
}

#[tokio::test]
async fn a_network_failure_is_unavailable_and_sent_once() {
    for script in [|| Answer::Reset(Vec::new()), || Answer::Say(Vec::new()), || Answer::Hold(Vec::new())] {
        for method in [Method::GET, Method::POST] {
            let server = Server::start(move |_, _| script()).await;
            let request = Caller::new(&server).request(method, "/a?q=query-secret");
            let error = request.timeout(Duration::from_millis(300)).send().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(!shown(&error).contains("query-secret") && !shown(&error).contains("very-secret"));
            server.only();
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_was_asked_for_is_not_quoted() {
    for (body, kind) in [
        ("<html>query-secret", ErrorKind::Unavailable),
        (r#"{"fine":"query-secret"}"#, ErrorKind::InvalidInput),
        (r#""query-secret""#, ErrorKind::InvalidInput),
    ] {
        let server = Server::start(move |_, _| answer("200 OK", &["x-wix-request-id: id-3"], body)).await;
        let reply = Caller::new(&server).get("/a").send().await.unwrap();
        assert!(!format!("{reply:?}").contains("query-secret"));
        let error = ApiResponse::json::<Fine>(reply).await.unwrap_err();
        assert_eq!((error.kind(), error.request_id()), (kind, Some("id-3")));
        assert!(!shown(&error).contains("query-secret"));
    }
}

#[tokio::test]
async fn a_request_shows_no_query_and_a_pass_no_token() {
    let server = Server::start(only_token(0)).await;
    let request = Caller::new(&server).get("/a?q=query-secret").header("x", "header-secret").body("body-secret");
    let shown = format!("{request:?}");
    assert!(shown.contains("/a") && !shown.contains("secret"), "{shown}");
    assert!(!format!("{:?}", Flow::pass(0).header).contains("very-secret"));
}

#[tokio::test]
async fn token_info_is_asked_without_authorization() {
    let body =
        r#"{"active":true,"subjectType":"VISITOR","subjectId":"s","exp":"1700000000","iat":1600000000,"new":[]}"#;
    let server = Server::start(move |_, _| json("200 OK", body)).await;
    let caller = Caller::new(&server);
    let info = token_info(&caller.api, &*caller.flow).await.unwrap();
    assert!(info.active);
    assert_eq!(info.subject_type.as_deref(), Some("VISITOR"));
    assert_eq!(info.expires.unwrap().as_secs(), 1_700_000_000);
    assert_eq!(info.issued.unwrap().as_secs(), 1_600_000_000);
    let request = server.only();
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.line, "POST /oauth2/token-info HTTP/1.1");
    assert_eq!(request.text(), format!(r#"{{"token":"{}"}}"#, token(0)));
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let options = HttpOptions::new().base_url("http://127.0.0.1:9");
    let api = Arc::new(Api::new(&options, Duration::from_secs(10)).unwrap());
    let caller = Caller { api, flow: Arc::default(), memory: Arc::default() };
    let mut call = Box::pin(caller.get("/a").send());
    match call.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime),
        _ => panic!("it was sent"),
    }
}
