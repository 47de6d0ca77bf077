//! The goods of the sandbox's shop. All invented.

use serde_json::{Value, json};

use super::reply::Reply;

pub(super) const CURRENCY: &str = "EUR";

/// What is asked for when a query names no limit, and the most that it may name.
const PAGE: u64 = 100;

pub(super) struct Product {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) slug: &'static str,
    pub(super) cents: u64,
}

pub(super) const PRODUCTS: &[Product] = &[
    product("5a4bd0c1-0001-4000-8000-000000000001", "Stoneware mug", "stoneware-mug", 2400),
    product("5a4bd0c1-0002-4000-8000-000000000002", "Porcelain espresso cup", "porcelain-espresso-cup", 1850),
    product("5a4bd0c1-0003-4000-8000-000000000003", "Linen tea towel", "linen-tea-towel", 1290),
    product("5a4bd0c1-0004-4000-8000-000000000004", "Oak chopping board", "oak-chopping-board", 4900),
    product("5a4bd0c1-0005-4000-8000-000000000005", "Glass teapot", "glass-teapot", 3995),
    product("5a4bd0c1-0006-4000-8000-000000000006", "Beeswax candle", "beeswax-candle", 750),
    product("5a4bd0c1-0007-4000-8000-000000000007", "Wool blanket", "wool-blanket", 8900),
    product("5a4bd0c1-0008-4000-8000-000000000008", "Enamel jug", "enamel-jug", 3100),
];

const fn product(id: &'static str, name: &'static str, slug: &'static str, cents: u64) -> Product {
    Product { id, name, slug, cents }
}

pub(super) fn find(id: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id == id)
}

/// An amount as Wix writes it: a string with two decimals, and one for people.
pub(super) fn money(cents: u64) -> Value {
    let amount = format!("{}.{:02}", cents / 100, cents % 100);
    json!({ "formattedAmount": format!("€{amount}"), "amount": amount })
}

/// `POST /stores/v3/products/query`. A cursor is the place to go on from.
pub(super) fn query(body: &Value) -> Reply {
    let paging = &body["query"]["cursorPaging"];
    let limit = match &paging["limit"] {
        Value::Null => PAGE,
        given => match given.as_u64().filter(|limit| *limit <= PAGE) {
            Some(limit) => limit,
            None => {
                return Reply::validation_error(
                    400,
                    &format!("query.cursorPaging.limit must be a whole number up to {PAGE}"),
                    "query.cursorPaging.limit",
                    "MAX",
                );
            }
        },
    };
    let start = match &paging["cursor"] {
        Value::Null => 0,
        given => match given.as_str().and_then(|cursor| cursor.parse::<usize>().ok()) {
            Some(start) => start.min(PRODUCTS.len()),
            None => {
                return Reply::application_error(400, "INVALID_CURSOR", "no such cursor");
            }
        },
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page: Vec<Value> = PRODUCTS[start..].iter().take(limit).map(show).collect();
    let end = start + page.len();
    let more = end < PRODUCTS.len();
    let cursors = if more { json!({ "next": end.to_string() }) } else { json!({}) };
    Reply::json(
        200,
        &json!({
            "pagingMetadata": { "count": page.len(), "cursors": cursors, "hasNext": more },
            "products": page,
        }),
    )
}

fn show(product: &Product) -> Value {
    json!({
        "id": product.id,
        "name": product.name,
        "slug": product.slug,
        "visible": true,
        "currency": CURRENCY,
        "actualPriceRange": {
            "minValue": money(product.cents),
            "maxValue": money(product.cents),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &Value) -> Value {
        serde_json::from_slice(&query(body).body).unwrap()
    }

    #[test]
    fn the_limit_is_honoured_and_the_cursor_goes_on_from_there() {
        let first = asked(&json!({ "query": { "cursorPaging": { "limit": 5 } } }));
        assert_eq!(first["products"].as_array().unwrap().len(), 5);
        assert_eq!(first["pagingMetadata"]["hasNext"], true);
        let cursor = &first["pagingMetadata"]["cursors"]["next"];
        let rest = asked(&json!({ "query": { "cursorPaging": { "cursor": cursor } } }));
        assert_eq!(rest["products"].as_array().unwrap().len(), PRODUCTS.len() - 5);
        assert_eq!(rest["pagingMetadata"]["hasNext"], false);
    }

    #[test]
    fn a_limit_that_is_no_number_is_refused() {
        assert_eq!(query(&json!({ "query": { "cursorPaging": { "limit": "x" } } })).status, 400);
        assert_eq!(query(&json!({ "query": { "cursorPaging": { "limit": 101 } } })).status, 400);
    }
}
