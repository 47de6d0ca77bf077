//! What the suites share.

pub mod command;
pub mod instance;
pub mod trace;
