//! How far long work is: a bar where a person looks on, nothing where none does.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wix_visitor::StoreError;
use wix_visitor::housekeeping::{Failed, Housekeeper};

use crate::exit::{Exit, Failure};
use crate::output::Console;

/// A bar that ends when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(what: &'static str, console: Console) -> Self {
        // Drawn on a terminal alone.
        let target = if console.is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target).with_message(what);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows how far this housekeeper is.
    pub(crate) fn follow(&self, housekeeper: Housekeeper) -> Housekeeper {
        let bar = self.0.clone();
        housekeeper.on_progress(move |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The failure that a piece of housekeeping ends with if it passed records over; tells of each first.
pub(crate) fn passed_over(failed: &Failed, console: Console) -> Result<(), Failure> {
    if failed.count == 0 {
        return Ok(());
    }
    if failed.nameless > 0 {
        let count = failed.nameless;
        let text =
            format!("the keys of {count} records cannot be read, so nobody knows whose they are: restore the store");
        console.warning("unreadable_keys", &text);
    }
    for (visitor, error) in &failed.first {
        console.warning("passed_over", &format!("{error} [visitor {visitor}]"));
    }
    let told = failed.first.len();
    let more = if failed.count - failed.nameless > told as u64 {
        format!(", of which the first {told} are told above")
    } else {
        String::new()
    };
    let message = format!("{} records were passed over, and are as they were{more}", failed.count);
    Err(Failure::new(Exit::Store, "passed_over", message).advise("see what is said of each, and run this again"))
}

/// A store's failure while house was kept in it.
pub(crate) fn of_store(error: StoreError) -> Failure {
    let failure = Failure::new(Exit::Store, "store", error.to_string());
    match std::error::Error::source(&error) {
        Some(source) => failure.because(source),
        None => failure,
    }
}
