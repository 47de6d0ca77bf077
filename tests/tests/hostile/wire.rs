//! Options, requests and answers over HTTP.

use std::time::Duration;

use wix_visitor::{
    ApiRequest, ErrorKind, Grant, GrantFailure, HttpOptions, MemoryStore, Site, TokenEndpoint, WixEndpoint,
};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Fault, Sandbox};
use wix_visitor_tests::instance::{CLIENT_ID, client_id};

use crate::{MIB, SPANS, is_refused, shown, site, texts};

#[test]
fn an_address_a_proxy_and_certificates_of_any_text_are_refused_and_not_repeated() {
    let options = HttpOptions::new;
    // No certificates are read for it.
    let here = || options().base_url("http://127.0.0.1:1");
    let builder = || WixEndpoint::builder().options(here());
    for text in texts() {
        for base in
            [text.clone(), format!("https://{text}"), format!("https://u:{text}@host"), format!("http://{text}/")]
        {
            if let Err(error) = WixEndpoint::builder().options(options().base_url(&base)).build() {
                is_refused(&error, &text);
            }
            let shown = format!("{:?}", options().base_url(format!("https://u:{text}@host")));
            assert!(text.trim().len() < 8 || !shown.contains(text.trim()), "{shown:.200}");
        }
        for proxy in [text.clone(), format!("http://u:{text}@host")] {
            let options = here().proxy(proxy);
            assert!(text.trim().len() < 8 || !format!("{options:?}").contains(text.trim()));
            if let Err(error) = WixEndpoint::builder().options(options).build() {
                is_refused(&error, &text);
            }
        }
        let error = builder().options(here().root_certificates_pem(text.as_bytes())).build().unwrap_err();
        is_refused(&error, &text);
        if let Err(error) = builder().header(text.as_str(), "value").build() {
            is_refused(&error, &text);
        }
        if let Err(error) = builder().header("x-name", text.as_str()).build() {
            is_refused(&error, &text);
        }
        match builder().issuer(text.as_str()).build() {
            Ok(endpoint) => assert!(!text.trim().is_empty() && endpoint.issuer().len() <= 256),
            Err(error) => is_refused(&error, &text),
        }
    }
}

#[test]
fn more_headers_than_a_request_can_have_are_refused() {
    let mut builder = WixEndpoint::builder();
    for n in 0..40_000 {
        builder = builder.header(format!("x-{n}"), "value");
    }
    is_refused(&builder.build().unwrap_err(), "");
}

/// What cannot be sent is told before anything is.
async fn is_never_sent(sandbox: &Sandbox, given: &str, request: impl Fn() -> ApiRequest) {
    is_refused(&request().check().unwrap_err(), given);
    is_refused(&request().send().await.unwrap_err(), given);
    assert!(sandbox.log().is_empty(), "{given:.40?} was sent, or somebody was minted for it");
}

#[tokio::test]
async fn a_call_that_cannot_be_made_is_refused_before_anything_is_sent() {
    let (sandbox, site) = site().await;
    let visitor = site.visitor(secret_key("visitor"));
    for text in texts().iter().filter(|text| *text != "/") {
        is_never_sent(&sandbox, text, || visitor.get(text)).await;
        let path = format!("/{text}");
        if visitor.get(&path).check().is_err() {
            is_never_sent(&sandbox, text, || visitor.get(&path)).await;
        } else {
            assert!(text.len() < 64 * 1024, "{text:.40?}");
        }
        if visitor.get("/a").header("x-name", text.as_str()).check().is_err() {
            is_never_sent(&sandbox, text, || visitor.get("/a").header("x-name", text.as_str())).await;
        }
        if visitor.get("/a").header(text.as_str(), "value").check().is_err() {
            is_never_sent(&sandbox, text, || visitor.get("/a").header(text.as_str(), "value")).await;
        }
    }
    let long = "x".repeat(MIB);
    is_never_sent(&sandbox, &long, || visitor.get("/a").query([("q", &long)])).await;
    is_never_sent(&sandbox, &long, || visitor.get(format!("/{}", "x".repeat(70_000)))).await;
    let many = || (0..2_000).fold(visitor.get("/a"), |request, n| request.header(format!("x-{n}"), "value"));
    is_never_sent(&sandbox, "", many).await;
    let same = || (0..2_000).fold(visitor.get("/a"), |request, _| request.header("x-same", "value"));
    is_never_sent(&sandbox, "", same).await;
    let unwritable = std::collections::HashMap::from([(vec![0_u8], 1)]);
    is_never_sent(&sandbox, "", || visitor.post("/a").json(&unwritable)).await;
    assert_eq!(sandbox.mints(), 0);
}

