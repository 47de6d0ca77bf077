//! The simulation: core's real flow on a whole fleet, with time, network, store and endpoint simulated, and faults of all kinds.
//!
//! * [`draft`] - a plan out of a seed
//! * [`plan`] - what is decided before a run
//! * [`run`] - one run, from the first call to the last verdict
//! * [`judge`] - who is who, and whether that is what is served
//! * [`seam`] - what an instance sees of store and endpoint
//! * [`shrink`] - the least of a failing plan that still fails

pub mod calls;
pub mod campaign;
pub mod chance;
pub mod disturb;
pub mod draft;
pub mod fault;
pub mod flaw;
pub mod issuer;
pub mod judge;
pub mod machine;
pub mod outage;
pub mod plan;
pub mod report;
pub mod run;
pub mod seam;
pub mod shelf;
pub mod shrink;
pub mod strikes;
pub mod told;
pub mod totals;
pub mod turns;
pub mod world;
