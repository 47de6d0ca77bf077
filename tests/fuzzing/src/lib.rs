//! What is fuzzed: for each reader of untrusted input, a function that holds any bytes against what is promised of it.
//!
//! `fuzz/` feeds them bytes that it makes up; the test of this crate feeds them all that is kept in `fuzz/corpus`.

mod cookie;
mod error_body;
mod input;
mod marker;
mod origin;
mod record;
mod sealed;
mod store_url;
mod token_json;
mod token_reply;

/// A function that panics on a broken promise.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 9] = [
    ("cookie", cookie::check),
    ("error_body", error_body::check),
    ("input", input::check),
    ("origin", origin::check),
    ("record", record::check),
    ("sealed", sealed::check),
    ("store_url", store_url::check),
    ("token_json", token_json::check),
    ("token_reply", token_reply::check),
];

/// The target of this name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map_or_else(|| panic!("there is no target called {name}"), |(_, target)| *target)
}
