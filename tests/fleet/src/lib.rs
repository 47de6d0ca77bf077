//! Fleets in simulated time, to see *when* they ask the endpoint: a day of very many visitors who all came at once, and an hour
//! without an endpoint.
//!
//! An instance is a real [`Visitors`](wix_visitor_core::Visitors) on a store in memory; what is made up is the clock, the endpoint
//! and the shoppers. What it is compared with, a fleet that nothing holds back, is reckoned from core's schedule alone.
//!
//! * [`scene`] - what is simulated
//! * [`instance`] - one instance and its shoppers, from the first call to the last
//! * [`books`] - what was asked of the endpoint, when and why
//! * [`reckon`] - when a fleet renews that nothing holds back
//! * [`day`] and [`outage`] - the two scenes, and what has to hold in each
//! * [`picture`] and [`report`] - both, for people

pub mod books;
pub mod chance;
pub mod day;
mod endpoint;
pub mod instance;
mod machine;
pub mod outage;
pub mod picture;
pub mod reckon;
pub mod report;
pub mod scene;
