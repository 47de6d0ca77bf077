//! The store on Redis and Valkey, against servers that this suite starts, harms and ends.
//!
//! What takes time here is the servers': a Sentinel or a Cluster takes a primary for down after a second, and an outage has to
//! outlast a deadline to be one.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod connections;
mod doctor;
mod faults;
mod fixture;
mod harness;
mod migrating;
mod mistaken;
mod rights;
mod trips;
mod warnings;
