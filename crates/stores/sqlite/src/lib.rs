#![doc = include_str!("../README.md")]

mod config;
mod database;
mod error;
mod place;
mod reader;
mod room;
mod row;
mod schema;
mod store;
mod threads;
mod writer;

pub use config::{SqliteOptions, Synchronous};
pub use store::SqliteStore;
