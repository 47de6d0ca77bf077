#![doc = include_str!("../README.md")]

mod arrival;
mod cookie;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod hand_over;
mod layer;
mod session;

pub use error::SessionError;
#[cfg(feature = "axum")]
pub use extract::NoSessionLayer;
pub use hand_over::{GLUE, HandOver, TakeOver};
pub use layer::{SessionLayer, SessionService};
pub use session::Session;
