//! The shop: carts, products and the rest of the API.

use crate::client::*;

#[tokio::test]
async fn a_cart_is_filled_changed_and_checked_out() {
    let sandbox = plain().await;
    let (access, _) = mint(&sandbox).await;
    let bearer = format!("Bearer {access}");
    assert_eq!(call(&sandbox, "GET", CART, &bearer, "").await.code(), "OWNED_CART_NOT_FOUND");

    let added = add_mugs(&sandbox, &access, 2).await;
    assert_eq!(added.status, 200);
    assert!(added.header("x-wix-consistent").is_some());
    let item = added.json()["cart"]["lineItems"][0].clone();
    assert_eq!(item["productName"]["original"], "Stoneware mug");
    assert_eq!(item["price"]["amount"], "24.00");

    let body = json!({ "lineItems": [{ "id": item["id"], "quantity": 5 }] }).to_string();
    let path = format!("{CART}/update-line-items-quantity");
    let updated = call(&sandbox, "POST", &path, &access, &body).await.json();
    assert_eq!(updated["cart"]["lineItems"][0]["quantity"], 5);
    assert_eq!(updated["cart"]["subtotal"]["amount"], "120.00");

    let body = json!({ "channelType": "WEB" }).to_string();
    let checkout = call(&sandbox, "POST", &format!("{CART}/create-checkout"), &access, &body).await;
    let body = json!({
        "ecomCheckout": { "checkoutId": checkout.json()["checkoutId"] },
        "callbacks": { "postFlowUrl": "http://localhost/thanks?a=b" },
    });
    let session = call(&sandbox, "POST", "/headless/v1/redirect-session", &access, &body.to_string()).await;
    let url = session.json()["redirectSession"]["fullUrl"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&sandbox.url()).unwrap();
    assert_eq!(ask(&sandbox, "GET", path, &[], "").await.status, 200);

    let body = json!({ "lineItemIds": [item["id"]] }).to_string();
    let path = format!("{CART}/remove-line-items");
    let removed = call(&sandbox, "POST", &path, &access, &body).await.json();
    assert_eq!(removed["cart"]["lineItems"], json!([]));
    assert_eq!(call(&sandbox, "DELETE", CART, &access, "").await.status, 200);
    assert_eq!(call(&sandbox, "DELETE", CART, &access, "").await.code(), "OWNED_CART_NOT_FOUND");
}

#[tokio::test]
async fn a_cart_survives_a_renewal_and_a_mint_has_none() {
    let sandbox = start(SandboxOptions::new().rotation(Rotation::New)).await;
    let (access, refresh) = mint(&sandbox).await;
    add_mugs(&sandbox, &access, 3).await;
    sandbox.advance(Duration::from_secs(15_000));
    let (renewed, _) = pair(&renew(&sandbox, &refresh).await);
    assert_eq!(mugs(&sandbox, &renewed).await, Some(3));
    let (stranger, _) = mint(&sandbox).await;
    assert_eq!(mugs(&sandbox, &stranger).await, None);
}

#[tokio::test]
async fn products_graphql_and_members_answer() {
    let sandbox = plain().await;
    let (access, _) = mint(&sandbox).await;
    let body = json!({ "query": { "cursorPaging": { "limit": 2 } } }).to_string();
    let products = call(&sandbox, "POST", "/stores/v3/products/query", &access, &body).await.json();
    assert_eq!(products["products"].as_array().unwrap().len(), 2);
    assert!(products["products"][0]["actualPriceRange"].is_object());
    let body = json!({ "query": "{ shop }", "variables": { "a": 1 } }).to_string();
    let graphql = call(&sandbox, "POST", "/graphql/alpha", &access, &body).await.json();
    assert_eq!(graphql["data"]["echo"]["variables"]["a"], 1);
    let my = "/members/v1/members/my";
    assert_eq!(call(&sandbox, "GET", my, &access, "").await.status, 403);
    let member = sandbox.member_tokens(CLIENT).unwrap();
    let answer = call(&sandbox, "GET", my, &member.access, "").await.json();
    assert_eq!(answer["member"]["id"].as_str(), Some(member.identity.as_str()));
    let nowhere = call(&sandbox, "GET", "/no/such/path", &access, "").await;
    assert_eq!((nowhere.status, nowhere.code().as_str()), (404, "NOT_FOUND"));
    let broken = call(&sandbox, "POST", "/stores/v3/products/query", &access, "{").await;
    assert_eq!(broken.status, 400);
}
