//! Real Redis servers for tests: alone, with Sentinels, as a Cluster; started, stopped, frozen and killed as told.
//!
//! Each has a port, a directory and an administrator's socket of its own. Nothing outlives its owner: a server is killed when it is
//! dropped, and by a [watcher](crate::process) when the test process itself is gone.

pub mod certificates;
pub mod cluster;
pub mod faults;
pub mod program;
pub mod sentinel;
pub mod server;
pub mod window;

pub use crate::wait::{Patience, until};
pub use certificates::Certificates;
pub use cluster::Cluster;
pub use program::Program;
pub use sentinel::SentinelGroup;
pub use server::{Server, ServerOptions};
