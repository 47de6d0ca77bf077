//! What the suites share.

pub mod broken;
pub mod command;
pub mod instance;
pub mod step_clock;
pub mod trace;
