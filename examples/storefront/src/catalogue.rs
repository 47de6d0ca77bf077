//! What is for sale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use wix_visitor::{Site, SiteVisitor};

use crate::cart::answer;
use crate::error::ShopError;

const QUERY: &str = "/stores/v3/products/query";
/// How many products the shop shows.
const SHOWN: usize = 6;
/// For how long the products of a site are shown before it is asked again.
const FRESH: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) price: String,
    pub(crate) words: &'static str,
    /// SVG.
    pub(crate) picture: &'static str,
}

/// The products, which are the same for all shoppers.
#[derive(Debug)]
pub(crate) enum Catalogue {
    /// Those of the sandbox are known, so that a page costs no token: who only looks at it never becomes a visitor.
    Known(Arc<[Product]>),
    /// A site is asked, by the shop as a visitor of its own, for the same reason.
    Asked { shop: Box<SiteVisitor>, last: Mutex<Option<(Instant, Arc<[Product]>)>> },
}

const MUG: &str = include_str!("../assets/pictures/mug.svg");
const CUP: &str = include_str!("../assets/pictures/cup.svg");
const TOWEL: &str = include_str!("../assets/pictures/towel.svg");
const BOARD: &str = include_str!("../assets/pictures/board.svg");
const TEAPOT: &str = include_str!("../assets/pictures/teapot.svg");
const CANDLE: &str = include_str!("../assets/pictures/candle.svg");
const PICTURES: [&str; SHOWN] = [MUG, CUP, TOWEL, BOARD, TEAPOT, CANDLE];

impl Catalogue {
    pub(crate) fn sandbox() -> Self {
        let product = |number: u8, name: &str, price: &str, words, picture| Product {
            id: format!("5a4bd0c1-000{number}-4000-8000-00000000000{number}"),
            name: name.to_owned(),
            price: price.to_owned(),
            words,
            picture,
        };
        Self::Known(Arc::new([
            product(1, "Stoneware mug", "€24.00", "Thrown by hand, glazed in oat.", MUG),
            product(2, "Porcelain espresso cup", "€18.50", "Thin as a shell, with its saucer.", CUP),
            product(3, "Linen tea towel", "€12.90", "Gets softer, never thinner.", TOWEL),
            product(4, "Oak chopping board", "€49.00", "One plank, oiled twice.", BOARD),
            product(5, "Glass teapot", "€39.95", "So that you see the tea.", TEAPOT),
            product(6, "Beeswax candle", "€7.50", "Burns for twelve evenings.", CANDLE),
        ]))
    }

    pub(crate) fn of(site: &Site) -> Self {
        // Not a session's id: those are longer.
        Self::Asked { shop: Box::new(site.visitor("shop-front")), last: Mutex::new(None) }
    }

    pub(crate) async fn products(&self) -> Result<Arc<[Product]>, ShopError> {
        let (shop, last) = match self {
            Self::Known(products) => return Ok(Arc::clone(products)),
            Self::Asked { shop, last } => (shop, last),
        };
        let mut last = last.lock().await;
        if let Some((at, products)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(products));
        }
        let query = json!({ "query": { "cursorPaging": { "limit": SHOWN } } });
        let products: Arc<[Product]> = match (answer(shop.post(QUERY).json(&query)).await, &*last) {
            (Ok(found), _) => read(&found.unwrap_or_default()).into(),
            // Yesterday's are better than none.
            (Err(_), Some((_, products))) => Arc::clone(products),
            (Err(error), None) => return Err(error),
        };
        *last = Some((Instant::now(), Arc::clone(&products)));
        Ok(products)
    }

    /// A product that is for sale here.
    pub(crate) async fn find(&self, id: &str) -> Result<Product, ShopError> {
        self.products().await?.iter().find(|product| product.id == id).cloned().ok_or(ShopError::NotFound)
    }

    /// Asked as this visitor, since a price or a stock may be for some and not for others.
    pub(crate) async fn in_stock(&self, visitor: &SiteVisitor, id: &str) -> Result<bool, ShopError> {
        self.find(id).await?;
        let query = json!({ "query": { "filter": { "id": id }, "cursorPaging": { "limit": 100 } } });
        let found = answer(visitor.post(QUERY).json(&query)).await?.unwrap_or_default();
        let found = found["products"].as_array().into_iter().flatten().find(|product| product["id"] == id).cloned();
        Ok(found.is_some_and(|product| product["inventory"]["availabilityStatus"] != "OUT_OF_STOCK"))
    }
}

fn read(found: &Value) -> Vec<Product> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let products = found["products"].as_array().into_iter().flatten().take(SHOWN);
    products
        .zip(PICTURES)
        .map(|(product, picture)| {
            let price = &product["actualPriceRange"]["minValue"];
            let price = [&price["formattedAmount"], &price["amount"]].into_iter().find(|price| price.is_string());
            Product {
                id: text(&product["id"]),
                name: text(&product["name"]),
                price: price.map(text).unwrap_or_default(),
                words: "",
                picture,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wix_visitor::{HttpOptions, MemoryStore};
    use wix_visitor_testkit::sandbox::{Sandbox, SandboxOptions};

    #[tokio::test]
    async fn what_is_known_of_the_sandbox_is_what_it_answers_and_it_is_asked_once() {
        let sandbox = Sandbox::start(SandboxOptions::new()).await.unwrap();
        let site = wix_visitor::builder("00000000-0000-0000-0000-000000000000")
            .store(MemoryStore::new())
            .http(HttpOptions::new().base_url(sandbox.url()))
            .connect()
            .await
            .unwrap();
        let known = Catalogue::sandbox().products().await.unwrap();
        let asked = Catalogue::of(&site);
        for (known, asked) in known.iter().zip(asked.products().await.unwrap().iter()) {
            assert_eq!((&known.id, &known.name, &known.price), (&asked.id, &asked.name, &asked.price));
        }
        asked.find(&known[5].id).await.unwrap();
        assert_eq!(sandbox.api_calls(), 1);
        assert!(asked.in_stock(&site.visitor("a"), &known[5].id).await.unwrap());
        assert!(matches!(asked.find("none").await, Err(ShopError::NotFound)));
        site.shutdown().await.unwrap();
    }
}
