#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arrival;
mod cookie;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod hand_over;
mod id_cookie;
mod keeping;
mod layer;
mod meters;
mod pocket;
mod sealed;
mod session;

pub use error::SessionError;
#[cfg(feature = "axum")]
pub use extract::NoSessionLayer;
pub use hand_over::{GLUE, HandOver, TakeOver};
pub use layer::{SealedSessionLayer, SessionLayer, SessionService};
pub use session::Session;
pub use wix_visitor_core::{KeyRing, SealingKey};
