//! The flow as an application has it: real processes that are killed, stopped and raced, real HTTP to a sandbox, and each store that
//! processes can share.
//!
//! Nothing here sleeps: a test waits for a line of a process, for a request to arrive, or for an answer. Only the leases of
//! those who died take their time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod child;
mod elsewhere;
mod ending;
mod herd;
mod issuers;
mod killed;
#[cfg(unix)] // elsewhere a file in use cannot be moved
mod missing_file;
#[cfg(unix)]
mod paused;
mod place;
mod runtimes;
mod scene;
mod shared;
