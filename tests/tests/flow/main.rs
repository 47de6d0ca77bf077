//! The flow, on a store and an endpoint in memory, in paused time.

mod clocks;
mod instances;
mod intents;
mod never_lost;
mod one_flight;
mod tokens;
