//! What came of it: who is who in the end, in numbers and in words.

pub mod judge;
pub mod report;
pub mod told;
pub mod totals;
