//! The built command, run as users run it: against a sandbox of the test's own, or its embedded one.

// Shells and signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod certificates;
mod damaged_stores;
mod endpoint_trouble;
mod everyday;
mod housekeeping;
mod interrupts;
mod long_running;
mod migrating;
mod output;
mod planned_faults;
mod probe;
mod rings;
mod sandbox_mode;
mod support;
mod waiting;
