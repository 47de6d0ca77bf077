//! What the benchmarks measure, and what they measure it against.

mod crowd;
mod floor;
mod growth;
mod map;
mod site;

pub use crowd::{Crowd, crowd};
pub use floor::Floor;
pub use growth::{FEW, Growing, Kind};
pub use map::{BareMap, Value};
pub use site::{keys, runtime, shuffled, site};

/// Each pair is measured this often, in turns, so that a machine that is busy for a while slows both sides.
pub const ROUNDS: std::ops::RangeInclusive<u32> = 1..=7;
