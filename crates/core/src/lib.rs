//! Placeholder while the modules land.
