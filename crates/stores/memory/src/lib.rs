#![doc = include_str!("../README.md")]

mod shelf;
mod store;

pub use store::MemoryStore;
