//! A browser without scripts: cookies, forms, and no redirect followed. It looks for tokens in whatever it is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use wix_visitor_testkit::ledger::note_secret;

/// Who clones it has the same browser.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    home: String,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(home: &str) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = client.timeout(Duration::from_secs(20)).build().unwrap();
        Self { client, home: home.to_owned(), cookies: Arc::default() }
    }

    /// Another browser, into which the cookies were planted.
    pub(crate) fn clone_with_its_cookies(&self) -> Self {
        let cookies = self.cookies.lock().unwrap().clone();
        Self { cookies: Arc::new(Mutex::new(cookies)), ..self.clone() }
    }

    pub(crate) fn session(&self) -> String {
        self.cookies.lock().unwrap()["visitor"].clone()
    }

    pub(crate) fn set_session(&self, value: &str) {
        self.cookies.lock().unwrap().insert("visitor".to_owned(), value.to_owned());
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.home) } else { path.to_owned() }
    }

    async fn send(&self, request: RequestBuilder) -> Response {
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) };
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if cookie.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                // A session's id, and what a sign-in was begun with.
                note_secret(value.split('.').next().unwrap());
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    async fn page(&self, request: RequestBuilder) -> Page {
        let response = self.send(request).await;
        let headers = response.headers().clone();
        let location = headers.get(LOCATION).map(|location| location.to_str().unwrap().to_owned());
        let page = Page { status: response.status().as_u16(), location, headers, body: response.text().await.unwrap() };
        // What every token of the sandbox holds.
        assert!(!format!("{page:?}").contains("JWS."), "a token in {page:?}");
        page
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.page(self.client.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = self.client.post(self.url(path)).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.page(request.body(body.join("&"))).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Page {
        self.page(self.client.post(self.url(path)).json(body)).await
    }

    /// As another site makes a browser send it: without the cookie.
    pub(crate) async fn sent_by_another_site(&self, path: &str) -> Page {
        let request = self.client.post(self.url(path)).header("sec-fetch-site", "cross-site");
        Self::new(&self.home).page(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded")).await
    }

    /// What a script of a page asks for: the one answer that holds a token.
    pub(crate) async fn hand_over(&self, path: &str) -> Value {
        let request = self.client.post(self.url(path)).header("origin", &self.home).json(&json!({}));
        let response = self.send(request).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    pub(crate) async fn stream(&self, path: &str) -> Stream {
        let response = self.send(self.client.get(self.url(path))).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        Stream { response, seen: String::new() }
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, patience: Duration, path: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        let end = Instant::now() + patience;
        loop {
            let page = self.get(path).await;
            if wanted(&page) {
                return page;
            }
            assert!(Instant::now() < end, "still {page:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the shop can be connected to, and what it says then.
    pub(crate) async fn try_json(&self, path: &str) -> Option<Value> {
        let cookie = format!("visitor={}", self.session());
        let response = self.client.get(self.url(path)).header(COOKIE, cookie).send().await.ok()?;
        response.json().await.ok()
    }
}

impl Page {
    pub(crate) fn count(&self, what: &str) -> usize {
        self.body.matches(what).count()
    }

    pub(crate) fn between(&self, start: &str, end: &str) -> String {
        let rest = self.body.split_once(start).unwrap_or_else(|| panic!("no {start} in {}", self.body)).1;
        rest.split_once(end).unwrap().0.to_owned()
    }

    /// The text of the element with this id.
    pub(crate) fn text(&self, id: &str) -> String {
        self.between(&format!("id=\"{id}\">"), "<")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Server-sent events.
pub(crate) struct Stream {
    response: Response,
    seen: String,
}

impl Stream {
    /// Reads on until this has come.
    pub(crate) async fn until(&mut self, what: &str) {
        while !self.seen.contains(what) {
            let Ok(Some(chunk)) = self.response.chunk().await else { panic!("no {what:?}: {}", self.seen) };
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
            assert!(!self.seen.contains("JWS."));
        }
    }

    pub(crate) async fn end(mut self) {
        while self.response.chunk().await.unwrap().is_some() {}
    }
}
