//! The log of a test process, for `cargo xtask test` to search for secrets.

use std::sync::Once;

use tracing_subscriber::EnvFilter;

/// Writes the whole process's log to stderr, at the level that `RUST_LOG` says; without it, nothing. Each test that runs our
/// code says this first; only the first time counts.
pub fn to_stderr() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
    });
}
