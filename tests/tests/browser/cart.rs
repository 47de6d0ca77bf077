//! A cart survives whatever befalls the page, the browser, the server, its token and the endpoint.

use std::time::Duration;

use wix_visitor_testkit::sandbox::Fault;
use wix_visitor_tests::wait::until_it;

use crate::browser::Browser;
use crate::scene::Scene;

#[tokio::test]
async fn a_cart_survives_a_reload() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    browser.buy(&shop, 0).await;
    let before = browser.cart(&shop).await;
    assert_eq!((before.0.as_str(), before.1.len()), ("guest", 1), "{before:?}");
    for _ in 0..3 {
        browser.refresh().await.unwrap();
        assert_eq!(browser.shown_cart().await, before);
    }
    scene.assert_one_visitor();
}

#[tokio::test]
async fn a_cart_survives_a_restart_of_the_browser() {
    let scene = Scene::new();
    let (shop, mut browser) = (scene.shop().await, Browser::new().await);
    browser.buy(&shop, 1).await;
    let before = browser.cart(&shop).await;
    let session = browser.session().await;
    browser.restart().await;
    assert_eq!(browser.cart(&shop).await, before);
    assert!(browser.session().await == session, "another session");
    // Another profile is another shopper.
    let other = Browser::new().await;
    assert!(other.cart(&shop).await.1.is_empty());
    browser.buy(&shop, 1).await;
    let carts = scene.calls().into_iter().filter(|call| call.path.ends_with("add-to-cart"));
    let owners: std::collections::BTreeSet<_> = carts.map(|call| call.identity).collect();
    assert_eq!(owners.len(), 1);
}

#[tokio::test]
async fn a_cart_survives_a_restart_and_a_kill_of_the_server() {
    let scene = Scene::new();
    let (mut shop, browser) = (scene.shop().await, Browser::new().await);
    browser.buy(&shop, 2).await;
    let before = browser.cart(&shop).await;
    let status = shop.stop().await;
    assert!(status.success(), "{status}");
    shop.start().await;
    assert_eq!(browser.cart(&shop).await, before);
    browser.buy(&shop, 0).await;
    shop.kill();
    shop.start().await;
    assert_eq!(browser.cart(&shop).await.1.len(), 2);
    scene.assert_one_visitor();
}

#[tokio::test]
async fn a_cart_survives_the_end_of_its_token() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    browser.buy(&shop, 3).await;
    let before = browser.cart(&shop).await;
    for _ in 0..2 {
        let renewals = scene.sandbox.renewals();
        scene.sandbox.advance(Duration::from_secs(5 * 3600));
        assert_eq!(browser.cart(&shop).await, before);
        assert!(scene.sandbox.renewals() > renewals);
    }
    scene.assert_one_visitor();
}

#[tokio::test]
async fn a_cart_survives_an_outage_of_the_endpoint() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    browser.buy(&shop, 4).await;
    let before = browser.cart(&shop).await;
    let session = browser.session().await;

    // While the token works, nobody notices.
    scene.sandbox.fault(Fault::on_token().status(503).always());
    assert_eq!(browser.cart(&shop).await, before);
    browser.buy(&shop, 0).await;
    let before = browser.cart(&shop).await;
    assert_eq!(before.1.len(), 2);

    // Once it does not, the shop says so, and makes nobody new.
    scene.sandbox.revoke_all_access().unwrap();
    browser.open(&shop, "/cart").await;
    let page = browser.text("body").await;
    assert!(page.contains("Your cart is safe"), "{page}");
    assert!(browser.session().await == session, "another session");

    scene.sandbox.clear_faults();
    until_it("the cart to be back", async || browser.cart(&shop).await == before).await;
    scene.assert_one_visitor();
}

#[tokio::test]
async fn a_cart_is_the_same_on_two_servers_by_turns() {
    let scene = Scene::new();
    let (one, two) = (scene.shop().await, scene.shop().await);
    let browser = Browser::new().await;
    for (place, (here, there)) in [(&one, &two), (&two, &one), (&one, &two), (&two, &one)].into_iter().enumerate() {
        browser.buy(here, place).await;
        let cart = browser.cart(there).await;
        assert_eq!(cart.1.len(), place + 1, "{cart:?}");
        assert_eq!(browser.cart(here).await, cart);
    }
    // They are two, or this would be no test.
    let mut names = Vec::new();
    for shop in [&one, &two] {
        browser.open(shop, "/").await;
        names.push(browser.text("#instance").await);
    }
    assert_ne!(names[0], names[1]);
    scene.assert_one_visitor();
}
