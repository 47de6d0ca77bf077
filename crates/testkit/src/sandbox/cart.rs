//! A visitor's cart, and the calls that change it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{catalog, reply::Reply};
use crate::random;

/// The most of one thing that a cart takes, so that no price overflows.
const MOST: u64 = 100_000;

/// The most lines in a cart: each is compared with all others when it is added.
const MOST_LINES: usize = 100;

/// What one identity has chosen so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cart {
    id: String,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    id: String,
    quantity: u64,
    reference: Value,
    name: String,
    cents: u64,
}

impl Cart {
    pub(super) fn new() -> Self {
        Self { id: random::guid(), items: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// `add-to-cart`: all of the line items or none; the same product once more adds to its line.
    pub(super) fn add(&mut self, body: &Value) -> Result<(), Reply> {
        let mut items = self.items.clone();
        for line in array(body, "lineItems")? {
            if items.len() > MOST_LINES {
                break;
            }
            let reference = &line["catalogReference"];
            let Some(product) = reference["catalogItemId"].as_str().and_then(catalog::find) else {
                return Err(Reply::application_error(
                    400,
                    "INVALID_CATALOG_REFERENCE",
                    "lineItems: no product has this catalogReference.catalogItemId",
                ));
            };
            let quantity = match &line["quantity"] {
                Value::Null => 1,
                given => quantity(given, 1)?,
            };
            match items.iter_mut().find(|item| item.reference == *reference) {
                Some(item) => item.quantity = item.quantity.saturating_add(quantity).min(MOST),
                None => items.push(Item {
                    id: random::guid(),
                    quantity,
                    reference: reference.clone(),
                    name: product.name.to_owned(),
                    cents: product.cents,
                }),
            }
        }
        if items.len() > MOST_LINES {
            let why = format!("a cart takes {MOST_LINES} line items at the most");
            return Err(Reply::validation_error(400, &why, "lineItems", "MAX_SIZE"));
        }
        self.items = items;
        Ok(())
    }

    /// `update-line-items-quantity`: 0 takes the line out.
    pub(super) fn update(&mut self, body: &Value) -> Result<(), Reply> {
        let mut items = self.items.clone();
        for line in array(body, "lineItems")? {
            let wanted = quantity(&line["quantity"], 0)?;
            let item = line["id"]
                .as_str()
                .and_then(|id| items.iter_mut().find(|item| item.id == id))
                .ok_or_else(no_such_line)?;
            item.quantity = wanted;
        }
        items.retain(|item| item.quantity > 0);
        self.items = items;
        Ok(())
    }

    /// `remove-line-items`
    pub(super) fn remove(&mut self, body: &Value) -> Result<(), Reply> {
        let mut items = self.items.clone();
        for id in array(body, "lineItemIds")? {
            let position =
                items.iter().position(|item| Some(item.id.as_str()) == id.as_str()).ok_or_else(no_such_line)?;
            items.remove(position);
        }
        self.items = items;
        Ok(())
    }

    /// The body of every answer about a cart; `owner` is its `buyerInfo`.
    pub(super) fn show(&self, owner: &Value) -> Value {
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|item| {
                json!({
                    "id": item.id,
                    "quantity": item.quantity,
                    "catalogReference": item.reference,
                    "productName": { "original": item.name },
                    "price": catalog::money(item.cents),
                    "fullPrice": catalog::money(item.cents),
                    "lineItemPrice": catalog::money(item.cents.saturating_mul(item.quantity)),
                })
            })
            .collect();
        // A state file may hold anything.
        let prices = self.items.iter().map(|item| item.cents.saturating_mul(item.quantity));
        let total = prices.fold(0, u64::saturating_add);
        json!({
            "cart": {
                "id": self.id,
                "buyerInfo": owner,
                "currency": catalog::CURRENCY,
                "lineItems": items,
                "subtotal": catalog::money(total),
            }
        })
    }
}

fn array<'a>(body: &'a Value, field: &str) -> Result<&'a Vec<Value>, Reply> {
    body[field].as_array().filter(|list| !list.is_empty()).ok_or_else(|| {
        Reply::validation_error(400, &format!("{field} must be a list that is not empty"), field, "MIN_SIZE")
    })
}

fn quantity(given: &Value, least: u64) -> Result<u64, Reply> {
    given.as_u64().filter(|quantity| (least..=MOST).contains(quantity)).ok_or_else(|| {
        Reply::validation_error(
            400,
            &format!("quantity must be a whole number from {least} to {MOST}"),
            "quantity",
            "RANGE",
        )
    })
}

fn no_such_line() -> Reply {
    Reply::application_error(404, "LINE_ITEM_NOT_FOUND", "the cart has no such line item")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mugs(quantity: u64) -> Value {
        json!({ "lineItems": [
            { "catalogReference": { "appId": "a", "catalogItemId": catalog::PRODUCTS[0].id }, "quantity": quantity }
        ] })
    }

    #[test]
    fn the_same_product_once_more_adds_to_its_line() {
        let mut cart = Cart::new();
        assert!(cart.add(&mugs(1)).is_ok());
        assert!(cart.add(&mugs(2)).is_ok());
        let shown = cart.show(&Value::Null);
        assert_eq!(shown["cart"]["lineItems"].as_array().unwrap().len(), 1);
        assert_eq!(shown["cart"]["lineItems"][0]["quantity"], 3);
        assert_eq!(shown["cart"]["subtotal"]["amount"], "72.00");
    }

    #[test]
    fn a_call_that_is_refused_changes_nothing() {
        let mut cart = Cart::new();
        assert!(cart.add(&mugs(1)).is_ok());
        let id = cart.items[0].id.clone();
        let body = json!({ "lineItems": [{ "id": id, "quantity": 5 }, { "id": "none", "quantity": 5 }] });
        assert!(cart.update(&body).is_err());
        assert_eq!(cart.items[0].quantity, 1);
    }

    #[test]
    fn quantity_zero_takes_a_line_out() {
        let mut cart = Cart::new();
        assert!(cart.add(&mugs(1)).is_ok());
        let body = json!({ "lineItems": [{ "id": cart.items[0].id, "quantity": 0 }] });
        assert!(cart.update(&body).is_ok());
        assert!(cart.is_empty());
    }
}
