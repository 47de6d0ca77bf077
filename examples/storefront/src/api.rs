//! The cart as JSON, for scripts; and whether the shop is ready, for whoever sends it shoppers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use wix_visitor::{Role, SiteVisitor};

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
    let health = shop.site.health().await;
    let ready = health.is_ready();
    let told = json!({
        "ready": ready,
        "instance": shop.instance(),
        "store": health.store.is_ok(),
        "endpoint": health.endpoint_paused_for.is_none(),
        "unsaved": health.unsaved,
    });
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(told)).into_response()
}
