//! The sandbox, flooded.

use std::time::{Duration, SystemTime};

use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Fault, Sandbox, SandboxErrorKind, SandboxOptions};

use crate::{SPANS, is_not_repeated, site, texts};

const CART: &str = "/ecom/v1/carts/current";

#[test]
fn a_fault_of_any_text_is_one_or_refused() {
    for text in texts() {
        for text in
            [text.clone(), format!("mint:{text}"), format!("any: delay={text}"), format!("/{text}: times={text}")]
        {
            if let Err(error) = text.parse::<Fault>() {
                is_not_repeated(&error, &text);
            }
        }
    }
    for (event, fits) in
        [("delay=18446744073709551615s", true), ("delay=18446744073709551616s", false), ("skip=-1", false)]
    {
        assert_eq!(format!("any: hang, {event}").parse::<Fault>().is_ok(), fits, "{event}");
    }
}

#[tokio::test]
async fn a_flood_of_faults_is_refused_and_what_was_planned_stays() {
    let (sandbox, site) = site().await;
    let visitor = site.visitor(secret_key("visitor"));
    visitor.authorization().await.unwrap();
    let plan = |faults: usize| visitor.post("/_sandbox/faults").body("mint: status=503\n".repeat(faults)).send();
    assert_eq!(plan(10_000).await.unwrap().status(), 200);
    for faults in [1, 100_000] {
        let answer = plan(faults).await.unwrap();
        assert_eq!(answer.status(), 400, "{faults}");
        assert!(answer.text().await.unwrap().contains("10000"));
    }
    assert_eq!(visitor.get("/_sandbox/faults").send().await.unwrap().status(), 200);
    visitor.renew().await.unwrap();
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 1));
}

#[tokio::test]
async fn a_cart_takes_a_hundred_lines_and_no_more() {
    let (_sandbox, site) = site().await;
    let visitor = site.visitor(secret_key("visitor"));
    let found = visitor.post("/stores/v3/products/query").json(&serde_json::json!({})).send().await.unwrap();
    let found: serde_json::Value = found.json().await.unwrap();
    let product = &found["products"][0]["id"];
    let lines = |lines: usize| {
        let line = |n| serde_json::json!({ "catalogReference": { "catalogItemId": product, "options": n } });
        serde_json::json!({ "lineItems": (0..lines).map(line).collect::<Vec<_>>() })
    };
    let add =
        async |of: usize| visitor.post(format!("{CART}/add-to-cart")).json(&lines(of)).send().await.unwrap().status();
    assert_eq!(add(101).await, 400);
    assert_eq!(add(100).await, 200);
    assert_eq!(add(5_000).await, 400);
    let cart: serde_json::Value = visitor.get(CART).send().await.unwrap().json().await.unwrap();
    assert_eq!(cart["cart"]["lineItems"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn the_sandbox_goes_to_the_ends_of_time_and_still_answers() {
    for span in SPANS {
        let (sandbox, site) = site().await;
        sandbox.set(|switches| {
            switches.token_lifetime = span.as_secs();
            switches.refresh_lifetime = span.as_secs();
        });
        site.visitor(secret_key("visitor")).authorization().await.unwrap();
        sandbox.advance(span);
        let _ = sandbox.now();
        site.visitor(secret_key("visitor")).authorization().await.unwrap();
        sandbox.set_clock(SystemTime::UNIX_EPOCH);
        sandbox.fault(Fault::on_mint().delay_after_acting(Duration::ZERO).retry_after(u64::MAX).status(0));
        site.visitor(secret_key("visitor")).authorization().await.unwrap_err();
        assert_eq!(sandbox.mints(), 2, "{span:?}");
    }
}

#[tokio::test]
async fn a_state_file_of_anything_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for (n, content) in texts().iter().filter(|text| text.len() > 1).enumerate() {
        let path = directory.path().join(n.to_string());
        std::fs::write(&path, content).unwrap();
        let error = Sandbox::start(SandboxOptions::new().state_file(&path)).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::CorruptState, "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), *content);
    }
    for path in ["a\0b".to_owned(), "x".repeat(300), "d/".repeat(50_000) + "x"] {
        let error = Sandbox::start(SandboxOptions::new().state_file(directory.path().join(path))).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::StateFile, "{error:.200}");
    }
}
