//! The log on standard error.

use tracing_subscriber::EnvFilter;

use crate::output::colour;

/// Starts the log: as `RUST_LOG` says, or else by the number of `-v`; without either there is none.
pub(crate) fn start(verbose: u8) {
    let wanted = std::env::var("RUST_LOG").ok().filter(|value| !value.trim().is_empty());
    let ours = match verbose {
        0 => None,
        1 => Some("warn,wix_visitor=info"),
        2 => Some("info,wix_visitor=debug"),
        _ => Some("debug,wix_visitor=trace"),
    };
    let Some(filter) = wanted.as_deref().or(ours) else { return };
    // Only this call sets one, so it cannot be there already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_writer(std::io::stderr)
        .with_ansi(colour(&std::io::stderr()))
        // They would be printed by a macro that panics where nobody reads.
        .log_internal_errors(false)
        .try_init();
}

/// Whether anything may be written to the log.
pub(crate) fn is_on() -> bool {
    tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF
}
