//! Signing in and out, with whatever is under way meanwhile.

use wix_visitor_testkit::sandbox::{Gate, On, Point};
use wix_visitor_tests::storefront::Storefront;

use crate::browser::Browser;
use crate::scene::Scene;

/// Six requests that need a token, from a page that stays open.
const FIRE: &str = "const badge = '/stock/5a4bd0c1-0001-4000-8000-000000000001.svg'; \
                    window.flights = [1, 2, 3, 4, 5, 6].map((n) => fetch(`${badge}?${n}`, { cache: 'no-store' }))";
/// What became of them.
const LANDED: &str = "return Promise.all(window.flights.map((flight) => flight.then((reply) => reply.status)))";

/// Signs in at another server in another tab while six requests are held, and lets those go.
async fn sign_in_meanwhile(browser: &Browser, here: &Storefront, there: &Storefront, gate: Gate) {
    let first = browser.window().await.unwrap();
    let second = browser.new_window(true).await.unwrap().handle;
    browser.switch_to_window(second).await.unwrap();
    // Elsewhere: six connections are all that a browser has for one server.
    browser.sign_in(there).await;
    let session = browser.session().await;
    gate.release();
    browser.switch_to_window(first).await.unwrap();
    let landed = browser.run(LANDED, vec![]).await;
    assert_eq!(landed.as_array().unwrap().len(), 6, "{landed}");
    for shop in [here, there, here] {
        browser.open(shop, "/").await;
        assert_eq!(browser.text("#who").await, "member");
    }
    assert!(browser.session().await == session, "the session is another now");
}

#[tokio::test]
async fn a_sign_in_with_six_requests_in_flight_stays() {
    let scene = Scene::new();
    let (here, there) = (scene.shop().await, scene.shop().await);
    let browser = Browser::new().await;
    browser.buy(&here, 0).await;
    // A page that asks for nothing by itself.
    browser.open(&here, "/panel/state").await;
    let gate = scene.sandbox.hold(On::Api("/stores/".into()), Point::BeforeActing);
    browser.execute(FIRE, vec![]).await.unwrap();
    gate.arrived_times(6).await;
    sign_in_meanwhile(&browser, &here, &there, gate).await;
}

#[tokio::test]
async fn a_sign_in_while_the_first_visitor_is_being_made_stays() {
    let scene = Scene::new();
    let (here, there) = (scene.shop().await, scene.shop().await);
    let browser = Browser::new().await;
    let gate = scene.sandbox.hold_mints();
    // It gives the session out, and needs no token.
    browser.open(&here, "/").await;
    browser.execute(FIRE, vec![]).await.unwrap();
    gate.arrived().await;
    sign_in_meanwhile(&browser, &here, &there, gate).await;
}

#[tokio::test]
async fn a_sign_out_forgets_the_member_and_the_cookie_is_worthless_then() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::new().await);
    browser.sign_in(&shop).await;
    browser.buy(&shop, 0).await;
    let old = browser.session_cookie().await;
    browser.click("form#sign-out button").await;
    wix_visitor_tests::wait::until_it("the shop to greet a guest", async || {
        browser.text_now("#who").await.as_deref() == Some("guest")
    })
    .await;
    assert_eq!(browser.cart(&shop).await, ("guest".to_owned(), vec![]));
    assert!(browser.session_cookie().await.value() != old.value(), "the same session");

    // Whoever kept it is nobody.
    browser.add_cookie(old).await.unwrap();
    let mints = scene.sandbox.mints();
    browser.open(&shop, "/api/cart").await;
    let answer = browser.source().await.unwrap();
    assert!(!answer.contains("member") && !answer.contains("Stoneware"), "{answer}");
    assert_eq!(scene.sandbox.mints(), mints);
}
