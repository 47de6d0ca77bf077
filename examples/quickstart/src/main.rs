//! The first program.
fn main() {}
