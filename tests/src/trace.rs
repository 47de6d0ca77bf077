//! The log of a test process, with its spans and its metrics, for `cargo xtask test` to search for secrets.

use std::sync::Once;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::numbers::Numbers;

/// Writes the whole process's log to stderr, at the level that `RUST_LOG` says; without it, nothing. Each test that runs our
/// code says this first; only the first time counts.
///
/// A span shows when it opens and when it closes, with all its fields; a metric when it is first heard of, with all its labels.
pub fn to_stderr() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
            .init();
        // One is there already where a test has set it.
        let _ = metrics::set_global_recorder(Numbers::default());
    });
}
