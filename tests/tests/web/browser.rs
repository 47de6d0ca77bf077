//! A browser, as far as cookies go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::shop::Shop;

/// The host under which every shop is addressed.
pub(crate) const HOST_NAME: &str = "shop.example";

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The cookies that it sets.
    pub(crate) fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Whose token it was, of `/who`.
    pub(crate) fn identity(&self) -> u64 {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.body.parse().unwrap()
    }
}

/// Keeps cookies; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser(Arc<Mutex<Jar>>);

/// Values, and when they go.
type Jar = BTreeMap<String, (String, Instant)>;

impl Browser {
    pub(crate) async fn get(&self, shop: &Shop, path: &str) -> Answer {
        self.send(shop, Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, shop: &Shop, path: &str) -> Answer {
        let request = Request::post(path).header("sec-fetch-site", "same-origin");
        self.send(shop, request.body(Body::empty()).unwrap()).await
    }

    /// A script of the shop's own page posts JSON.
    pub(crate) async fn post_json(&self, shop: &Shop, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header("sec-fetch-site", "same-origin")
            .header("origin", format!("https://{HOST_NAME}"))
            .header(CONTENT_TYPE, "application/json");
        self.send(shop, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Sends with the cookies of now, and takes those of the answer.
    pub(crate) async fn send(&self, shop: &Shop, request: Request<Body>) -> Answer {
        let answer = self.send_only(shop, request).await;
        self.take(&answer);
        answer
    }

    /// Sends with the cookies of now; the answer is on its way.
    pub(crate) async fn send_only(&self, shop: &Shop, mut request: Request<Body>) -> Answer {
        let cookies = self.header();
        if !cookies.is_empty() {
            request.headers_mut().append(COOKIE, cookies.parse().unwrap());
        }
        request.headers_mut().entry(HOST).or_insert(HOST_NAME.parse().unwrap());
        send(&shop.app, request).await
    }

    /// An answer arrives.
    pub(crate) fn take(&self, answer: &Answer) {
        let mut jar = self.0.lock().unwrap();
        for cookie in answer.cookies() {
            let pair = cookie.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            value.split('.').filter(|part| part.len() >= 16).for_each(wix_visitor_testkit::ledger::note_secret);
            let age = cookie.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
            let until = Instant::now() + Duration::from_secs(age.parse().unwrap());
            jar.insert(name.to_owned(), (value.to_owned(), until));
        }
    }

    /// The cookies as they are sent.
    pub(crate) fn header(&self) -> String {
        let jar = self.0.lock().unwrap();
        let live = jar.iter().filter(|(_, (_, until))| *until > Instant::now());
        live.map(|(name, (value, _))| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// One with the same cookies, on its own from now on.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap().clone())))
    }

    /// Sets a cookie.
    pub(crate) fn put(&self, name: &str, value: &str) {
        let until = Instant::now() + Duration::from_secs(400 * 24 * 3600);
        self.0.lock().unwrap().insert(name.to_owned(), (value.to_owned(), until));
    }

    /// Drops a cookie.
    pub(crate) fn drop(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    /// The cookies that are kept, by name.
    pub(crate) fn kept(&self) -> BTreeMap<String, String> {
        let cookies = self.header();
        let pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// A browser with this cookie.
    pub(crate) fn with(name: &str, value: &str) -> Self {
        let browser = Self::default();
        browser.put(name, value);
        browser
    }
}

/// One request, as it is.
pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    if !parts.status.is_success() {
        // To be searched for secrets.
        tracing::trace!(status = %parts.status, body, "an error's page");
    }
    Answer { status: parts.status, headers: parts.headers, body }
}
