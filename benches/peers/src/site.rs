//! A site of ours without a network.

use tokio::runtime::{Builder, Runtime};
use wix_visitor_core::{ClientId, Visitors};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::FakeEndpoint;

use crate::Result;

/// A site whose visitors are kept in memory, and whose endpoint answers at once.
pub(crate) fn site() -> Result<Visitors> {
    let client_id = ClientId::new("00000000-0000-4000-8000-000000000000")?;
    Ok(Visitors::builder(client_id, FakeEndpoint::default(), MemoryStore::default()).build()?)
}

/// Of one thread, so that nothing else runs meanwhile.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
