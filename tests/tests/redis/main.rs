//! The store on Redis and Valkey, against servers that this suite starts, harms and ends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod harness;
