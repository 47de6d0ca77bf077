//! The cart as JSON, for scripts; and whether the shop is ready, for whoever sends it shoppers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use wix_visitor::{Role, Secret, SiteVisitor, StoreKey};

use crate::cart::{self, Cart};
use crate::error::ShopError;
use crate::setup::Shop;
use crate::shopper::Shopper;

pub(crate) fn routes() -> Router<Arc<Shop>> {
    Router::new().route("/api/cart", get(show)).route("/api/cart/add", post(add))
}

/// Without a session.
pub(crate) fn health_route() -> Router<Arc<Shop>> {
    Router::new().route("/health", get(health))
}

async fn show(shopper: Shopper) -> Result<Json<Value>, ShopError> {
    let visitor = shopper.visitor().await?;
    let cart = cart::show(&visitor).await?;
    told(&shopper, &visitor, &cart).await
}

#[derive(Deserialize)]
struct Adding {
    product: String,
}

async fn add(shopper: Shopper, Json(adding): Json<Adding>) -> Result<Json<Value>, ShopError> {
    shopper.shop.catalogue.find(&adding.product).await?;
    let visitor = shopper.visitor().await?;
    let cart = cart::add(&visitor, &adding.product).await?;
    told(&shopper, &visitor, &cart).await
}

async fn told(shopper: &Shopper, visitor: &SiteVisitor, cart: &Cart) -> Result<Json<Value>, ShopError> {
    Ok(Json(json!({
        "who": who(visitor.tokens().await?.role()),
        "count": cart.count(),
        "lines": cart.lines,
        "instance": shopper.shop.instance(),
    })))
}

/// What a page calls a visitor.
pub(crate) fn who(role: Role) -> &'static str {
    if role == Role::Member { "member" } else { "guest" }
}

async fn health(State(shop): State<Arc<Shop>>) -> Response {
    // Any key will do: what is asked leaves every record as it is.
    let key = StoreKey::new(shop.site.issuer(), shop.site.client_id(), &Secret::new("health"));
    match shop.store.health(&key, 4096).await {
        Ok(()) => Json(json!({ "ready": true, "instance": shop.instance() })).into_response(),
        Err(error) => {
            tracing::error!(%error, "the store does not answer");
            let told = json!({ "ready": false, "instance": shop.instance(), "error": "the store does not answer" });
            (StatusCode::SERVICE_UNAVAILABLE, Json(told)).into_response()
        }
    }
}
