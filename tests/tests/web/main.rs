//! Sessions in a web server: browsers with cookies, on axum and on bare tower, in paused time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code, also where no test attribute says so")]

mod browser;
mod cookies;
mod cross_site;
mod hand_over;
mod sealed;
mod sessions;
mod shop;
mod sign_in;
