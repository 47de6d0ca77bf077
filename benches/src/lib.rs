//! What many visitors do to the memory of a process.

mod crowd;
mod site;

pub use crowd::{Crowd, crowd};
pub use site::{keys, runtime, site};
