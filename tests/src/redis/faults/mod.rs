//! What befalls Redis in production, and what becomes of visitors meanwhile: one implementation for the tests and for
//! `cargo xtask prove failover`.
//!
//! A fleet of instances is at work the whole time, over real HTTP to a sandbox whose refresh tokens rotate with a grace.
//! Each round harms the store once, and holds what everybody saw against the promise: nobody with a usable token waits or
//! fails, nobody becomes a new visitor, nothing hangs, and all goes on by itself.

pub mod alone;
mod campaign;
pub mod clustered;
mod fleet;
pub mod report;
mod round;
pub mod sentinels;
mod tally;
mod workers;

pub use campaign::campaign;
pub use round::rounds;
pub use tally::Tally;

use std::time::Duration;

use wix_visitor_core::{StoreKey, async_trait};

use crate::halting::Step;

/// The most one operation of the store may take: the option `timeout_ms` of every store here.
pub const OPERATION: Duration = Duration::from_millis(750);

/// Something that befalls a store.
#[async_trait]
pub trait Fault: Send + Sync {
    /// What, in a few words.
    fn name(&self) -> &'static str;

    /// Where the store is.
    fn url(&self) -> String;

    /// Whether the servers are to get over it while it lasts, as a group with a new primary does.
    fn heals(&self) -> bool;

    /// The step of the protocol at which it comes, if it waits for one.
    fn moment(&self) -> Option<Step> {
        None
    }

    /// Brings it about; to the servers of this record, where it waited for somebody to write it.
    async fn begin(&self, record: Option<&StoreKey>);

    /// For how long it is left alone before its [`end`](Self::end).
    fn lasts(&self) -> Duration;

    /// Puts right what does not heal, or lets the one who was away come back.
    async fn end(&self);

    /// Returns once all servers are well again.
    async fn whole(&self);
}
