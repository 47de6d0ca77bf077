//! The flow, on a store and an endpoint in memory, in paused time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code, also where no test attribute says so")]

mod clocks;
mod elsewhere;
mod health;
mod instances;
mod intents;
mod never_lost;
mod numbers;
mod one_flight;
mod spans;
mod storms;
mod tokens;
