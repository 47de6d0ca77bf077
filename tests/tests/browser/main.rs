//! The shop of the examples in a real browser, on a sandbox of the test's own that counts what it is asked.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code, also where no test attribute says so")]

mod browser;
mod cart;
mod first_page;
mod harness;
mod scene;
mod scripts;
mod sign_in;
mod without_scripts;
