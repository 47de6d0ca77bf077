//! The first program: a visitor looks at the shop, puts something into the cart, and is still the same visitor next time.
//!
//! ```text
//! cargo run -p quickstart -- CLIENT_ID [STORE_URL]
//! ```
//!
//! The client id is that of your site's OAuth app; the store is `sqlite:quickstart.db` unless you name another. Both may come
//! by the environment, as `WIX_CLIENT_ID` and `WIX_VISITOR_STORE`. Without a site, start a small Wix on this machine with
//! `cargo run -p wix-visitor-cli -- sandbox`, and name it in `WIX_API_URL`, with any GUID for a client id:
//!
//! ```text
//! WIX_API_URL=http://127.0.0.1:4747 cargo run -p quickstart -- 00000000-0000-0000-0000-000000000000
//! ```
//!
//! Run it twice: the cart of the first time is there, and nobody was minted.

use std::env;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};
use wix_visitor::{ApiRequest, EventKind, HttpOptions, Site};

/// Under which app id the products of Wix Stores are put into a cart.
const WIX_STORES: &str = "215238eb-22a5-4c36-9e7b-e7c08025e04e";
const CART: &str = "/ecom/v1/carts/current";

#[tokio::main]
async fn main() -> ExitCode {
    let result = async { run(&Settings::from_environment()?, &mut std::io::stdout()).await };
    match result.await {
        Ok(()) => ExitCode::SUCCESS,
        // `Display` says what failed and what to do, and holds no token.
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the program is told.
pub(crate) struct Settings {
    pub(crate) client_id: String,
    pub(crate) store_url: String,
    pub(crate) api_url: Option<String>,
}

impl Settings {
    fn from_environment() -> Result<Self, Box<dyn Error>> {
        let mut arguments = env::args().skip(1);
        let mut told = |variable: &str| arguments.next().or_else(|| env::var(variable).ok());
        Ok(Self {
            client_id: told("WIX_CLIENT_ID")
                .ok_or("which site? give its client id: quickstart CLIENT_ID [STORE_URL]")?,
            store_url: told("WIX_VISITOR_STORE").unwrap_or_else(|| "sqlite:quickstart.db".to_owned()),
            api_url: env::var("WIX_API_URL").ok(),
        })
    }
}

/// Connects, shops, and ends in good order.
pub(crate) async fn run(settings: &Settings, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    // `wix_visitor::connect(client_id, store_url)` is the same for who needs no other address.
    let mut http = HttpOptions::new();
    if let Some(url) = &settings.api_url {
        http = http.base_url(url);
    }
    let site = wix_visitor::builder(&settings.client_id).store_url(&settings.store_url).http(http).connect().await?;
    let mut events = site.events();

    let done = shop(&site, out).await;

    // Waits for what is under way and not saved yet. So it comes after a failure too, before `main` returns.
    site.shutdown().await?;

    while let Some(event) = events.try_recv() {
        let what = match event.kind {
            EventKind::Minted => "minted: there was no visitor yet".to_owned(),
            EventKind::Renewed { generation } => format!("renewed: the same visitor, generation {generation}"),
            EventKind::VisitorLost(lost) => format!("lost: {lost}"),
            EventKind::RenewalFailed(error) => format!("unharmed, but a grant failed: {error}"),
            other => format!("{other:?}"),
        };
        // The name is a hash of the visitor key: the key itself is a secret where it is a session's id.
        writeln!(out, "visitor {}: {what}", event.visitor)?;
    }
    done
}

async fn shop(site: &Site, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    // On a desktop there is one visitor. On a server this is the id in the session cookie. Nothing is sent before a token is
    // needed.
    let visitor = site.visitor("default");

    // The first call that needs a token mints the visitor, or takes it from the store, or renews it: whatever is needed.
    let query = json!({ "query": { "cursorPaging": { "limit": 3 } } });
    let found = answer(visitor.post("/stores/v3/products/query").json(&query)).await?;
    let products = found["products"].as_array().map_or(&[][..], Vec::as_slice);
    writeln!(out, "products:")?;
    for product in products {
        writeln!(out, "  {}", text(&product["name"]))?;
    }

    // A product with variants also wants to know which one: "options": {"variantId": …} in the reference.
    let first = products.first().ok_or("the shop has no products yet: add one, and run this again")?;
    let reference = json!({ "appId": WIX_STORES, "catalogItemId": first["id"] });
    let lines = json!({ "lineItems": [{ "catalogReference": reference, "quantity": 1 }] });
    answer(visitor.post(format!("{CART}/add-to-cart")).json(&lines)).await?;

    let cart = answer(visitor.get(CART)).await?;
    writeln!(out, "the cart:")?;
    for line in cart["cart"]["lineItems"].as_array().into_iter().flatten() {
        writeln!(out, "  {} x {}", line["quantity"], text(&line["productName"]["original"]))?;
    }
    Ok(())
}

/// The answer to a call, if it is a good one. That a call was answered with an error is not an error of `send`.
async fn answer(request: ApiRequest) -> Result<Value, Box<dyn Error>> {
    let reply = request.send().await?;
    let status = reply.status();
    if !status.is_success() {
        return Err(format!("the API answered {status}: {}", reply.text().await?).into());
    }
    Ok(reply.json().await?)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("(no name)")
}
