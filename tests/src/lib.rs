//! What the suites share.

// All of this is test code, though none of it is in a test function: here too a broken expectation ends the test.
#![allow(clippy::expect_used)]

pub mod broken;
pub mod command;
pub mod instance;
pub mod step_clock;
pub mod trace;
