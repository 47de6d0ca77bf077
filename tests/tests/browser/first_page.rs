//! The very first page of a shopper, whose parallel requests all need a token.

use std::time::Duration;

use crate::browser::Browser;
use crate::scene::Scene;

#[tokio::test]
async fn six_parallel_requests_of_the_first_page_make_one_visitor() {
    let scene = Scene::new();
    // Slow enough that all six are there before the first has its token.
    scene.sandbox.set(|switches| switches.latency = Duration::from_millis(400));
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    browser.open(&shop, "/").await;
    browser.badges().await;
    let calls = scene.calls();
    assert!(calls.len() >= 6, "{} calls", calls.len());
    scene.assert_one_visitor();

    // And it is the shopper's own from then on.
    browser.buy(&shop, 0).await;
    browser.open(&shop, "/").await;
    browser.badges().await;
    assert_eq!(browser.cart(&shop).await.1.len(), 1);
    scene.assert_one_visitor();
}
