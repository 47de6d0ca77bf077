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
mod second;
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
#[doc(hidden)] // for benchmarks, which hold a swap against its script alone; no promise of stability
pub use swap::CODE as SWAP_SCRIPT;
