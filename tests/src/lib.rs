//! What the suites share.

#![allow(clippy::expect_used, reason = "test code, also where no test attribute says so")]

pub mod ahead_clock;
pub mod announcing;
pub mod broken;
pub mod cart;
pub mod command;
pub mod counter;
pub mod halting;
pub mod instance;
pub mod numbers;
#[cfg(all(feature = "redis", unix))]
pub mod redis;
pub mod spans;
pub mod step_clock;
pub mod trace;
