//! The instances: their machines, what they see of store and endpoint, and who calls them.

pub mod calls;
pub mod machine;
pub mod seam;
pub mod turns;
