//! The sandbox as a client sees it: over raw HTTP, with no client library that could smooth anything over.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

mod access;
mod client;
mod faults;
mod gates;
mod guide;
mod lifecycle;
mod log;
mod login;
mod replies;
mod rotation;
mod shop;
mod state_file;
mod tools;
