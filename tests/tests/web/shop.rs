//! A server to test with, and the instance behind it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{Route, get, post};
use tower::{Layer, Service};
use wix_visitor_core::{Policy, Role, Tokens, VisitorsBuilder};
use wix_visitor_testkit::{Rotation, TestClock};
use wix_visitor_tests::instance::{Instance, client_id};
use wix_visitor_web::{HandOver, KeyRing, SealedSessionLayer, Session, SessionError, SessionLayer, TakeOver};

/// One server of a shop.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) instance: Instance,
    pub(crate) app: Router,
}

type Site = State<Arc<Instance>>;

impl Shop {
    pub(crate) fn new() -> Self {
        Self::of(Instance::new(Rotation::Same))
    }

    pub(crate) fn with_policy(policy: Policy) -> Self {
        Self::of(Instance::with_policy(Rotation::Same, policy))
    }

    /// Another server on the same store.
    pub(crate) fn another(&self) -> Self {
        Self::of(self.instance.another())
    }

    /// Another server on the same store, on a machine with this clock.
    pub(crate) fn with_clock(&self, clock: TestClock) -> Self {
        Self::of(self.instance.another_with(clock))
    }

    fn of(instance: Instance) -> Self {
        let layer = SessionLayer::new(&instance.visitors);
        Self::with_layer(instance, layer)
    }

    /// A server without a store: a process of its own, that shares the ring and the endpoint with others.
    pub(crate) fn sealed(instance: &Instance, ring: &KeyRing) -> Self {
        let policy = instance.visitors.policy().clone();
        let clock = instance.clock.clone();
        let configure = |builder: VisitorsBuilder| builder.clock(clock).policy(policy);
        let layer = SealedSessionLayer::configured(client_id(), instance.endpoint.clone(), ring.clone(), configure);
        Self::with_layer(instance.clone(), layer.unwrap())
    }

    fn with_layer<L>(instance: Instance, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let app = Router::new()
            .route("/", get(|| async { Html("<!doctype html><p>a page") }))
            .route("/cached", get(cached))
            .route("/caching", get(caching))
            .route("/json", get(|| async { axum::response::Response::new("{}".to_owned()) }))
            .route("/who", get(who).post(who))
            .route("/sign-in", post(sign_in))
            .route("/sign-out", post(sign_out).get(sign_out))
            .route("/start-over", post(start_over))
            .route_service("/token", HandOver::new())
            .route_service("/pair", HandOver::new().with_the_refresh_token_of_visitors())
            .route_service("/take-over", TakeOver::new())
            // As it comes about where a part of a site has a layer, and the whole has one too.
            .layer(layer.clone())
            .layer(layer)
            .with_state(Arc::new(instance.clone()));
        Self { instance, app }
    }

    /// Tokens of a member who signed in at Wix, and who that is.
    pub(crate) fn member(&self) -> (u64, Tokens) {
        self.instance.sign_in(Role::Member)
    }
}

/// Whose token it is that the session's visitor would send.
async fn who(State(site): Site, session: Session) -> Result<String, SessionError> {
    let authorization = session.visitor().await?.authorization().await?;
    Ok(site.identity(&authorization).to_string())
}

/// Says of caches what the request wants said.
async fn caching(State(site): Site, headers: HeaderMap, session: Session) -> Result<Response, SessionError> {
    if headers.contains_key("x-use") {
        let authorization = session.visitor().await?.authorization().await?;
        site.identity(&authorization);
    }
    let mut response = Html("<!doctype html><p>a page").into_response();
    if headers.contains_key("x-not-modified") {
        response = StatusCode::NOT_MODIFIED.into_response();
    }
    if let Some(says) = headers.get("x-says") {
        response.headers_mut().insert("cache-control", says.clone());
    }
    Ok(response)
}

async fn cached(State(site): Site, headers: HeaderMap, session: Session) -> Result<impl IntoResponse, SessionError> {
    if headers.contains_key("x-use") {
        let authorization = session.visitor().await?.authorization().await?;
        site.identity(&authorization);
    }
    Ok((
        [("cache-control", HeaderValue::from_static("public, max-age=600"))],
        Html("<!doctype html><p>the same for all"),
    ))
}

async fn sign_in(State(site): Site, session: Session) -> Result<String, SessionError> {
    let (identity, tokens) = site.sign_in(Role::Member);
    session.sign_in(tokens).await?;
    Ok(identity.to_string())
}

async fn sign_out(session: Session) -> Result<(), SessionError> {
    session.sign_out().await
}

async fn start_over(session: Session) -> Result<(), SessionError> {
    session.start_over().await
}
