//! What the suites share.

pub mod broken;
pub mod step_clock;
