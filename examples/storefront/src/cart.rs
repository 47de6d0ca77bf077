//! A visitor's cart: the calls of Wix's e-commerce API, and what a shop shows of their answers.

use serde::Serialize;
use serde_json::{Value, json};
use wix_visitor::{ApiRequest, SiteVisitor, StatusCode, Tokens};

use crate::error::ShopError;

const CART: &str = "/ecom/v1/carts/current";
/// Under which app id the products of Wix Stores are put into a cart.
const WIX_STORES: &str = "215238eb-22a5-4c36-9e7b-e7c08025e04e";

#[derive(Debug, Default)]
pub(crate) struct Cart {
    pub(crate) lines: Vec<Line>,
    /// For people, with its currency.
    pub(crate) total: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Line {
    #[serde(skip)]
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) product: String,
    #[serde(skip)]
    pub(crate) price: String,
    pub(crate) name: String,
    pub(crate) quantity: u64,
}

impl Cart {
    /// How many things are in it.
    pub(crate) fn count(&self) -> u64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    fn read(answer: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = answer["cart"]["lineItems"].as_array().into_iter().flatten();
        let lines = lines.map(|line| Line {
            id: text(&line["id"]),
            product: text(&line["catalogReference"]["catalogItemId"]),
            price: text(&line["lineItemPrice"]["formattedAmount"]),
            name: text(&line["productName"]["original"]),
            quantity: line["quantity"].as_u64().unwrap_or(0),
        });
        Self { lines: lines.collect(), total: text(&answer["cart"]["subtotal"]["formattedAmount"]) }
    }
}

/// The visitor's cart. Who has none yet has an empty one.
pub(crate) async fn show(visitor: &SiteVisitor) -> Result<Cart, ShopError> {
    Ok(answer(visitor.get(CART)).await?.map_or_else(Cart::default, |answer| Cart::read(&answer)))
}

/// The same for a page: who has no tokens yet has no cart either, and none are minted to hear that. So a crawler costs nothing.
pub(crate) async fn peek(visitor: &SiteVisitor) -> Result<Cart, ShopError> {
    if visitor.tokens().await? == Tokens::default() { Ok(Cart::default()) } else { show(visitor).await }
}

/// Puts one of a product into the cart.
pub(crate) async fn add(visitor: &SiteVisitor, product: &str) -> Result<Cart, ShopError> {
    let reference = json!({ "appId": WIX_STORES, "catalogItemId": product });
    let lines = json!({ "lineItems": [{ "catalogReference": reference, "quantity": 1 }] });
    let answer = answer(visitor.post(format!("{CART}/add-to-cart")).json(&lines)).await?;
    answer.map(|answer| Cart::read(&answer)).ok_or(ShopError::NotFound)
}

/// Takes a line out of the cart. That it is not there any more is as well.
pub(crate) async fn remove(visitor: &SiteVisitor, line: &str) -> Result<(), ShopError> {
    let lines = json!({ "lineItemIds": [line] });
    answer(visitor.post(format!("{CART}/remove-line-items")).json(&lines)).await.map(drop)
}

/// The answer to a call, or `None` where there is no such thing. Any other error is an error: never an empty cart.
pub(crate) async fn answer(request: ApiRequest) -> Result<Option<Value>, ShopError> {
    let reply = request.send().await?;
    match reply.status() {
        status if status.is_success() => Ok(Some(reply.json().await?)),
        StatusCode::NOT_FOUND => Ok(None),
        status => {
            let request_id = reply.request_id().map(str::to_owned);
            Err(ShopError::Refused { status, request_id })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_is_counted_by_its_things_and_not_by_its_lines() {
        let cart = Cart::read(&json!({ "cart": { "lineItems": [
            { "id": "a", "quantity": 2, "productName": { "original": "Mug" }, "lineItemPrice": { "formattedAmount": "€2.00" } },
            { "id": "b", "quantity": 1 },
        ] } }));
        assert_eq!((cart.count(), cart.lines[0].name.as_str(), cart.lines[0].price.as_str()), (3, "Mug", "€2.00"));
    }
}
