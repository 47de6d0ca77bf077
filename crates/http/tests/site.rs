//! A site with the real token flow: everything but Wix and the disk.

// Clippy takes the helpers of a suite for library code.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use support::{Answer, Received, Server, json};
use wix_visitor_core::{
    ClientId, ErrorKind, Etag, Exchange, StoreError, StoreKey, Stored, TokenStore, Tokens, Visitors, async_trait,
};
use wix_visitor_http::{HttpOptions, Site, WixEndpoint};

#[derive(Default)]
struct Memory(Mutex<HashMap<StoreKey, Stored>>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

#[async_trait]
impl TokenStore for Memory {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        _keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let mut records = self.0.lock().unwrap();
        let stands = records.get(key);
        if stands.map(|s| &s.etag) != expected {
            return Ok(Exchange::Conflict(stands.cloned()));
        }
        records.insert(key.clone(), new.clone());
        Ok(Exchange::Swapped)
    }
}

fn site(server: &Server) -> Site {
    let options = HttpOptions::new().base_url(&server.url);
    let endpoint = WixEndpoint::builder().options(options.clone()).build().unwrap();
    let client_id = ClientId::new("0cb2d1a0-1111-4222-8333-444455556666").unwrap();
    Site::new(Visitors::builder(client_id, endpoint, Memory::default()).build().unwrap(), options).unwrap()
}

/// Every grant brings the tokens `…-n` after the nth token request; API calls are answered by `api`.
async fn wix(api: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Server {
    let grants = Mutex::new(0);
    Server::start(move |_, request| {
        if !request.line.contains("/oauth2/token ") {
            return api(request);
        }
        let mut n = grants.lock().unwrap();
        *n += 1;
        let body =
            format!(r#"{{"access_token":"OauthNG.JWS.acc-{n}","expires_in":14400,"refresh_token":"JWS.ref-{n}"}}"#);
        json("200 OK", &body)
    })
    .await
}

fn lines(server: &Server) -> Vec<String> {
    server.received().iter().map(|r| r.line.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_first_call_mints_and_later_ones_use_the_same_token() {
    let server = wix(|_| json("200 OK", r#"{"cart":{}}"#)).await;
    let site = site(&server);
    let visitor = site.visitor("default");
    let reply = visitor.get("/ecom/v1/carts/current").send().await.unwrap();
    assert!(reply.visitor_lost().is_none());
    assert_eq!(reply.text().await.unwrap(), r#"{"cart":{}}"#);
    let reply = visitor.graphql("{ a }", serde_json::json!({"x": 1})).send().await.unwrap();
    assert!(reply.status().is_success());
    site.shutdown().await.unwrap();
    assert_eq!(lines(&server), ["/oauth2/token", "/ecom/v1/carts/current", "/graphql/alpha"]);
    let graphql = server.received().remove(2);
    assert_eq!(graphql.header("authorization"), Some("OauthNG.JWS.acc-1"));
    assert_eq!(graphql.text(), r#"{"query":"{ a }","variables":{"x":1}}"#);
}

#[tokio::test]
async fn a_hundred_calls_that_meet_a_dead_token_cost_one_renewal() {
    let server = wix(|request| match request.header("authorization") {
        Some("OauthNG.JWS.acc-1") => json("401 Unauthorized", "{}"),
        _ => json("200 OK", "{}"),
    })
    .await;
    let site = site(&server);
    site.visitor("default").authorization().await.unwrap();
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let visitor = site.visitor("default");
            tokio::spawn(async move { visitor.post(format!("/{n}")).json(&n).send().await.unwrap().status() })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().is_success());
    }
    assert_eq!(lines(&server).iter().filter(|l| *l == "/oauth2/token").count(), 2);
}

#[tokio::test]
async fn what_one_visitor_remembers_no_other_does() {
    let server = wix(|request| {
        if request.line.contains("/first") {
            support::answer("200 OK", &["X-Wix-Consistent: one"], "")
        } else {
            json("200 OK", "{}")
        }
    })
    .await;
    let site = site(&server);
    site.visitor("a").get("/first").send().await.unwrap();
    site.visitor("a").get("/own").send().await.unwrap();
    site.visitor("b").get("/other").send().await.unwrap();
    let carried = |path: &str| {
        let request = server.received().into_iter().find(|r| r.line.contains(path)).unwrap();
        request.header("x-wix-consistent").map(str::to_owned)
    };
    assert_eq!(carried("/own").as_deref(), Some("one"));
    assert_eq!(carried("/other"), None);
}

#[tokio::test]
async fn a_lost_visitor_is_told_in_the_reply_of_the_call_that_met_it() {
    let server = Server::start(|_, request| {
        if !request.line.contains("/oauth2/token ") {
            return match request.header("authorization") {
                Some("OauthNG.JWS.first") => json("401 Unauthorized", "{}"),
                _ => json("200 OK", "{}"),
            };
        }
        if request.text().contains("refresh_token") {
            json("400 Bad Request", r#"{"error":"invalid_grant"}"#)
        } else if request.text().contains("anonymous") {
            json("200 OK", r#"{"access_token":"OauthNG.JWS.second","expires_in":14400,"refresh_token":"JWS.second"}"#)
        } else {
            json("500 Oops", "")
        }
    })
    .await;
    let site = site(&server);
    let visitor = site.visitor("default");
    let tokens = r#"{"accessToken":{"value":"OauthNG.JWS.first","expiresAt":4102444800},"refreshToken":{"value":"JWS.dead","role":"visitor"}}"#;
    visitor.set_tokens(Tokens::from_json(tokens).unwrap()).await.unwrap();
    let reply = visitor.get("/a").send().await.unwrap();
    assert!(reply.status().is_success());
    assert!(reply.visitor_lost().is_some_and(|lost| lost.replaced));
}

#[tokio::test]
async fn a_call_that_gets_no_token_says_why_and_whose_it_was() {
    let server =
        Server::start(|_, _| support::answer("503 Busy", &["x-wix-request-id: id-9", "retry-after: 30"], "")).await;
    let site = site(&server);
    let visitor = site.visitor("hunter2-session");
    let error = visitor.get("/a").send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!((error.status(), error.request_id()), (Some(503), Some("id-9")));
    assert_eq!(error.visitor(), Some(visitor.id()));
    server.only();
    let shown = format!("{error} {error:?} {site:?} {visitor:?} {:?}", visitor.get("/a"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
