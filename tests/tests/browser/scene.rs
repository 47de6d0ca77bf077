//! A sandbox, shops that ask it, and what a shopper does in them.

use fantoccini::Locator;
use serde_json::{Value, json};
use tempfile::TempDir;
use wix_visitor_testkit::sandbox::{LogEntry, RequestKind, Sandbox, SandboxOptions};
use wix_visitor_tests::storefront::{Storefront, StorefrontOptions};
use wix_visitor_tests::trace;
use wix_visitor_tests::wait::until_it;

use crate::browser::Browser;

/// A Wix, and a place for what shops keep.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        trace::to_stderr();
        // On a thread of its own: tests block.
        let sandbox = Sandbox::start_on_thread(SandboxOptions::new()).unwrap();
        Self { sandbox, folder: tempfile::tempdir().unwrap() }
    }

    /// A shop; all shops of a scene share their store.
    pub(crate) async fn shop(&self) -> Storefront {
        StorefrontOptions::new(self.sandbox.url(), self.folder.path()).start().await
    }

    /// The API calls so far that acted for somebody.
    pub(crate) fn calls(&self) -> Vec<LogEntry> {
        let acted = |entry: &LogEntry| entry.kind == RequestKind::Api && entry.identity.is_some();
        self.sandbox.log().into_iter().filter(acted).collect()
    }

    /// That all API calls so far were one visitor's, the only one that there is.
    pub(crate) fn assert_one_visitor(&self) {
        assert_eq!(self.sandbox.mints(), 1, "visitors made");
        let only = self.sandbox.identities().unwrap();
        let others = self.calls().into_iter().filter(|call| call.identity.as_ref() != only.first()).count();
        assert_eq!(others, 0, "calls of somebody else");
    }
}

impl Browser {
    /// Opens a page of a shop.
    pub(crate) async fn open(&self, shop: &Storefront, path: &str) {
        self.goto(&format!("{}{path}", shop.url())).await.unwrap();
    }

    /// Puts the product of this place on the front page into the cart, by its button, and sees that it is there.
    pub(crate) async fn buy(&self, shop: &Storefront, place: usize) {
        self.open(shop, "/").await;
        let before: usize = self.text("#cart-count").await.parse().unwrap();
        let buttons = self.find_all(Locator::Css(".product form.add button")).await.unwrap();
        buttons[place].click().await.unwrap();
        let wanted = (before + 1).to_string();
        until_it("the cart to be shown", async || {
            self.current_url().await.is_ok_and(|url| url.path() == "/cart")
                && self.text_now("#cart-count").await.as_ref() == Some(&wanted)
        })
        .await;
    }

    /// What the cart's page of a shop shows: who has it, and what and how much of it is in it.
    pub(crate) async fn cart(&self, shop: &Storefront) -> (String, Vec<(String, String)>) {
        self.open(shop, "/cart").await;
        self.shown_cart().await
    }

    /// What the cart's page shows, which is open.
    pub(crate) async fn shown_cart(&self) -> (String, Vec<(String, String)>) {
        self.cart_now().await.expect("an open cart that stays")
    }

    /// As [`shown_cart`](Self::shown_cart), while the page may be another one any moment.
    pub(crate) async fn cart_now(&self) -> Option<(String, Vec<(String, String)>)> {
        let mut lines = Vec::new();
        for line in self.find_all(Locator::Css(".line")).await.ok()? {
            let [mut name, mut quantity] = [String::new(), String::new()];
            for (part, text) in [(".name", &mut name), (".quantity", &mut quantity)] {
                *text = line.find(Locator::Css(part)).await.ok()?.text().await.ok()?;
            }
            lines.push((name, quantity));
        }
        Some((self.text_now("#who").await?, lines))
    }

    /// Signs in by the sandbox's own page.
    pub(crate) async fn sign_in(&self, shop: &Storefront) {
        self.open(shop, "/sign-in").await;
        self.click("#sign-in").await;
        until_it("the shop to greet a member", async || {
            self.current_url().await.is_ok_and(|url| url.port() == Some(shop.port()))
                && self.text_now("#who").await.as_deref() == Some("member")
        })
        .await;
    }

    /// Waits until the six badges of the front page are there, which is open.
    pub(crate) async fn badges(&self) {
        let loaded = "const all = [...document.querySelectorAll('img.stock')]; \
                      return all.length == 6 && all.every((badge) => badge.complete && badge.naturalWidth > 0)";
        until_it("six badges", async || self.execute(loaded, vec![]).await.is_ok_and(|loaded| loaded == json!(true)))
            .await;
    }

    /// Posts JSON as a script of the page would, and tells the status.
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Value {
        let script = "const headers = { 'content-type': 'application/json' }; const [path, body] = arguments; \
                      return (await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).status";
        self.run(script, vec![json!(path), body.clone()]).await
    }
}
