#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod driver;
mod elsewhere;
mod endpoint;
mod entry;
mod error;
mod events;
mod health;
pub mod housekeeping;
mod key;
mod last;
mod meters;
mod packed;
mod policy;
mod progress;
#[doc(hidden)] // open to checkers and simulations; no promise of stability
pub mod protocol;
#[doc(hidden)] // likewise
pub mod record;
#[cfg(feature = "sealing")]
mod sealing;
mod secret;
mod sight;
mod snapshots;
mod spans;
pub mod store;
mod tasks;
mod tokens;
mod unsaved;
mod visitor;
mod visitors;

pub use async_trait::async_trait;
pub use clock::{Clock, Entropy, Now, SystemClock, SystemEntropy, Timestamp};
pub use endpoint::{Grant, GrantError, GrantFailure, GrantReply, TokenEndpoint};
pub use error::{Error, ErrorKind, StoreError, StoreErrorKind};
pub use events::{Event, EventKind, Events, LossReason, VisitorLost};
pub use health::Health;
pub use key::{ClientId, StoreKey, VisitorId};
pub use policy::{OnRefused, Policy};
#[cfg(feature = "sealing")]
pub use sealing::{KeyName, KeyRing, OpenError, PlainRecords, SealedStore, SealingKey};
pub use secret::Secret;
pub use store::{Change, Changes, Cursor, Etag, Exchange, Page, Purged, Stored, TokenStore};
pub use tokens::{AccessToken, RefreshToken, Role, Tokens};
pub use visitor::{Authorization, Status, Visitor};
pub use visitors::{Visitors, VisitorsBuilder};
