//! What a handler has in hand: the shop, and the session of whoever asks.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use wix_visitor::SiteVisitor;
use wix_visitor::web::{NoSessionLayer, Session, SessionError};

use crate::setup::Shop;

/// One request's shopper.
#[derive(Clone, Debug)]
pub(crate) struct Shopper {
    pub(crate) shop: Arc<Shop>,
    pub(crate) session: Session,
    /// The path that was asked for.
    pub(crate) here: String,
}

impl FromRequestParts<Arc<Shop>> for Shopper {
    type Rejection = NoSessionLayer;

    async fn from_request_parts(parts: &mut Parts, shop: &Arc<Shop>) -> Result<Self, NoSessionLayer> {
        let session = Session::from_request_parts(parts, shop).await?;
        Ok(Self { shop: Arc::clone(shop), session, here: parts.uri.path().to_owned() })
    }
}

impl Shopper {
    /// The session's visitor, who can call Wix. Nothing is minted before a call needs a token.
    pub(crate) async fn visitor(&self) -> Result<SiteVisitor, SessionError> {
        Ok(self.shop.site.as_visitor(&self.session.visitor().await?))
    }
}
