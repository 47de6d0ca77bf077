//! A sandbox Wix, the store conformance suite, fault injection and a manual clock.
//!
//! * [`sandbox`] is a small Wix on loopback, for tests and for trying things out without a site of one's own.
//! * [`FakeEndpoint`] is a token endpoint in memory, [`FaultyStore`] a store that fails as told, [`TestClock`] a clock that
//!   tests move: with tokio's paused time they drive the whole flow without a network and without waiting.
//! * [`conformance`] tests a store against the contract.
//! * [`ledger`] notes every secret that a test run makes, so that the run can search its own output for leaks.

mod clock;
pub mod conformance;
mod endpoint;
mod faults;
pub mod ledger;
mod random;
pub mod sandbox;

pub use clock::TestClock;
pub use endpoint::{FakeEndpoint, Plan, Rotation};
pub use faults::{FaultyStore, StoreFault, StoreOperation};
