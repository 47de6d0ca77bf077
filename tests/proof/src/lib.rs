//! The proof: the code that decides, under every interleaving of a small fleet and every fault.
//!
//! * [`model`] - the model check
//! * [`table`] - what a single fault may cost, expected and explored

pub mod model;
pub mod table;
