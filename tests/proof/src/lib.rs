//! The proof: the code that decides, under every interleaving of a small fleet and every fault.
//!
//! * [`model`] - the model check
//! * [`promise`] - what faults may come to, and what none of them excuses
//! * [`campaign`] - what is explored, and what of it is not as promised
//! * [`rules`] - what gets worse without each rule of the protocol
//! * [`report`] - all of it in Markdown

pub mod campaign;
pub mod model;
pub mod promise;
pub mod report;
pub mod rules;
