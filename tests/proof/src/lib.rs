//! The proof: the code that decides, under every interleaving of a small fleet and every fault.
//!
//! * [`model`] - the model check

pub mod model;
