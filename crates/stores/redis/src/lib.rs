#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod checkup;
mod cluster;
mod config;
mod ears;
mod error;
mod link;
mod listing;
mod pace;
mod replicas;
mod sentinel;
mod server;
mod store;
mod swap;
mod tls;
mod url;
mod value;
mod watch;
mod wire;

pub use config::RedisOptions;
pub use store::RedisStore;
