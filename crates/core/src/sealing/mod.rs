//! Sealing: encryption that shows whether anything was changed, with a ring of keys.
//!
//! A key is changed in three steps, each on all machines before the next: *add* the new one to every ring, *promote* it to primary,
//! *remove* the old one once nothing is sealed by it any more.

mod ring;
mod store;

pub use ring::{KeyName, KeyRing, OpenError, SealingKey};
pub(crate) use store::Resealed;
pub use store::{PlainRecords, SealedStore};