#[tokio::test]
async fn any_time_will_do_for_a_call_and_for_a_grant() {
    let (sandbox, site) = site().await;
    let visitor = site.visitor(secret_key("visitor"));
    visitor.authorization().await.unwrap();
    for span in SPANS {
        // One that is too short may still be enough for an answer that is there at once.
        let enough = span > Duration::from_secs(1);
        let sound = |answer: Result<(), wix_visitor::Error>| match answer {
            Ok(()) => {}
            Err(error) => assert!(!enough && error.kind() == ErrorKind::Unavailable, "{span:?}: {error}"),
        };
        sound(visitor.get("/ecom/v1/carts/current").timeout(span).send().await.map(drop));
        let of_site = Site::builder(site.visitors().clone())
            .options(HttpOptions::new().base_url(sandbox.url()))
            .timeout(span)
            .build()
            .unwrap();
        sound(of_site.as_visitor(visitor.visitor()).get("/ecom/v1/carts/current").send().await.map(drop));

        let options = HttpOptions::new().base_url(sandbox.url());
        let patient = WixEndpoint::builder().options(options.clone()).build().unwrap();
        let hasty = WixEndpoint::builder().options(options.connect_timeout(span)).build().unwrap();
        for (endpoint, timeout) in [(patient, span), (hasty, Duration::from_secs(20))] {
            if let Err(error) = endpoint.grant(&client_id(), &Grant::Anonymous, timeout).await {
                let passing = matches!(error.failure, GrantFailure::Transient | GrantFailure::Unknown);
                assert!(!enough && passing, "{span:?}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_reply_of_a_gibibyte_is_not_read_and_mints_nobody_here() {
    let (sandbox, site) = site().await;
    for fault in [Fault::on_mint(), Fault::on_mint().status(400).body("{\"error\":\"invalid_client\"}")] {
        let visitor = site.visitor(secret_key("visitor"));
        sandbox.fault(fault.oversize(1 << 30));
        let error = visitor.authorization().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(visitor.tokens().await.unwrap().refresh.is_none());
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_taken_as_far_as_the_caller_wants_it() {
    let (sandbox, site) = site().await;
    let visitor = site.visitor(secret_key("visitor"));
    sandbox.fault(Fault::on_api("/").oversize(u64::MAX).always());
    sandbox.fault(Fault::on_api("/").status(500).body("{\"message\":\"WDE0117\"}").oversize(u64::MAX));
    for _ in 0..2 {
        let mut answer = visitor.get("/ecom/v1/carts/current").send().await.unwrap();
        let mut taken = 0;
        while taken < 4 * MIB {
            let chunk = answer.chunk().await.unwrap().unwrap();
            assert!(chunk.len() <= MIB);
            taken += chunk.len();
        }
        drop(answer);
        sandbox.clear_faults();
        sandbox.fault(Fault::on_api("/").status(500).body("{\"message\":\"WDE0117\"}").oversize(u64::MAX));
    }
    sandbox.clear_faults();
    sandbox.fault(Fault::on_token_info().oversize(u64::MAX));
    let (brief, http) = (Duration::from_millis(50), HttpOptions::new().base_url(sandbox.url()));
    let hasty = Site::builder(site.visitors().clone()).options(http).timeout(brief).build().unwrap();
    assert_eq!(hasty.as_visitor(visitor.visitor()).token_info().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(sandbox.mints(), 1);
}

#[tokio::test]
async fn a_retry_after_of_any_text_pauses_for_an_hour_at_the_longest() {
    let never = "Fri, 31 Dec 9999 23:59:59 GMT";
    let values =
        ["", "-1", "0", "1.5", "1e9", "18446744073709551616", "99999999999999999999", never, "never", "\u{ff}"];
    for value in values.into_iter().chain([&*"9".repeat(4000)]) {
        let (sandbox, site) = site().await;
        sandbox.fault(Fault::on_mint().status(429).header("retry-after", value).header("date", "garbage"));
        let error = site.visitor(secret_key("visitor")).authorization().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{value}");
        assert!(error.retry_in().unwrap() <= Duration::from_secs(3600), "{value}: {error}");
    }
}

#[tokio::test]
async fn an_error_body_of_anything_is_told_in_few_words_and_without_what_was_sent() {
    let (sandbox, site) = site().await;
    let key = secret_key("visitor");
    let visitor = site.visitor(&key);
    visitor.authorization().await.unwrap();
    let kept = visitor.tokens().await.unwrap();
    let refresh = kept.refresh.as_ref().unwrap().value.clone();
    let violations = vec!["{\"field\":\"f\",\"description\":\"d\"}"; 1500].join(",");
    let bodies = [
        format!("{{\"error\":\"{}\"}}", "\u{202e}".repeat(20_000)),
        format!("{{\"message\":\"{}\",\"details\":{{}}}}", refresh.expose().repeat(20)),
        format!("{{\"message\":\"{}\"}}", refresh.expose().chars().rev().collect::<String>()),
        format!("{{\"message\":\"m\",\"details\":{{\"validationError\":{{\"fieldViolations\":[{violations}]}}}}}}"),
        "[".repeat(60_000),
        "{\"a\":".repeat(10_000),
        "\0".repeat(60_000),
    ];
    for (body, status) in bodies.iter().flat_map(|body| [400, 401, 500, 200, 999].map(|status| (body, status))) {
        sandbox.clear_faults();
        sandbox.fault(Fault::on_renew().status(status).body(body.clone()));
        let visitor = site.visitor(&key);
        // A grant that failed pauses the next: each answer is met by a visitor of its own.
        let other = wix_visitor::builder(CLIENT_ID)
            .store(MemoryStore::new())
            .http(HttpOptions::new().base_url(sandbox.url()))
            .connect()
            .await
            .unwrap();
        other.visitor(&key).set_tokens(visitor.tokens().await.unwrap()).await.unwrap();
        let error = other.visitor(&key).renew().await.unwrap_err();
        let shown = shown(&error);
        assert!(shown.len() < 4000 && !shown.contains(refresh.expose()), "{status}: {shown:.400}");
        assert!(!shown.contains('\u{202e}'), "{status}");
        assert_eq!(other.visitor(&key).tokens().await.unwrap(), kept, "{status}: {shown:.400}");
    }
    assert_eq!(sandbox.mints(), 1);
}
