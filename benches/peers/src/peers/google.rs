//! google-cloud-auth: a user account, which has a refresh token as a visitor has, and lets the token endpoint be set. Its tokens
//! are fetched by a task of its own, from the moment on that the credentials are built.

use google_cloud_auth::credentials::{CacheableResource, Credentials, user_account::Builder};
use http::{Extensions, HeaderMap};

use super::Peer;
use crate::Result;

pub(crate) struct Google(Credentials);

impl Peer for Google {
    const NAME: &'static str = "google-cloud-auth";
    type Token = CacheableResource<HeaderMap>;
    const ASKS_AHEAD: bool = true;

    async fn new(url: &str) -> Result<Self> {
        let user = serde_json::json!({
            "type": "authorized_user",
            "client_id": "id",
            "client_secret": "secret",
            "refresh_token": "token",
        });
        Ok(Self(Builder::new(user).with_token_uri(format!("{url}/token")).build()?))
    }

    async fn token(&self) -> Result<CacheableResource<HeaderMap>> {
        Ok(self.0.headers(Extensions::new()).await?)
    }
}
