//! The shop in a browser that runs no scripts.

use wix_visitor_tests::wait::until_it;

use crate::browser::Browser;
use crate::scene::Scene;

#[tokio::test]
async fn the_shop_works_without_javascript() {
    let scene = Scene::new();
    let (shop, browser) = (scene.shop().await, Browser::without_javascript().await);
    browser.open(&shop, "/").await;
    assert_eq!((browser.count(".product").await, browser.count("img.stock").await), (6, 6));
    browser.buy(&shop, 0).await;
    browser.buy(&shop, 1).await;
    assert_eq!(browser.cart(&shop).await.1.len(), 2);
    browser.click("form.remove button").await;
    until_it("a line to be gone", async || browser.cart_now().await.is_some_and(|cart| cart.1.len() == 1)).await;
    scene.assert_one_visitor();

    browser.sign_in(&shop).await;
    browser.buy(&shop, 2).await;
    assert_eq!(browser.cart(&shop).await.0, "member");
    browser.click("form#sign-out button").await;
    until_it("the shop to greet a guest", async || browser.text_now("#who").await.as_deref() == Some("guest")).await;
    assert!(browser.cart(&shop).await.1.is_empty());
}
