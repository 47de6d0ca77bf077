//! What the suites share.

pub mod command;
pub mod trace;
