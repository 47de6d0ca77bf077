//! The tower layers: a session for each request.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use wix_visitor_core::{ClientId, Error, KeyRing, TokenEndpoint, Visitors, VisitorsBuilder};

use crate::cookie::CookieName;
use crate::id_cookie::IdCookie;
use crate::keeping::{Keeping, Sessions};
use crate::pocket::Pocket;
use crate::sealed::SealedCookies;
use crate::session::Session;

/// Gives each request a [`Session`] among its extensions, and each response what the browser has to know of it. The visitors are in
/// the site's store, and the browser has an id. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    visitors: Visitors,
    name: CookieName,
}

impl SessionLayer {
    /// Sessions of this site's visitors, in the cookie `__Host-visitor`.
    pub fn new(visitors: &Visitors) -> Self {
        Self { visitors: visitors.clone(), name: CookieName::usual() }
    }

    /// Names the cookie `__Host-<name>`: for two sites on one host.
    ///
    /// # Errors
    /// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) if no cookie can have this name.
    pub fn cookie_name(self, name: &str) -> Result<Self, Error> {
        Ok(Self { name: renamed(&self.name, name)?, ..self })
    }

    /// Where the server is addressed as this very machine (`localhost`, 127.0.0.0/8, `[::1]`), the cookie has its plain name and no
    /// `Secure`: for browsers that want `https` even there.
    #[must_use]
    pub fn plain_on_loopback(mut self) -> Self {
        self.name.plain_on_loopback = true;
        self
    }
}

/// Gives each request a [`Session`] as [`SessionLayer`] does, for a server without a store: the tokens are in the browser's cookies,
/// sealed, and each response whose request changed them brings the new ones.
///
/// **What it cannot do.** Requests at the same time share a grant within one process only. What two processes do to one session at
/// once, neither knows of the other: a visitor whose very first requests go to two of them may be minted twice, and the last answer
/// counts; should Wix replace refresh tokens at a renewal, one of two at once may spend what the other needs, and an answer that is
/// late by two renewals sets the browser back to one of them. A sign-out takes the cookies away, and nothing more: whoever copied them
/// before can go on with them until the refresh token ends or the key is removed from the ring. Where any of this matters, keep visitors
/// in a store.
///
/// A process keeps what it has seen for as long as it is in use, so an answer that never arrived is made good by the next one; that
/// memory ends with the process.
#[derive(Clone, Debug)]
pub struct SealedSessionLayer {
    visitors: Visitors,
    pocket: Pocket,
    ring: KeyRing,
    name: CookieName,
}

impl SealedSessionLayer {
    /// Sessions of this site in the cookies `__Host-visitor-…`, sealed by the ring's primary key.
    ///
    /// # Errors
    /// Those of [`VisitorsBuilder::build`].
    pub fn new(client_id: ClientId, endpoint: impl TokenEndpoint, ring: KeyRing) -> Result<Self, Error> {
        Self::configured(client_id, endpoint, ring, |builder| builder)
    }

    /// The same, with a policy, a clock and the like of one's own.
    ///
    /// # Errors
    /// Those of [`VisitorsBuilder::build`].
    pub fn configured(
        client_id: ClientId,
        endpoint: impl TokenEndpoint,
        ring: KeyRing,
        configure: impl FnOnce(VisitorsBuilder) -> VisitorsBuilder,
    ) -> Result<Self, Error> {
        let pocket = Pocket::new();
        let visitors = configure(Visitors::builder(client_id, endpoint, pocket.clone())).build()?;
        Ok(Self { visitors, pocket, ring, name: CookieName::usual() })
    }

    /// The visitors of these sessions: to call APIs as one of them, to see their events, and to shut down. What is asked of it by a
    /// key of your own is kept in this process's memory alone.
    pub fn visitors(&self) -> &Visitors {
        &self.visitors
    }

    /// Names the cookies `__Host-<name>-…`: for two sites on one host.
    ///
    /// # Errors
    /// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) if no cookie can have this name.
    pub fn cookie_name(self, name: &str) -> Result<Self, Error> {
        Ok(Self { name: renamed(&self.name, name)?, ..self })
    }

    /// As [`SessionLayer::plain_on_loopback`].
    #[must_use]
    pub fn plain_on_loopback(mut self) -> Self {
        self.name.plain_on_loopback = true;
        self
    }
}

fn renamed(old: &CookieName, name: &str) -> Result<CookieName, Error> {
    let mut new = CookieName::new(name)?;
    new.plain_on_loopback = old.plain_on_loopback;
    Ok(new)
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        let keeping = Keeping::Server(IdCookie { name: self.name.clone() });
        SessionService { inner, sessions: Arc::new(Sessions { visitors: self.visitors.clone(), keeping }) }
    }
}

impl<S> Layer<S> for SealedSessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        let cookies = SealedCookies::new(self.name.clone(), self.ring.clone(), self.visitors.client_id().clone());
        let keeping = Keeping::Browser(cookies, self.pocket.clone());
        SessionService { inner, sessions: Arc::new(Sessions { visitors: self.visitors.clone(), keeping }) }
    }
}

/// A service whose requests have a [`Session`]: what [`SessionLayer`] and [`SealedSessionLayer`] make.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    sessions: Arc<Sessions>,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
    R: Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // A layer within a layer: there is one session.
        let session = request.extensions().get::<Session>();
        if session.is_some_and(|session| session.has_cookie(self.sessions.name())) {
            return Box::pin(self.inner.call(request));
        }
        let session = Session::of((&request).into(), &self.sessions);
        request.extensions_mut().insert(session.clone());
        // The one that was found ready is called; its clone may not be.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        Box::pin(async move {
            session.prepare().await;
            let mut response = inner.call(request).await?;
            session.answer(response.status(), response.headers_mut()).await;
            Ok(response)
        })
    }
}
