//! Token requests and their answers on the wire.

// Clippy takes the helpers of a suite for library code.
#![allow(clippy::unwrap_used)]

mod support;

use std::error::Error as _;
use std::time::{Duration, Instant};

use support::{Answer, Server, answer, json};
use wix_visitor_core::{ClientId, Grant, GrantError, GrantFailure, GrantReply, Secret, TokenEndpoint};
use wix_visitor_http::{Encoding, HttpOptions, WixEndpoint, WixEndpointBuilder};

const CLIENT: &str = "0cb2d1a0-1111-4222-8333-444455556666";
const REFRESH: &str = "JWS.eyJraWQiOiJZSEJzdUpwSCJ9.c2VjcmV0+LXJlZnJlc2g=.Qf3mZx";
const GOOD: &str =
    r#"{"access_token":"OauthNG.JWS.acc","token_type":"Bearer","expires_in":14400,"refresh_token":"JWS.new"}"#;

fn to(server: &Server) -> WixEndpointBuilder {
    WixEndpoint::builder().options(HttpOptions::new().base_url(&server.url))
}

async fn send(endpoint: &WixEndpoint, grant: Grant, timeout: Duration) -> Result<GrantReply, GrantError> {
    endpoint.grant(&ClientId::new(CLIENT).unwrap(), &grant, timeout).await
}

async fn mint(endpoint: &WixEndpoint) -> Result<GrantReply, GrantError> {
    send(endpoint, Grant::Anonymous, Duration::from_secs(10)).await
}

fn renewal() -> Grant {
    Grant::Refresh(Secret::new(REFRESH))
}

async fn renew(endpoint: &WixEndpoint) -> Result<GrantReply, GrantError> {
    send(endpoint, renewal(), Duration::from_secs(10)).await
}

/// The failure of a renewal that is answered like this.
async fn failure(script: impl Fn() -> Answer + Send + Sync + 'static) -> GrantError {
    let server = Server::start(move |_, _| script()).await;
    let error = renew(&to(&server).build().unwrap()).await.unwrap_err();
    // Whatever went wrong, it was sent once, and the token is nowhere to be seen.
    server.only();
    hides(&error, REFRESH);
    hides(&error, "http://127");
    error
}

fn hides(error: &GrantError, secret: &str) {
    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        shown += &format!(" {cause} {cause:?}");
        source = cause.source();
    }
    assert!(!secret.as_bytes().windows(8).any(|w| shown.as_bytes().windows(8).any(|s| s == w)), "{shown}");
}

