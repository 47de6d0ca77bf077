//! The storefront as its shoppers meet it: a process of its own, and a browser without scripts.

#![cfg(unix)]
// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::time::Duration;

use browser::Browser;
use process::Storefront;
use serde_json::{Value, json};
use wix_visitor_testkit::sandbox::{Fault, Sandbox, SandboxOptions};

const MUG: &str = "5a4bd0c1-0001-4000-8000-000000000001";
const CLIENT_ID: &str = "11111111-2222-4333-8444-555555555555";

async fn sandbox() -> Sandbox {
    Sandbox::start(SandboxOptions::new()).await.unwrap()
}

#[tokio::test]
async fn the_shop_works_without_scripts_and_the_cart_outlives_an_expired_token_and_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let mut shop = Storefront::start(data.path(), &[], &[]).await;
    let browser = Browser::new(&shop.url);

    let home = browser.get("/").await;
    assert_eq!((home.status, home.count("class=\"product\""), home.count("class=\"stock\"")), (200, 6, 6));
    assert_eq!((home.text("who").as_str(), home.text("cart-count").as_str()), ("guest", "0"));
    assert!(home.body.contains("id=\"sandbox\"") && home.body.contains("id=\"cart-link\""));
    let state = browser.get("/panel/state").await.json();
    assert_eq!((&state["role"], &state["expiresIn"]), (&json!("none"), &Value::Null), "to look at it costs nothing");

    let added = browser.post("/cart/add", &[("product", MUG)]).await;
    assert_eq!((added.status, added.location.as_deref()), (303, Some("/cart")));
    let cart = browser.get("/cart").await;
    assert_eq!((cart.count("class=\"line\""), cart.text("cart-count").as_str()), (1, "1"));
    assert!(
        cart.body.contains("<span class=\"name\">Stoneware mug</span><span class=\"quantity\">1</span>"),
        "{cart:?}"
    );

    let expired = browser.post("/panel/expire", &[("back", "/cart")]).await;
    assert_eq!((expired.status, expired.location.as_deref()), (303, Some("/cart")));
    let cart = browser.get("/cart").await;
    assert_eq!(cart.text("cart-count"), "1");
    assert!(cart.body.contains("renewed: same visitor, new access token (1st renewal)"), "{cart:?}");

    let before = browser.get("/panel/state").await.json();
    let restarting = browser.post("/panel/restart", &[("back", "/cart")]).await;
    assert_eq!((restarting.status, restarting.count("id=\"restarting\"")), (200, 1));
    let after = shop.until_restarted(&browser, &before).await;
    assert_eq!((&after["generation"], &after["role"]), (&json!(1), &json!("visitor")));
    let cart = browser.get("/cart").await;
    assert_eq!((cart.count("class=\"line\""), cart.text("cart-count").as_str()), (1, "1"));

    let line = cart.between("name=\"line\" value=\"", "\"");
    assert_eq!(browser.post("/cart/remove", &[("line", &line)]).await.status, 303);
    assert_eq!(browser.get("/api/cart").await.json()["count"], 0);
    shop.stop(&browser).await;
}

#[tokio::test]
async fn six_requests_of_the_very_first_page_make_one_visitor() {
    let (sandbox, data) = (sandbox().await, tempfile::tempdir().unwrap());
    let shop = Storefront::on(&sandbox, data.path(), &[]).await;
    let browser = Browser::new(&shop.url);
    let home = browser.get("/").await;
    assert!(!home.body.contains("id=\"sandbox\"") && !home.body.contains("id=\"expire\""), "{home:?}");
    let badges: Vec<String> =
        home.body.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    let badges: Vec<String> = badges.into_iter().filter(|src| src.starts_with("/stock/")).collect();
    let asked: Vec<_> = badges.into_iter().map(|src| (browser.clone(), src)).collect();
    let asked = asked.into_iter().map(|(browser, src)| tokio::spawn(async move { browser.get(&src).await }));
    for answer in asked.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.body.starts_with("<svg")), (200, true));
    }
    assert_eq!((sandbox.mints(), browser.get("/panel/expire").await.status), (1, 405));
    assert_eq!(browser.post("/panel/expire", &[]).await.status, 404);
    assert_eq!(browser.get("/health").await.json()["ready"], true);
    shop.stop(&browser).await;
}

