//! A site of ours.

use tokio::runtime::{Builder, Runtime};
use wix_visitor_core::{ClientId, Visitors};
use wix_visitor_http::{HttpOptions, WixEndpoint};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::FakeEndpoint;

use crate::Result;

/// As long as everybody's, since it is hashed with each key.
#[allow(dead_code, reason = "not every program here needs it")]
pub(crate) const ISSUER: &str = "https://www.wixapis.com";

/// A site whose visitors are kept in memory, and whose endpoint answers at once.
#[allow(dead_code, reason = "not every program here needs it")]
pub(crate) fn site() -> Result<Visitors> {
    Ok(Visitors::builder(client_id()?, FakeEndpoint::issued_by(ISSUER), MemoryStore::default()).build()?)
}

/// A site whose visitors are kept in memory, and whose endpoint is below this URL.
pub(crate) fn site_at(url: &str) -> Result<Visitors> {
    let endpoint = WixEndpoint::builder().options(HttpOptions::new().base_url(url)).build()?;
    Ok(Visitors::builder(client_id()?, endpoint, MemoryStore::default()).build()?)
}

pub(crate) fn client_id() -> Result<ClientId> {
    Ok(ClientId::new("00000000-0000-4000-8000-000000000000")?)
}

/// Of one thread, so that nothing else runs meanwhile.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
