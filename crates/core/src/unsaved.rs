//! Which visitors' tokens are in this process alone, and since when.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::entry::Entry;
use crate::key::ClientId;
use crate::meters::UnsavedMeters;

/// Those of one site.
#[derive(Debug)]
pub(crate) struct Unsaved {
    /// By moment and visitor, so that the first has waited longest: looking through all of memory for it would take too long.
    waiting: Mutex<Waiting>,
    meters: UnsavedMeters,
}

type Waiting = BTreeMap<(Duration, u64), Now>;

impl Unsaved {
    pub(crate) fn new(site: &ClientId) -> Self {
        Self { waiting: Mutex::default(), meters: UnsavedMeters::new(site) }
    }

    /// What this process holds of a visitor has changed.
    pub(crate) fn note(&self, entry: &Entry) {
        // Read under the lock, so that of two who say so at once the later one has the last word.
        entry.state(|state| match (state.unsaved_since, entry.unsaved_since()) {
            (None, Some(now)) => {
                state.unsaved_since = Some(now.monotonic);
                let mut waiting = self.waiting();
                waiting.insert((now.monotonic, entry.spread()), now);
                self.meters.came(oldest(&waiting));
            }
            (Some(since), None) => {
                state.unsaved_since = None;
                let mut waiting = self.waiting();
                waiting.remove(&(since, entry.spread()));
                self.meters.went(1, oldest(&waiting));
            }
            // What came on top waits as long as what it came on top of.
            (None, None) | (Some(_), Some(_)) => {}
        });
    }

    /// How many there are, and since when the oldest waits.
    pub(crate) fn sum(&self) -> (usize, Option<Now>) {
        let waiting = self.waiting();
        (waiting.len(), waiting.first_key_value().map(|(_, since)| *since))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn oldest(waiting: &Waiting) -> Option<Timestamp> {
    waiting.first_key_value().map(|(_, since)| since.wall)
}

impl Drop for Unsaved {
    /// They went with the site.
    fn drop(&mut self) {
        let left = std::mem::take(&mut *self.waiting()).len();
        if left > 0 {
            self.meters.went(u32::try_from(left).unwrap_or(u32::MAX), None);
        }
    }
}
