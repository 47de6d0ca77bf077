//! The first program, as it stands in `examples/quickstart`, against the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use wix_visitor_testkit::sandbox::{Sandbox, SandboxOptions};
use wix_visitor_tests::{instance::CLIENT_ID, trace};

// Compiled in rather than run: no second build of everything with other features.
#[path = "../../examples/quickstart/src/main.rs"]
#[expect(dead_code, reason = "its own `main` and what only that uses")]
mod quickstart;

async fn run(sandbox: &Sandbox, directory: &Path) -> Result<String, String> {
    let settings = quickstart::Settings {
        client_id: CLIENT_ID.to_owned(),
        store_url: format!("sqlite:{}", directory.join("shop/visitors.db").display()),
        api_url: Some(sandbox.url()),
    };
    let mut out = Vec::new();
    quickstart::run(&settings, &mut out).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn run_twice_it_is_one_visitor_with_one_cart() {
    trace::to_stderr();
    let sandbox = Sandbox::start(SandboxOptions::new()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();

    let first = run(&sandbox, directory.path()).await.unwrap();
    assert!(first.contains("the cart:\n  1 x Stoneware mug\n") && first.contains("minted"), "{first}");

    // The sandbox takes its token for expired: its first call is turned away, renewed for, and made again.
    sandbox.advance(Duration::from_secs(5 * 3600));
    let second = run(&sandbox, directory.path()).await.unwrap();
    assert!(second.contains("the cart:\n  2 x Stoneware mug\n") && second.contains("renewed"), "{second}");
    assert!(!second.contains("minted"), "{second}");
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 1));
}

#[tokio::test]
async fn what_it_fails_with_says_what_to_do() {
    trace::to_stderr();
    let sandbox = Sandbox::start(SandboxOptions::new()).await.unwrap();
    sandbox.fault(wix_visitor_testkit::sandbox::Fault::on_mint().status(503).always());
    let directory = tempfile::tempdir().unwrap();
    let error = run(&sandbox, directory.path()).await.unwrap_err();
    assert!(error.contains("503") && error.contains("try again in"), "{error}");
}
