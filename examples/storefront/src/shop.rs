//! The shop: its routes, and what they do. This is what a shop of your own looks like.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::{Form, Path};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;
use wix_visitor::web::{HandOver, SessionLayer, TakeOver};

use crate::cart;
use crate::error::{self, ShopError};
use crate::setup::Shop;
use crate::shopper::Shopper;
use crate::{api, pages, panel, sign_in, vendor};

/// Sessions take one line: the layer gives each request its `Session`, out of a cookie, and each response what the browser has to
/// know of it.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    let sessions = SessionLayer::new(&shop.site).plain_on_loopback();
    Router::new()
        .route("/", get(home))
        .route("/cart", get(show_cart))
        .route("/cart/add", post(add))
        .route("/cart/remove", post(remove))
        .route("/stock/{picture}", get(stock))
        .merge(sign_in::routes())
        .merge(panel::routes())
        .merge(api::routes())
        // The page's own scripts may act as the visitor, and bring the visitor that they had before.
        .route_service("/wix-visitor/token", HandOver::new())
        .route_service("/wix-visitor/take-over", TakeOver::new())
        .fallback(async || ShopError::NotFound)
        .method_not_allowed_fallback(async || ShopError::NotUnderstood(StatusCode::METHOD_NOT_ALLOWED))
        .layer(from_fn_with_state(Arc::clone(&shop), error::show))
        .layer(sessions)
        .merge(vendor::routes())
        .merge(api::health_route())
        .layer(map_response_with_state(Arc::clone(&shop), guard))
        .with_state(shop)
}

async fn home(shopper: Shopper) -> Result<Markup, ShopError> {
    let products = shopper.shop.catalogue.products().await?;
    // The shop front stands also while the cart cannot be asked for.
    let count = async { Ok::<_, ShopError>(cart::peek(&shopper.visitor().await?).await?.count()) }.await.ok();
    Ok(pages::home(&shopper, &products, count).await)
}

async fn show_cart(shopper: Shopper) -> Result<Markup, ShopError> {
    let cart = cart::peek(&shopper.visitor().await?).await?;
    Ok(pages::cart(&shopper, &cart).await)
}

#[derive(Deserialize)]
struct Adding {
    product: String,
}

async fn add(shopper: Shopper, Form(form): Form<Adding>) -> Result<Redirect, ShopError> {
    shopper.shop.catalogue.find(&form.product).await?;
    cart::add(&shopper.visitor().await?, &form.product).await?;
    Ok(Redirect::to("/cart"))
}

#[derive(Deserialize)]
struct Removing {
    line: String,
}

async fn remove(shopper: Shopper, Form(form): Form<Removing>) -> Result<Redirect, ShopError> {
    cart::remove(&shopper.visitor().await?, &form.line).await?;
    Ok(Redirect::to("/cart"))
}

/// A badge beside a product. Each is a request of its own that needs a token, and the browser sends six at once with the very first
/// page: they share one visitor, since that page brought the cookie.
async fn stock(shopper: Shopper, Path(picture): Path<String>) -> Result<Response, ShopError> {
    let product = picture.strip_suffix(".svg").ok_or(ShopError::NotFound)?;
    let there = shopper.shop.catalogue.in_stock(&shopper.visitor().await?, product).await?;
    Ok(([(CONTENT_TYPE, "image/svg+xml")], pages::badge(there)).into_response())
}

/// What every response says: nothing comes from elsewhere, and nobody frames us.
async fn guard(State(shop): State<Arc<Shop>>, mut response: Response) -> Response {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self' {}; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        shop.api_url
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
