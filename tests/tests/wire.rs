//! Row A1 over real HTTP: whatever the token endpoint does, a failed renewal mints nothing and changes no record.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code, also where no test attribute says so")]

use std::time::Duration;

use wix_visitor::{ErrorKind, HttpOptions, MemoryStore, Policy, Site, Tokens};
use wix_visitor_testkit::TestClock;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Fault, On, Sandbox, SandboxOptions};
use wix_visitor_tests::instance::{CLIENT_ID, hours};
use wix_visitor_tests::spans::Spans;

struct Shop {
    sandbox: Sandbox,
    site: Site,
    clock: TestClock,
    key: String,
}

/// Every number small, in the proportions of the real ones: this suite runs in real time.
fn brisk() -> Policy {
    let mut policy = Policy::default();
    let millis = Duration::from_millis;
    (policy.grant, policy.save, policy.margin, policy.lease) = (millis(400), millis(200), millis(100), millis(700));
    (policy.backoff_first, policy.backoff_most) = (millis(40), millis(80));
    policy
}

async fn shop() -> Shop {
    wix_visitor_tests::trace::to_stderr();
    let sandbox = Sandbox::start(SandboxOptions::new()).await.unwrap();
    let clock = TestClock::default();
    let site = wix_visitor::builder(CLIENT_ID)
        .store(wix_visitor_tests::sealing::as_asked(MemoryStore::new()))
        .http(HttpOptions::new().base_url(sandbox.url()))
        .policy(brisk())
        .clock(clock.clone())
        .connect()
        .await
        .unwrap();
    Shop { sandbox, site, clock, key: secret_key("shopper") }
}

impl Shop {
    async fn tokens(&self) -> Tokens {
        self.site.visitor(&self.key).tokens().await.unwrap()
    }

    /// Asks until it works, as often as the pauses allow.
    async fn recovered(&self) {
        for _ in 0..100 {
            match self.site.visitor(&self.key).authorization().await {
                Ok(_) => return,
                Err(error) => tokio::time::sleep(error.retry_in().unwrap_or(Duration::from_millis(20))).await,
            }
        }
        panic!("never recovered");
    }
}

#[tokio::test]
async fn a1_no_answer_of_the_endpoint_but_a_refusal_ever_mints() {
    let renewals = || Fault::on(On::Renew);
    let faults: Vec<(&str, Fault, ErrorKind)> = vec![
        ("429", renewals().status(429).body("{}"), ErrorKind::Unavailable),
        ("500", renewals().status(500).body("{}"), ErrorKind::Unavailable),
        (
            "503 with HTML",
            renewals().status(503).body("<h1>busy</h1>").content_type("text/html"),
            ErrorKind::Unavailable,
        ),
        ("empty 403", renewals().status(403).body(""), ErrorKind::Unavailable),
        ("404", renewals().status(404).body(r#"{"message":"no such thing"}"#), ErrorKind::Unavailable),
        ("302", renewals().status(302).header("location", "/elsewhere"), ErrorKind::Unavailable),
        (
            "an odd 400",
            renewals().status(400).body(r#"{"message":"what is this","details":{}}"#),
            ErrorKind::Unavailable,
        ),
        ("a bare 401", renewals().status(401).body("nope"), ErrorKind::Unavailable),
        ("reset before acting", renewals().reset(), ErrorKind::OutcomeUnknown),
        ("reset after acting", renewals().reset_after_acting(), ErrorKind::OutcomeUnknown),
        ("no answer", renewals().hang(), ErrorKind::OutcomeUnknown),
        ("HTML with 200", renewals().html(), ErrorKind::Unavailable),
        ("an empty 200", renewals().empty(), ErrorKind::Unavailable),
        ("10 MB", renewals().oversize(10 * 1024 * 1024), ErrorKind::Unavailable),
        ("a bad client id", renewals().status(401).body(r#"{"error":"invalid_client"}"#), ErrorKind::Misconfigured),
    ];
    for (name, fault, expected) in faults {
        let shop = shop().await;
        shop.site.visitor(&shop.key).authorization().await.unwrap();
        let before = shop.tokens().await;
        let identity = shop.sandbox.identity_of(before.refresh.as_ref().unwrap().value.expose()).unwrap();
        shop.clock.jump(hours(5));
        shop.sandbox.fault(fault);
        let error = shop.site.visitor(&shop.key).authorization().await.expect_err(name);
        assert_eq!(error.kind(), expected, "{name}: {error}");
        assert_eq!(shop.tokens().await, before, "{name} changed the record");
        assert_eq!(shop.sandbox.mints(), 1, "{name} minted");
        shop.recovered().await;
        let after = shop.tokens().await.refresh.unwrap();
        assert_eq!(shop.sandbox.identity_of(after.value.expose()).unwrap(), identity, "{name} lost the visitor");
        assert_eq!(shop.sandbox.mints(), 1, "{name} minted");
        shop.site.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a1_an_endpoint_that_is_not_there_mints_nothing() {
    let shop = shop().await;
    shop.site.visitor(&shop.key).authorization().await.unwrap();
    let before = shop.tokens().await;
    shop.clock.jump(hours(5));
    shop.sandbox.shutdown().await;
    let error = shop.site.visitor(&shop.key).authorization().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(shop.site.visitor(&shop.key).tokens().await.unwrap(), before);
}

#[tokio::test]
async fn a10_a_client_id_that_wix_refuses_is_a_misconfiguration() {
    use wix_visitor_testkit::sandbox::ClientIds;
    wix_visitor_tests::trace::to_stderr();
    let sandbox = Sandbox::start(SandboxOptions::new().client_ids(ClientIds::only(["someone-else"]))).await.unwrap();
    let site = wix_visitor::builder(CLIENT_ID)
        .store(wix_visitor_tests::sealing::as_asked(MemoryStore::new()))
        .http(HttpOptions::new().base_url(sandbox.url()))
        .connect()
        .await
        .unwrap();
    let error = site.visitor(secret_key("shopper")).authorization().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.request_id().is_some());
}

#[tokio::test]
async fn an_api_call_is_a_span_that_tells_neither_path_nor_query() {
    let shop = shop().await;
    let visitor = shop.site.visitor(&shop.key);
    let id = visitor.id();
    let private = secret_key("query");
    let spans = Spans::seen();
    let status = visitor.get(format!("/{private}?q={private}")).send().await.unwrap().status().as_u16();
    visitor.token_info().await.unwrap();
    shop.sandbox.shutdown().await;
    visitor.post("/stores/v3/products/query").body(private.clone()).send().await.unwrap_err();
    let calls = [
        format!("method=GET outcome=answered status={status} visitor={id}"),
        format!("method=POST outcome=answered status=200 visitor={id}"),
        format!("method=POST outcome=unavailable visitor={id}"),
    ];
    assert_eq!(spans.named("wix_visitor.api_call"), calls);
    let all = spans.all();
    let flight = all.iter().find(|span| span.name == "wix_visitor.flight").unwrap();
    assert_eq!((flight.within, flight.follows), (None, Some("wix_visitor.api_call")));
    let ours = all.iter().filter(|span| span.name.starts_with("wix_visitor."));
    assert!(ours.map(|span| format!("{span:?}")).all(|shown| !shown.contains(&private) && !shown.contains(&shop.key)));
}
