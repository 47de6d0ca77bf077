//! A sandbox Wix, the store conformance suite, fault injection and a manual clock.
//!
//! [`sandbox`] is a small Wix on loopback, for tests and for trying things out without a site of one's own. [`ledger`]
//! notes every secret that a test run makes, so that the run can search its own output for leaks.

pub mod ledger;
mod random;
pub mod sandbox;
