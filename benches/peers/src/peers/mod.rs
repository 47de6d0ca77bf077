//! What users would pick instead, each set up as its own documentation recommends, at a token endpoint of ours.

mod aws;
mod azure;
mod gcp_auth;
mod google;
pub(crate) mod sqlx;
pub(crate) mod tower_sessions;
mod wix_sdk;
mod yup;
pub(crate) mod yup_on_disk;

use std::future::Future;

pub(crate) use self::{aws::Aws, azure::Azure, gcp_auth::GcpAuth, google::Google, wix_sdk::WixSdk, yup::Yup};
use crate::Result;

/// A library that keeps a token and renews it.
pub(crate) trait Peer: Sized + Send + Sync + 'static {
    const NAME: &'static str;
    /// What its users put into a request.
    type Token: Send;
    /// Whether it asks for its first token as soon as it is there, and not when somebody needs it.
    const ASKS_AHEAD: bool = false;

    /// Asks at this base of all URLs; it has no token yet.
    async fn new(url: &str) -> Result<Self>;

    /// A token that may be sent now.
    fn token(&self) -> impl Future<Output = Result<Self::Token>> + Send;
}
