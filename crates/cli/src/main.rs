//! The `wix-visitor` command.
fn main() {}
