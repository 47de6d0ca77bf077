//! A model check of the code that decides.
//!
//! Nothing of the protocol is written a second time: `wix-visitor-core`'s own flights, intents and reconciliation run here,
//! and only what surrounds them is a model: the store, the endpoint, time, and the driver's few lines that carry actions out.
//!
//! * [`config`] - what is explored
//! * `world` - the fleet, its store and its time; `instance` - one of the fleet
//! * `steps` - every step that is possible next; `flights`, `intents` - what comes of it; `deeds` - at the store and the endpoint
//! * [`endpoint`] - families of refresh tokens
//! * `judge` - what is found out about a state, and about an end
//! * [`weaken`] - how a rule is left out
//! * [`mod@explore`] - every interleaving, each state once
//! * [`finding`] - what is looked out for

mod canon;
pub mod config;
mod deeds;
pub mod endpoint;
pub mod explore;
pub mod finding;
mod flights;
mod instance;
mod intents;
mod judge;
mod replay;
mod steps;
pub mod weaken;
mod world;

pub use config::{Call, Config, Fault, MOST_OF_ONE, Start, names};
pub use endpoint::Behaviour;
pub use explore::{Explored, explore};
pub use finding::{Finding, Findings};
pub use replay::replay;
pub use weaken::Rule;
pub use world::Label;
