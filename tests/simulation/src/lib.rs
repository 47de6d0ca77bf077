//! The simulation: core's real flow on a whole fleet, with time, network, store and endpoint simulated, and faults of all kinds.
//!
//! * [`plan`] - what is decided before a run, out of a seed; and the least of a failing plan that still fails
//! * [`world`] - what all instances share: the store, the endpoint, and the faults that wait for their moment
//! * [`fleet`] - the instances: their machines, what they see of the world, and who calls them
//! * [`run`] - one run, from the first call to the last verdict
//! * [`verdict`] - who is who, and whether that is what is served; in numbers and in words
//! * [`campaign`] - many seeds, on all processors
//! * [`outage`] - a dead endpoint, and very many visitors

pub mod campaign;
pub mod fleet;
pub mod outage;
pub mod plan;
pub mod run;
pub mod verdict;
pub mod world;
