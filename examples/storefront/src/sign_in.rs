//! Signing in and out. How a member signs in is the site's own business; what comes of it, tokens, goes to the session.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::header::{COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use wix_visitor::{AccessToken, RefreshToken, Role, Secret, Timestamp, Tokens};

use crate::args::Failure;
use crate::error::ShopError;
use crate::pages;
use crate::setup::Shop;
use crate::shopper::Shopper;

/// What a sign-in was begun with, in the browser that began it.
const STATE: &str = "sign-in-state";

pub(crate) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/sign-in", get(sign_in))
        .route("/signed-in", get(signed_in))
        .route("/sign-out", post(sign_out))
        .route("/start-over", post(start_over))
}

/// The login page of a sandbox. Wix has none that would suit every site.
#[derive(Debug)]
pub(crate) struct Login {
    client: reqwest::Client,
    page: Url,
    tokens: Url,
    client_id: String,
}

impl Login {
    /// The login of the API at this address, if that is a sandbox: one is on this machine.
    pub(crate) fn at(api_url: &str, client_id: &str) -> Result<Option<Self>, Failure> {
        let base = Url::parse(api_url)?;
        if !base.host_str().is_some_and(is_loopback) {
            return Ok(None);
        }
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let (page, tokens) = (base.join("/_sandbox/login")?, base.join("/oauth2/token")?);
        Ok(Some(Self { client, page, tokens, client_id: client_id.to_owned() }))
    }

    /// A member's tokens for the code that the login page sent along.
    async fn redeem(&self, code: &str, now: Timestamp) -> Result<Tokens, ShopError> {
        const FAILED: ShopError = ShopError::SignIn("Signing in did not work. Please try again.");
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            expires_in: u64,
            refresh_token: String,
        }
        let body = json!({ "clientId": self.client_id, "grantType": "authorization_code", "code": code });
        let reply = self.client.post(self.tokens.clone()).json(&body).send().await.map_err(|_| FAILED)?;
        if reply.status() != StatusCode::OK {
            return Err(FAILED);
        }
        let granted: Granted = reply.json().await.map_err(|_| FAILED)?;
        Ok(Tokens::new(
            Some(AccessToken::new(Secret::new(granted.access_token), now + Duration::from_secs(granted.expires_in))),
            Some(RefreshToken::new(Secret::new(granted.refresh_token), Role::Member)),
        ))
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Off to the login page, with a number that only this browser knows.
async fn sign_in(shopper: Shopper, headers: HeaderMap) -> Result<Response, ShopError> {
    let here = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .and_then(|host| Url::parse(&format!("http://{host}/signed-in")).ok());
    // The sandbox sends nobody to another machine.
    let here = here.filter(|here| here.host_str().is_some_and(is_loopback));
    let (Some(login), Some(here)) = (&shopper.shop.login, here) else {
        return Ok(pages::no_login(&shopper).await.into_response());
    };
    let state = random().map_err(|_| ShopError::SignIn("Signing in does not work just now."))?;
    let mut to = login.page.clone();
    to.query_pairs_mut().append_pair("redirect_uri", here.as_str()).append_pair("state", &state);
    let cookie = format!("{STATE}={state}; Path=/; Max-Age=600; HttpOnly; SameSite=Lax");
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(to.as_str())).into_response())
}

#[derive(Deserialize)]
struct SignedIn {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

/// Back from there: the tokens go to the session, which has a new id from now on.
async fn signed_in(shopper: Shopper, headers: HeaderMap, Query(query): Query<SignedIn>) -> Result<Response, ShopError> {
    let login = shopper.shop.login.as_ref().ok_or(ShopError::NotFound)?;
    if query.state.is_empty() || cookie(&headers, STATE) != Some(&query.state) {
        // A link that somebody else made would sign this browser in as somebody else.
        return Err(ShopError::SignIn(
            "This sign-in was not begun in this browser, or too long ago. Please try again.",
        ));
    }
    let tokens = login.redeem(&query.code, shopper.shop.site.now()).await?;
    shopper.session.sign_in(tokens).await?;
    let cookie = format!("{STATE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to("/")).into_response())
}

async fn sign_out(shopper: Shopper) -> Result<Redirect, ShopError> {
    shopper.session.sign_out().await?;
    Ok(Redirect::to("/"))
}

/// For a browser whose cookie is damaged: a new session, because the shopper asks for it.
async fn start_over(shopper: Shopper) -> Result<Redirect, ShopError> {
    shopper.session.start_over().await?;
    Ok(Redirect::to("/"))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
