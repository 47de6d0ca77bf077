//! The sandbox's own paths.

use crate::client::*;

#[tokio::test]
async fn echo_shows_everything_but_credentials() {
    let sandbox = plain().await;
    let (access, _) = mint(&sandbox).await;
    let headers = [("authorization", access.as_str()), ("x-mine", "1"), ("cookie", "secret=1")];
    let answer = ask(&sandbox, "PUT", "/_sandbox/echo?a=b", &headers, "hello").await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(!text.contains(&access) && !text.contains("secret"), "{text}");
    let echo = answer.json();
    assert_eq!(echo["headers"]["authorization"], "[bare]");
    assert_eq!(echo["headers"]["x-mine"], "1");
    assert_eq!((echo["method"].as_str(), echo["body"].as_str()), (Some("PUT"), Some("hello")));
}

#[tokio::test]
async fn redirects_statuses_and_preflights_are_as_asked() {
    let sandbox = plain().await;
    let path = "/_sandbox/redirect?to=http%3A%2F%2Fexample.com%2F&status=307";
    let answer = ask(&sandbox, "GET", path, &[], "").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("http://example.com/")));
    let answer = ask(&sandbox, "POST", "/_sandbox/redirect?to=/x", &[], "").await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("/x")));
    assert_eq!(ask(&sandbox, "GET", "/_sandbox/status/428", &[], "").await.status, 428);
    assert_eq!(ask(&sandbox, "GET", "/_sandbox/status/99", &[], "").await.status, 404);
    let headers = [("access-control-request-headers", "authorization,x-any")];
    let answer = ask(&sandbox, "OPTIONS", CART, &headers, "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,x-any"));
}