#[tokio::test]
async fn a_mint_and_a_renewal_in_json_are_written_as_the_sdk_writes_them() {
    let server = Server::start(|_, _| json("200 OK", GOOD)).await;
    let endpoint = to(&server).build().unwrap();
    let reply = mint(&endpoint).await.unwrap();
    assert_eq!(reply.access_token.unwrap().expose(), "OauthNG.JWS.acc");
    assert_eq!(reply.refresh_token.unwrap().expose(), "JWS.new");
    assert_eq!(reply.expires_in, Some(Duration::from_secs(14400)));
    renew(&endpoint).await.unwrap();
    let received = server.received();
    assert_eq!(received[0].text(), format!(r#"{{"clientId":"{CLIENT}","grantType":"anonymous"}}"#));
    assert_eq!(
        received[1].text(),
        format!(r#"{{"clientId":"{CLIENT}","refresh_token":"{REFRESH}","grantType":"refresh_token"}}"#)
    );
    for request in received {
        assert_eq!(request.line, "POST /oauth2/token HTTP/1.1");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("cache-control"), Some("no-cache, no-store"));
        assert_eq!(request.header("user-agent"), Some(concat!("wix-visitor/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn a_form_is_written_as_oauth_writes_it() {
    let server = Server::start(|_, _| json("200 OK", GOOD)).await;
    let endpoint = to(&server).encoding(Encoding::Form).build().unwrap();
    mint(&endpoint).await.unwrap();
    renew(&endpoint).await.unwrap();
    let received = server.received();
    assert_eq!(received[0].text(), format!("client_id={CLIENT}&grant_type=anonymous"));
    let token = REFRESH.replace('+', "%2B").replace('=', "%3D");
    assert_eq!(received[1].text(), format!("client_id={CLIENT}&grant_type=refresh_token&refresh_token={token}"));
    for request in received {
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(request.header("authorization"), None);
    }
}

#[tokio::test]
async fn extra_headers_go_along_with_every_token_request() {
    let server = Server::start(|_, _| json("200 OK", GOOD)).await;
    let endpoint = to(&server).header("X-Wix-BI-Gateway", "shop").header("client-binding", "bound").build().unwrap();
    mint(&endpoint).await.unwrap();
    renew(&endpoint).await.unwrap();
    for request in server.received() {
        assert_eq!(request.header("x-wix-bi-gateway"), Some("shop"));
        assert_eq!(request.header("client-binding"), Some("bound"));
    }
}

#[tokio::test]
async fn a_header_that_must_not_be_there_is_refused_without_its_value() {
    for (name, value) in [
        ("Authorization", "hunter2"),
        ("proxy-authorization", "hunter2"),
        ("host", "hunter2"),
        ("content-length", "hunter2"),
        ("two words", "hunter2"),
        ("fine", "hunter2\r\nx: y"),
    ] {
        let error = WixEndpoint::builder()
            .options(HttpOptions::new().base_url("http://127.0.0.1"))
            .header(name, value)
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), wix_visitor_core::ErrorKind::InvalidInput, "{name}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn an_endpoint_shows_neither_headers_nor_passwords() {
    let builder = WixEndpoint::builder()
        .options(HttpOptions::new().base_url("http://127.0.0.1:1").proxy("http://user:hunter2@proxy.example:1"))
        .header("client-binding", "hunter2");
    assert!(!format!("{builder:?}").contains("hunter2"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
}

#[tokio::test]
async fn the_issuer_is_the_base_url_unless_told() {
    let at = |url: &str| WixEndpoint::builder().options(HttpOptions::new().base_url(url));
    for (url, issuer) in [
        ("http://127.0.0.1:4747/", "http://127.0.0.1:4747"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://LOCALHOST:80/gate", "http://localhost/gate"),
        ("http://localhost/./gate/one//", "http://localhost/gate/one"),
    ] {
        assert_eq!(at(url).build().unwrap().issuer(), issuer, "{url}");
    }
    assert_eq!(at("http://127.0.0.1:4747").issuer("wix").build().unwrap().issuer(), "wix");
    assert!(at("http://127.0.0.1:4747").issuer(" ").build().is_err());
}

#[tokio::test]
async fn a_large_reply_is_refused_quickly_and_not_read() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10485760\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"access_token\":\"",
    ] {
        let server = Server::start(move |_, _| Answer::Flood(head.into())).await;
        let error = renew(&to(&server).build().unwrap()).await.unwrap_err();
        assert_eq!(error.failure, GrantFailure::Transient);
        assert!(error.message.contains("larger"), "{error}");
        // The kernel's buffers took some; a client that reads on would have taken all of it and more.
        assert!(server.written() < 8 * 1024 * 1024, "{}", server.written());
    }
}

#[tokio::test]
async fn a_reply_announced_as_large_is_refused_before_it_comes() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n";
    let server = Server::start(move |_, _| Answer::Hold(head.into())).await;
    let error = renew(&to(&server).build().unwrap()).await.unwrap_err();
    assert_eq!(error.failure, GrantFailure::Transient, "{error}");
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_grants_time() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{";
    let server = Server::start(move |_, _| Answer::Drip(head.into())).await;
    let endpoint = to(&server).build().unwrap();
    let start = Instant::now();
    let error = send(&endpoint, renewal(), Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.failure, GrantFailure::Unknown);
    assert_eq!(error.status, Some(200));
    // Twenty seconds of dripping were to come.
    assert!(start.elapsed() < Duration::from_secs(10));
    hides(&error, REFRESH);
}

#[tokio::test]
async fn silence_after_sending_is_unknown() {
    let server = Server::start(|_, _| Answer::Hold(Vec::new())).await;
    let endpoint = to(&server).build().unwrap();
    for grant in [Grant::Anonymous, renewal()] {
        let error = send(&endpoint, grant, Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error.failure, GrantFailure::Unknown);
        assert!(error.message.contains("no answer in time"), "{error}");
        hides(&error, "http://127");
    }
}

#[tokio::test]
async fn a_connection_lost_after_sending_is_unknown() {
    for script in [|| Answer::Reset(Vec::new()), || Answer::Say(Vec::new()), || Answer::Say(b"HTTP/1.1 20".into())] {
        let error = failure(script).await;
        assert_eq!(error.failure, GrantFailure::Unknown, "{error}");
        assert_eq!(error.status, None);
    }
    let error = failure(|| Answer::Say(b"SSH-2.0-OpenSSH_9.2\r\n".into())).await;
    assert_eq!(error.failure, GrantFailure::Unknown, "{error}");
}

#[tokio::test]
async fn a_truncated_success_is_unknown_and_a_truncated_failure_is_what_its_status_says() {
    let cut = |status: &str| {
        let bytes = format!("HTTP/1.1 {status}\r\ncontent-length: 500\r\n\r\n{{\"error\":\"invalid_grant\"}}");
        move || Answer::Say(bytes.clone().into_bytes())
    };
    assert_eq!(failure(cut("200 OK")).await.failure, GrantFailure::Unknown);
    assert_eq!(failure(cut("503 Busy")).await.failure, GrantFailure::Transient);
    // Never a refusal: what came may be a part of something else.
    assert_eq!(failure(cut("400 Bad Request")).await.failure, GrantFailure::Transient);
}

#[tokio::test]
async fn a_refresh_token_that_arrived_before_the_cut_is_kept() {
    let bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{GOOD}");
    let server = Server::start(move |_, _| Answer::Say(bytes.clone().into_bytes())).await;
    let reply = renew(&to(&server).build().unwrap()).await.unwrap();
    assert_eq!(reply.refresh_token.unwrap().expose(), "JWS.new");
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = WixEndpoint::builder().options(HttpOptions::new().base_url(url)).build().unwrap();
    let error = renew(&endpoint).await.unwrap_err();
    assert_eq!(error.failure, GrantFailure::Transient);
    assert!(error.message.contains("connection refused"), "{error}");
    hides(&error, REFRESH);
    hides(&error, "http://127");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(|_, _| json("200 OK", GOOD)).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("location: {}/oauth2/token?t={REFRESH}", other.url);
        let error = failure(move || answer(status, &[location.as_str()], "")).await;
        assert_eq!(error.failure, GrantFailure::Transient);
        assert!(error.message.contains("redirected"), "{error}");
    }
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn the_classes_reach_the_flow_with_status_request_id_and_patience() {
    let headers = &["x-wix-request-id: 1699.42", "retry-after: 7", "content-type: application/json"];
    let error = failure(|| answer("400 Bad Request", headers, r#"{"error":"invalid_grant"}"#)).await;
    assert_eq!(error.failure, GrantFailure::Refused);
    assert_eq!(error.status, Some(400));
    assert_eq!(error.request_id.as_deref(), Some("1699.42"));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));

    let error = failure(|| answer("400 Bad Request", headers, r#"{"message":"no","details":{}}"#)).await;
    assert_eq!(error.failure, GrantFailure::Doubtful);
    let error = failure(|| answer("401 Unauthorized", headers, r#"{"error":"invalid_client"}"#)).await;
    assert_eq!(error.failure, GrantFailure::Misconfigured);
    let error = failure(|| answer("429 Slow", headers, "")).await;
    assert_eq!(error.failure, GrantFailure::Transient);
    let error = failure(|| answer("200 OK", headers, "<html>login here</html>")).await;
    assert_eq!(error.failure, GrantFailure::Transient);
    assert_eq!(error.request_id.as_deref(), Some("1699.42"));
}

#[tokio::test]
async fn a_retry_after_date_is_understood() {
    let headers = &["date: Mon, 01 Jan 2035 00:00:00 GMT", "retry-after: Mon, 01 Jan 2035 00:01:00 GMT"];
    let error = failure(|| answer("503 Busy", headers, "")).await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn an_echo_of_the_token_or_of_a_header_shows_nowhere() {
    let body = format!(r#"{{"error":"bad","error_description":"no {REFRESH} with binding-4711-secret"}}"#);
    let id = format!("x-wix-request-id: {}", &REFRESH[4..20]);
    let server = Server::start(move |_, _| answer("400 Bad Request", &[id.as_str()], &body)).await;
    let endpoint = to(&server).header("client-binding", "binding-4711-secret").build().unwrap();
    let error = renew(&endpoint).await.unwrap_err();
    assert_eq!(error.failure, GrantFailure::Doubtful);
    hides(&error, REFRESH);
    hides(&error, "binding-4711-secret");
    assert_eq!(error.request_id, None);
}

#[tokio::test]
async fn a_proxy_never_sees_what_goes_to_loopback() {
    let proxy = Server::start(|_, _| json("200 OK", GOOD)).await;
    let server = Server::start(|_, _| json("200 OK", GOOD)).await;
    let options = HttpOptions::new().base_url(&server.url).proxy(proxy.url.as_str());
    mint(&WixEndpoint::builder().options(options).build().unwrap()).await.unwrap();
    server.only();
    assert!(proxy.received().is_empty());
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn https_goes_through_the_proxy_and_its_refusal_is_not_sent() {
    let proxy = Server::start(|_, _| answer("407 Proxy Authentication Required", &[], "")).await;
    let options = HttpOptions::new()
        .base_url("https://wix.invalid")
        .proxy(format!("http://user:hunter2@{}", proxy.url.trim_start_matches("http://")));
    let error = renew(&WixEndpoint::builder().options(options).build().unwrap()).await.unwrap_err();
    assert_eq!(error.failure, GrantFailure::Transient);
    assert_eq!(proxy.only().line, "CONNECT wix.invalid:443 HTTP/1.1");
    hides(&error, "hunter2");
    hides(&error, REFRESH);
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn what_is_not_tls_was_not_sent() {
    let server = Server::start(|_, _| answer("200 OK", &[], "")).await;
    let url = server.url.replace("http://", "https://");
    let options = HttpOptions::new().base_url(url).connect_timeout(Duration::from_millis(500));
    let error = renew(&WixEndpoint::builder().options(options).build().unwrap()).await.unwrap_err();
    assert_eq!(error.failure, GrantFailure::Transient);
    assert!(server.received().is_empty());
}
