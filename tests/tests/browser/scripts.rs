//! The page's own scripts, with the JavaScript SDK of Wix as published.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use wix_visitor_testkit::ledger::note_secret;
use wix_visitor_tests::instance::CLIENT_ID;

use crate::browser::Browser;
use crate::scene::Scene;

const MUG: &str = "5a4bd0c1-0001-4000-8000-000000000001";
const TEAPOT: &str = "5a4bd0c1-0005-4000-8000-000000000005";

/// `tests/sdk/page.mjs` and all that it imports, as one script.
fn bundle() -> &'static str {
    static BUNDLE: OnceLock<String> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
        let mut esbuild = Command::new(folder.join("node_modules/.bin/esbuild"));
        esbuild.args(["page.mjs", "--bundle", "--format=iife", "--log-level=warning"]).current_dir(folder);
        let output = esbuild.output().expect("esbuild is installed by: cargo xtask setup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    })
}

/// Puts the SDK into the page that is open.
async fn with_sdk(browser: &Browser, scene: &Scene) {
    browser.execute(bundle(), vec![]).await.unwrap();
    let set_up = "window.shop = page(...arguments)";
    browser.run(set_up, vec![json!(scene.sandbox.url()), json!(CLIENT_ID)]).await;
}

/// The page's SDK makes a visitor of its own, who chooses something; returns the tokens, as `localStorage` has them.
async fn shop_by_itself(browser: &Browser) -> Value {
    let own = "const own = await window.shop.byItself(); await own.add(arguments[0]); \
               return JSON.parse(localStorage.getItem('wix-tokens'))";
    let tokens = browser.run(own, vec![json!(TEAPOT)]).await;
    for token in ["accessToken", "refreshToken"] {
        note_secret(tokens[token]["value"].as_str().unwrap());
    }
    tokens
}

#[tokio::test]
async fn the_sdk_of_the_page_and_the_server_share_one_cart() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    browser.buy(&shop, 0).await;
    with_sdk(&browser, &scene).await;
    let names = browser.run("return window.shop.byServer.names()", vec![]).await;
    assert_eq!(names.as_array().unwrap().len(), 1, "{names}");
    let status = browser.run("return window.shop.byServer.add(arguments[0])", vec![json!(TEAPOT)]).await;
    assert_eq!(status, 200);
    let (_, lines) = browser.cart(&shop).await;
    assert!(lines.len() == 2 && lines.iter().any(|(name, _)| name == "Glass teapot"), "{lines:?}");
    scene.assert_one_visitor();
}

#[tokio::test]
async fn tokens_in_local_storage_are_taken_over_by_a_session_without_a_visitor() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    // A page that needs no token.
    browser.open(&shop, "/panel/state").await;
    with_sdk(&browser, &scene).await;
    let tokens = shop_by_itself(&browser).await;
    assert_eq!(browser.post_json("/wix-visitor/take-over", &tokens).await, 204);
    assert_eq!(browser.cart(&shop).await, ("guest".into(), vec![("Glass teapot".into(), "1".into())]));
    browser.buy(&shop, 0).await;
    scene.assert_one_visitor();
}

#[tokio::test]
async fn where_both_sides_have_a_visitor_nothing_is_taken_over() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    browser.buy(&shop, 0).await;
    let before = browser.cart(&shop).await;
    let session = browser.session().await;
    with_sdk(&browser, &scene).await;
    let tokens = shop_by_itself(&browser).await;
    assert_eq!(browser.post_json("/wix-visitor/take-over", &tokens).await, 409);
    assert_eq!(browser.cart(&shop).await, before);
    assert!(browser.session().await == session, "another session");
    // Nor is the page's own lost.
    with_sdk(&browser, &scene).await;
    let kept = browser.run("return JSON.parse(localStorage.getItem('wix-tokens'))", vec![]).await;
    assert_eq!(kept, tokens);
    assert_eq!(browser.run("return window.shop.byServer.add(arguments[0])", vec![json!(MUG)]).await, 200);
    assert_eq!(scene.sandbox.mints(), 2);
}