#[tokio::test]
async fn beyond_this_machine_it_listens_for_a_site_alone() {
    let data = tempfile::tempdir().unwrap();
    let (code, told) = Storefront::fails(data.path(), &["--listen", "0.0.0.0:0"], &[]).await;
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("WIX_CLIENT_ID"), "{told}");
    let (code, _) = Storefront::fails(data.path(), &[], &[("WIX_API_URL", "http://127.0.0.1:1")]).await;
    assert_eq!(code, Some(3));
}

#[tokio::test]
async fn a_member_signs_in_and_out_and_an_id_from_before_is_worth_nothing() {
    let data = tempfile::tempdir().unwrap();
    let shop = Storefront::start(data.path(), &[], &[]).await;
    let browser = Browser::new(&shop.url);
    browser.post("/cart/add", &[("product", MUG)]).await;
    let before = browser.clone_with_its_cookies();

    sign_in(&browser).await;
    let home = browser.get("/").await;
    assert_eq!((home.text("who").as_str(), home.text("cart-count").as_str()), ("member", "0"));
    browser.post("/cart/add", &[("product", MUG)]).await;
    browser.post("/cart/add", &[("product", MUG)]).await;
    assert_ne!(browser.session(), before.session());
    let planted = before.get("/api/cart").await;
    assert_eq!(planted.status, 409, "{planted:?}");

    assert_eq!(browser.post("/sign-out", &[]).await.status, 303);
    let home = browser.get("/").await;
    assert_eq!((home.text("who").as_str(), home.text("cart-count").as_str()), ("guest", "0"));

    sign_in(&browser).await;
    assert_eq!(browser.get("/api/cart").await.json()["count"], 2, "the member's cart");
    shop.stop(&browser).await;
}

