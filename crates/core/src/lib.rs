//! The token flow of Wix Headless visitors: tokens, records, the store contract and the renewal protocol.

mod clock;
mod endpoint;
mod error;
mod key;
mod secret;
pub mod store;
mod visitor;

pub use async_trait::async_trait;
pub use clock::{Clock, Entropy, Now, SystemClock, SystemEntropy, Timestamp};
pub use endpoint::{Grant, GrantError, GrantFailure, GrantReply, TokenEndpoint};
pub use error::{Error, ErrorKind, StoreError, StoreErrorKind};
pub use key::{ClientId, StoreKey, VisitorId};
pub use secret::Secret;
pub use store::{Etag, Exchange, Stored, TokenStore};
pub use visitor::{Authorization, Visitor, VisitorLost, Visitors};
