#![doc = include_str!("../README.md")]

mod config;
mod directory;
mod error;
mod halves;
mod lock;
mod marker;
mod record;
mod shard;
mod store;
mod tour;

pub use config::FileOptions;
pub use store::FileStore;