/// By the login page of the sandbox.
async fn sign_in(browser: &Browser) {
    let to = browser.get("/sign-in").await.location.unwrap();
    let login = browser.get(&to).await;
    assert_eq!((login.status, login.count("id=\"sign-in\"")), (200, 1));
    let action = to.split("/_sandbox").next().unwrap().to_owned() + "/_sandbox/login";
    let hidden = |name: &str| login.between(&format!("name=\"{name}\" value=\""), "\"").replace("&amp;", "&");
    let form = [("redirect_uri", hidden("redirect_uri")), ("state", hidden("state")), ("name", "Ada".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let back = browser.post(&action, &form).await.location.unwrap();
    // Somebody else's link, or one that was followed before.
    let stranger = Browser::new(&back);
    assert_eq!(stranger.get(&back).await.status, 400);
    let signed_in = browser.get(&back).await;
    assert_eq!((signed_in.status, signed_in.location.as_deref()), (303, Some("/")), "{signed_in:?}");
    assert_eq!(browser.get(&back).await.status, 400, "a state is good once");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_told_on_a_page_and_the_cart_is_there_afterwards() {
    let (sandbox, data) = (sandbox().await, tempfile::tempdir().unwrap());
    let shop = Storefront::on(&sandbox, data.path(), &[]).await;
    let browser = Browser::new(&shop.url);
    browser.post("/cart/add", &[("product", MUG)]).await;

    sandbox.fault(Fault::on_token().status(503).always());
    assert_eq!(browser.get("/cart").await.text("cart-count"), "1", "the token in hand serves");
    sandbox.revoke_all_access().unwrap();
    let page = browser.get("/cart").await;
    assert_eq!((page.status, page.text("who").as_str()), (503, "guest"));
    assert!(page.body.contains("Your cart is safe") && page.headers.contains_key("retry-after"), "{page:?}");
    let told = browser.get("/api/cart").await;
    assert_eq!((told.status, told.json()["error"].is_string()), (503, true));
    assert_eq!(browser.get("/").await.status, 200, "the shop front stands");
    let newcomer = Browser::new(&shop.url);
    assert_eq!(newcomer.post("/cart/add", &[("product", MUG)]).await.status, 503);

    sandbox.clear_faults();
    let cart = browser.until(Duration::from_secs(20), "/api/cart", |answer| answer.status == 200).await;
    assert_eq!((&cart.json()["count"], sandbox.mints()), (&json!(1), 1));
    shop.stop(&browser).await;
}

#[tokio::test]
async fn what_makes_no_sense_gets_a_page_of_its_own() {
    let data = tempfile::tempdir().unwrap();
    let shop = Storefront::start(data.path(), &[], &[]).await;
    let browser = Browser::new(&shop.url);
    let statuses = [
        (browser.get("/nothing/here").await, 404),
        (browser.post("/cart/add", &[("product", "none")]).await, 404),
        (browser.post("/cart/add", &[]).await, 422),
        (browser.get("/cart/add").await, 405),
        (browser.get("/signed-in?code=a&state=b").await, 400),
        (browser.sent_by_another_site("/panel/restart").await, 403),
        (browser.sent_by_another_site("/cart/add").await, 422),
    ];
    for (page, status) in statuses {
        assert_eq!((page.status, page.count("id=\"panel\"")), (status, 1), "{page:?}");
    }
    browser.set_session("damaged");
    let page = browser.get("/cart").await;
    assert_eq!((page.status, page.count("id=\"start-over\"")), (400, 1), "{page:?}");
    assert_eq!(browser.post("/start-over", &[]).await.status, 303);
    assert_eq!(browser.get("/cart").await.status, 200);
    shop.stop(&browser).await;
}

#[tokio::test]
async fn events_come_as_they_happen_and_an_open_stream_does_not_keep_it_from_ending() {
    let data = tempfile::tempdir().unwrap();
    let shop = Storefront::start(data.path(), &[], &[]).await;
    let browser = Browser::new(&shop.url);
    browser.post("/cart/add", &[("product", MUG)]).await;
    let mut stream = browser.stream("/panel/events").await;
    stream.until("a new visitor: there was none yet").await;
    browser.post("/panel/expire", &[]).await;
    browser.get("/api/cart").await;
    stream.until("(1st renewal)").await;
    stream.until("\"generation\":1").await;
    // Until it is in the store, whoever asks for another renewal is given this one.
    let is_saved = |state: &Value| state["generation"] == 1 && state["saved"] == true;
    browser.until(Duration::from_secs(20), "/panel/state", |answer| is_saved(&answer.json())).await;
    browser.post("/panel/break", &[]).await;
    stream.until("the endpoint failed (status 503)").await;
    assert_eq!(browser.get("/api/cart").await.json()["count"], 1);
    browser.post("/panel/mend", &[]).await;
    stream.until("the token endpoint works again").await;
    shop.stop(&browser).await;
    stream.end().await;
}

#[tokio::test]
async fn two_instances_on_one_store_are_one_shop() {
    let data = tempfile::tempdir().unwrap();
    let one = Storefront::start(data.path(), &[], &[]).await;
    let two = Storefront::start(data.path(), &[], &[]).await;
    let browser = Browser::new(&one.url);
    let mut instances = BTreeSet::new();
    for round in 1..=4 {
        let url = if round % 2 == 0 { &one.url } else { &two.url };
        let answer = browser.post_json(&format!("{url}/api/cart/add"), &json!({ "product": MUG })).await.json();
        assert_eq!(answer["count"], round, "{answer}");
        instances.insert(answer["instance"].as_str().unwrap().to_owned());
    }
    assert_eq!(instances.len(), 2);
    one.stop(&browser).await;
    assert_eq!(browser.get(&format!("{}/cart", two.url)).await.text("cart-count"), "4");
    two.stop(&browser).await;
}

#[tokio::test]
async fn the_pages_own_scripts_get_the_access_token_and_never_the_refresh_token() {
    let (sandbox, data) = (sandbox().await, tempfile::tempdir().unwrap());
    let shop = Storefront::on(&sandbox, data.path(), &[]).await;
    let browser = Browser::new(&shop.url);
    browser.post("/cart/add", &[("product", MUG)]).await;
    let given = browser.hand_over("/wix-visitor/token").await;
    let identity = sandbox.identity_of(given["accessToken"]["value"].as_str().unwrap()).unwrap();
    assert_eq!(
        (identity, &given["refreshToken"]["value"]),
        (sandbox.identities().unwrap().first().cloned(), &json!(""))
    );
    assert_eq!(browser.post("/wix-visitor/token", &[]).await.status, 403);
    assert!(browser.get("/vendor/wix-visitor.js").await.body.contains("visitorOfServer"));
    shop.stop(&browser).await;
}
