//! The panel beside the shop: what a session looks like from within, and buttons to make life hard for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Form, Query};
use axum::http::HeaderMap;
use axum::response::Redirect;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use maud::Markup;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use wix_visitor::web::SessionError;
use wix_visitor::{Role, SiteVisitor, Tokens, VisitorId};
use wix_visitor_testkit::sandbox::{Fault, Sandbox};

use crate::error::ShopError;
use crate::journal::{Mood, Note};
use crate::life::End;
use crate::pages;
use crate::setup::Shop;
use crate::shopper::Shopper;

pub(crate) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/panel/state", get(state))
        .route("/panel/events", get(events))
        .route("/panel/expire", post(expire))
        .route("/panel/break", post(break_endpoint))
        .route("/panel/mend", post(mend_endpoint))
        .route("/panel/restart", post(restart))
}

/// A session, as the panel shows it. Nothing in here is secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PanelState {
    pub(crate) role: &'static str,
    /// Seconds until the access token ends, if there is one.
    pub(crate) expires_in: Option<u64>,
    pub(crate) generation: u64,
    pub(crate) instance: String,
    pub(crate) usable: bool,
    pub(crate) saved: bool,
    /// When this process began, in milliseconds since 1970: another one after a restart.
    pub(crate) started: i64,
    pub(crate) broken: bool,
}

impl PanelState {
    /// Mints nothing and renews nothing.
    pub(crate) async fn of(shop: &Shop, visitor: &SiteVisitor) -> Result<Self, ShopError> {
        let status = visitor.status().await?;
        Ok(Self {
            role: match status.role {
                Role::Member => "member",
                Role::Visitor => "visitor",
                _ => "none",
            },
            expires_in: status.expires_at.map(|end| end.since(shop.site.now()).as_secs()),
            generation: status.generation,
            usable: status.usable,
            saved: status.saved,
            ..Self::unknown(shop)
        })
    }

    /// Where there is no telling.
    pub(crate) fn unknown(shop: &Shop) -> Self {
        Self {
            role: "none",
            expires_in: None,
            generation: 0,
            instance: shop.instance(),
            usable: false,
            saved: true,
            started: shop.started.as_millis(),
            broken: shop.broken.load(Ordering::Relaxed),
        }
    }
}

