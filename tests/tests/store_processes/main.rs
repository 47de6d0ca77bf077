//! Many processes on one store: nothing lost, nobody starved, and a kill at any moment leaves it whole.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // the helpers too are tests

mod kill;
mod place;
mod rights;
mod turns;
mod worker;
