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
#[cfg(all(feature = "load", unix))]
pub mod load;
#[cfg(all(feature = "redis", unix))]
pub mod migration;
pub mod numbers;
#[cfg(all(any(feature = "browser", feature = "redis"), unix))]
pub mod port;
#[cfg(all(any(feature = "browser", feature = "redis"), unix))]
pub mod process;
#[cfg(all(feature = "redis", unix))]
pub mod redis;
pub mod sealing;
pub mod spans;
pub mod step_clock;
#[cfg(all(any(feature = "browser", feature = "load"), unix))]
pub mod storefront;
pub mod trace;
#[cfg(all(any(feature = "browser", feature = "redis"), unix))]
pub mod wait;
