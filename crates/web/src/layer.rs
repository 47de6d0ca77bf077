//! The tower layer: a session for each request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use wix_visitor_core::{Error, Visitors};

use crate::cookie::SessionCookie;
use crate::session::Session;

/// Gives each request a [`Session`] among its extensions, and each response what the browser has to know of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    visitors: Visitors,
    cookie: Arc<SessionCookie>,
}

impl SessionLayer {
    /// Sessions of this site's visitors, in the cookie `__Host-visitor`.
    pub fn new(visitors: &Visitors) -> Self {
        let cookie = SessionCookie::new("visitor").unwrap_or_else(|_| unreachable!("the name is of letters alone"));
        Self { visitors: visitors.clone(), cookie: Arc::new(cookie) }
    }

    /// Names the cookie `__Host-<name>`: for two sites on one host.
    ///
    /// # Errors
    /// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) if no cookie can have this name.
    pub fn cookie_name(self, name: &str) -> Result<Self, Error> {
        let plain_on_loopback = self.cookie.plain_on_loopback;
        let cookie = SessionCookie { plain_on_loopback, ..SessionCookie::new(name)? };
        Ok(Self { cookie: Arc::new(cookie), ..self })
    }

    /// Where the server is addressed as this very machine (`localhost`, 127.0.0.0/8, `[::1]`), the cookie has its plain name and no
    /// `Secure`: for browsers that want `https` even there.
    #[must_use]
    pub fn plain_on_loopback(self) -> Self {
        let cookie = SessionCookie { plain_on_loopback: true, ..(*self.cookie).clone() };
        Self { cookie: Arc::new(cookie), ..self }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, layer: self.clone() }
    }
}

/// A service whose requests have a [`Session`]: what [`SessionLayer`] makes.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    layer: SessionLayer,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let session = Session::of(&parts, &self.layer.visitors, &self.layer.cookie);
        parts.extensions.insert(session.clone());
        let answer = self.inner.call(Request::from_parts(parts, body));
        Box::pin(async move {
            let mut response = answer.await?;
            session.answer(response.headers_mut()).await;
            Ok(response)
        })
    }
}
