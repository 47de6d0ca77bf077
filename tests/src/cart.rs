//! A visitor's cart in the sandbox: what shows that it is still the same visitor.

use serde_json::{Value, json};
use wix_visitor::{Error, SiteVisitor};

const CART: &str = "/ecom/v1/carts/current";
const MUG: &str = "5a4bd0c1-0001-4000-8000-000000000001";

/// Puts something into it; returns its id.
///
/// # Errors
/// Those of the call.
pub async fn fill(visitor: &SiteVisitor) -> Result<Option<String>, Error> {
    let line = json!({ "catalogReference": { "appId": "stores", "catalogItemId": MUG }, "quantity": 1 });
    let request = visitor.post(format!("{CART}/add-to-cart")).json(&json!({ "lineItems": [line] }));
    Ok(id(&request.send().await?.json().await?))
}

/// Its id, if there is one.
///
/// # Errors
/// Those of the call.
pub async fn look(visitor: &SiteVisitor) -> Result<Option<String>, Error> {
    Ok(id(&visitor.get(CART).send().await?.json().await?))
}

fn id(answer: &Value) -> Option<String> {
    answer["cart"]["id"].as_str().map(str::to_owned)
}