async fn state(shopper: Shopper) -> Result<Json<PanelState>, ShopError> {
    Ok(Json(PanelState::of(&shopper.shop, &shopper.visitor().await?).await?))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

/// What happens to this session's visitor, as it happens, and how it stands then.
async fn events(
    shopper: Shopper,
    Query(page): Query<After>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ShopError> {
    let visitor = shopper.visitor().await?;
    // Who was cut off says so, and goes on from there.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(page.after);
    let (missed, news) = shopper.shop.journal.follow(visitor.id(), last);
    let mut ready: VecDeque<Event> = missed.iter().map(told).collect();
    ready.extend(standing(&shopper.shop, &visitor).await);
    let live = Live { id: visitor.id(), visitor, news, ready, shop: shopper.shop };
    let stream = stream::unfold(live, async |mut live| Some((Ok(live.next().await?), live)));
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// One open stream of events.
struct Live {
    shop: Arc<Shop>,
    visitor: SiteVisitor,
    id: VisitorId,
    news: broadcast::Receiver<(VisitorId, Note)>,
    ready: VecDeque<Event>,
}

impl Live {
    /// `None` when the server ends: a stream that went on would keep it from ending.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let life = self.shop.life.clone();
            tokio::select! {
                biased;
                _ = life.ended() => return None,
                news = self.news.recv() => match news {
                    Ok((id, note)) if id == self.id => {
                        self.ready.push_back(told(&note));
                        self.ready.extend(standing(&self.shop, &self.visitor).await);
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}

fn told(note: &Note) -> Event {
    // A note is plain data, so that it can always be written.
    Event::default().event("note").id(note.id.to_string()).json_data(note).unwrap_or_default()
}

async fn standing(shop: &Shop, visitor: &SiteVisitor) -> Option<Event> {
    let state = PanelState::of(shop, visitor).await.ok()?;
    Event::default().event("state").json_data(state).ok()
}

/// What the paths of this shop are made of.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'?' | b'=' | b'&')
}

/// Where a button leads back to.
#[derive(Deserialize)]
struct From {
    #[serde(default)]
    back: String,
}

impl From {
    /// A page of ours, whatever the form says.
    fn page(&self) -> &str {
        let ours = self.back.starts_with('/') && !self.back.starts_with("//") && self.back.bytes().all(is_plain);
        if ours { &self.back } else { "/" }
    }
}

/// The buttons are for our own pages, and those of the sandbox only where there is one.
fn sandbox(shopper: &Shopper) -> Result<&Sandbox, ShopError> {
    ours(shopper)?;
    shopper.shop.sandbox.as_ref().ok_or(ShopError::NotFound)
}

fn ours(shopper: &Shopper) -> Result<(), ShopError> {
    if shopper.session.is_cross_site() { Err(SessionError::CrossSite.into()) } else { Ok(()) }
}

/// From now on the sandbox answers 401 to this visitor's access token, as Wix does after its four hours. The next call meets that,
/// renews, and is sent again.
async fn expire(shopper: Shopper, Form(from): Form<From>) -> Result<Redirect, ShopError> {
    sandbox(&shopper)?;
    let visitor = shopper.visitor().await?;
    let (mood, text) = match visitor.tokens().await?.access {
        Some(access) => {
            let shop = Arc::clone(&shopper.shop);
            // The sandbox writes to its file.
            let revoked = tokio::task::spawn_blocking(move || {
                shop.sandbox.as_ref().is_some_and(|sandbox| sandbox.revoke_access(access.value.expose()).is_ok())
            });
            if revoked.await.unwrap_or(false) {
                (Mood::Plain, "you expired the access token: the next call is answered 401")
            } else {
                (Mood::Bad, "the access token could not be made to end")
            }
        }
        None => (Mood::Plain, "there is no token to expire yet: put something into the cart first"),
    };
    shopper.shop.journal.note(visitor.id(), shopper.shop.site.now(), mood, text);
    Ok(Redirect::to(from.page()))
}

/// From now on the token endpoint answers 503.
async fn break_endpoint(shopper: Shopper, Form(from): Form<From>) -> Result<Redirect, ShopError> {
    let sandbox = sandbox(&shopper)?;
    sandbox.clear_faults();
    sandbox.fault(Fault::on_token().status(503).always());
    shopper.shop.broken.store(true, Ordering::Relaxed);
    let visitor = shopper.visitor().await?;
    let text = "the token endpoint is broken: it answers 503";
    shopper.shop.journal.note(visitor.id(), shopper.shop.site.now(), Mood::Bad, text);
    // A renewal that is not even due, so that one is seen to fail.
    if visitor.tokens().await? != Tokens::default() {
        tokio::spawn(async move { visitor.renew().await });
    }
    Ok(Redirect::to(from.page()))
}

async fn mend_endpoint(shopper: Shopper, Form(from): Form<From>) -> Result<Redirect, ShopError> {
    sandbox(&shopper)?.clear_faults();
    shopper.shop.broken.store(false, Ordering::Relaxed);
    let visitor = shopper.visitor().await?;
    // After a failure nothing is asked of the endpoint for a moment. The page that comes next should not be turned away for that.
    let (visitors, ours) = (visitor.status().await?.paused_for, shopper.shop.site.health().await.endpoint_paused_for);
    tokio::time::sleep(visitors.max(ours).unwrap_or_default()).await;
    let text = "the token endpoint works again";
    shopper.shop.journal.note(visitor.id(), shopper.shop.site.now(), Mood::Good, text);
    Ok(Redirect::to(from.page()))
}

/// Ends this process in good order and starts another in its place. The page that says so asks for the shop until it is back.
async fn restart(shopper: Shopper, Form(from): Form<From>) -> Result<Markup, ShopError> {
    ours(&shopper)?;
    if !shopper.shop.may_restart() {
        return Err(ShopError::NotFound);
    }
    let page = pages::restarting(&shopper, from.page()).await;
    // This response still goes out: the server waits for requests under way.
    shopper.shop.life.end(End::Restart);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_leads_back_to_a_page_of_ours_alone() {
        for (back, page) in
            [("/cart", "/cart"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil", "/"), ("", "/")]
        {
            assert_eq!(From { back: back.to_owned() }.page(), page, "{back}");
        }
    }
}
