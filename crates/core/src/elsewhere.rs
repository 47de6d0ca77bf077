//! Changes made elsewhere: heard from a store that tells of them, and looked for where none does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::driver::{Boarded, Driver};
use crate::entry::Entry;
use crate::error::StoreErrorKind;
use crate::events::EventKind;
use crate::key::KeyHash;
use crate::protocol::flight::Goal;
use crate::protocol::reconcile::{Held, Reconciled, reconcile};
use crate::record::decode;
use crate::store::{Change, Changes, Etag};

/// How soon after its first use a site begins to listen: later than most commands are over.
const BEGIN: Duration = Duration::from_secs(1);
/// For how long changes are gathered, so that a claim and its commit cost one look.
const GATHER: Duration = Duration::from_millis(300);
/// How many visitors are looked up at once.
const LOOKS: usize = 64;
/// The pause before listening again: at first, and at most.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(30);

/// What one process hears of its store.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    begun: AtomicBool,
    /// Since when no change has gone by untold, in milliseconds of the monotonic clock and one; 0 while nobody listens.
    since: AtomicU64,
    /// What was told and not yet looked at: of visitors in memory alone, and of each the last.
    heard: Mutex<Heard>,
}

type Heard = HashMap<KeyHash, Etag>;

impl Elsewhere {
    /// Whether all that has happened since this moment would have been heard of.
    pub(crate) fn covers(&self, moment: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since != 0 && u128::from(since) <= moment.as_millis()
    }

    /// Whether the store tells of changes.
    pub(crate) fn is_listening(&self) -> bool {
        self.since.load(Ordering::Relaxed) != 0
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listens(&self, now: Option<Duration>) {
        let since = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_add(1));
        self.since.store(since, Ordering::Relaxed);
    }
}

/// Nobody listens any more, however the listening ended.
struct Listening {
    driver: Weak<Driver>,
    /// There is no point in beginning again.
    for_good: bool,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.elsewhere.listens(None);
            // Whoever was to look at it may have gone with the same runtime.
            driver.elsewhere.heard().clear();
            driver.elsewhere.begun.store(self.for_good, Ordering::Relaxed);
        }
    }
}

impl Driver {
    /// Begins to listen, once.
    pub(crate) fn listen(self: &Arc<Self>, runtime: &Handle) {
        if self.elsewhere.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (weak, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
        let site = self.client_id.clone();
        // It keeps no site alive: with its last handle the listening ends.
        runtime.spawn(self.closing.unless_begun(async move {
            let mut listening = Listening { driver: Weak::clone(&weak), for_good: false };
            let hearer = Weak::clone(&weak);
            let changes = Changes::new(move |change| {
                if let Some(driver) = hearer.upgrade() {
                    driver.hear(change);
                }
            });
            clock.sleep(BEGIN).await;
            // Not before: who is gone by then has closed its store.
            let Some(store) = weak.upgrade().map(|driver| Arc::clone(&driver.store)) else { return };
            let mut pause = AGAIN_FIRST;
            loop {
                let Err(error) = store.watch(&site, &changes).await;
                let Some(driver) = weak.upgrade() else { return };
                if driver.elsewhere.since.swap(0, Ordering::Relaxed) != 0 {
                    pause = AGAIN_FIRST;
                }
                drop(driver);
                if error.kind() == StoreErrorKind::Unsupported {
                    tracing::debug!(%error, "visitors in use are looked up every few seconds");
                    listening.for_good = true;
                    return;
                }
                tracing::warn!(%error, "the store's changes are not heard; visitors in use are looked up meanwhile");
                clock.sleep(pause).await;
                pause = (pause * 2).min(AGAIN_MOST);
            }
        }));
    }

    fn hear(self: &Arc<Self>, change: Change) {
        let (key, etag) = match change {
            Change::Listening => return self.elsewhere.listens(Some(self.clock.monotonic())),
            Change::Written { key, etag } => (key, etag),
        };
        let Some(entry) = self.keys.hash_in(&key).and_then(|hash| self.snapshots.peek(&hash)) else { return };
        let mut heard = self.elsewhere.heard();
        if entry.etag() == Some(etag) {
            // Our own doing, and so was what came before it; or it has been seen.
            heard.remove(entry.hash());
            return;
        }
        // Those who wait for the claim of another holder look at once.
        entry.ring();
        let first = heard.is_empty();
        heard.insert(*entry.hash(), etag);
        drop(heard);
        let (true, Ok(runtime)) = (first, Handle::try_current()) else { return };
        let driver = Arc::downgrade(self);
        let clock = Arc::clone(&self.clock);
        runtime.spawn(self.closing.unless_begun(async move {
            clock.sleep(GATHER).await;
            if let Some(driver) = driver.upgrade() {
                driver.look_at_all().await;
            }
        }));
    }

    /// Sees whether what this process holds is what the store shows, while the present token serves.
    pub(crate) fn look(self: &Arc<Self>, entry: &Entry) {
        let (Ok(Boarded { joined: Some(_), .. }), Ok(runtime)) = (self.board(entry, Goal::Look), Handle::try_current())
        else {
            return;
        };
        let (driver, entry) = (Arc::clone(self), entry.clone());
        runtime.spawn(self.tasks.track(async move { driver.look_beside(&entry).await }));
    }

    /// Takes what another instance's application decided, while a flight is under way here: what that brings gives way to it, as
    /// it does to a decision of our own.
    async fn look_beside(&self, entry: &Entry) {
        let Ok(Some(stored)) = self.load(entry).await else { return };
        let (Ok(record), Some(held)) = (decode(&stored.bytes), entry.held()) else { return };
        let now = self.clock.now();
        let decided = record.epoch > held.record.epoch;
        if decided && reconcile(&held, Some(&record), now, &self.policy) == Reconciled::Adopt {
            entry.impose(&Held { record, etag: Some(stored.etag), seen: now }, &self.policy);
            self.settle(entry);
            self.report(entry, EventKind::Adopted);
        }
    }

    /// Looks at all that was heard of and is not known yet.
    async fn look_at_all(self: Arc<Self>) {
        let heard = std::mem::take(&mut *self.elsewhere.heard());
        let at_once = Arc::new(Semaphore::new(LOOKS));
        for (hash, etag) in heard {
            let Some(entry) = self.snapshots.peek(&hash) else { continue };
            if entry.etag().is_none_or(|own| own == etag) {
                continue;
            }
            let Ok(turn) = Arc::clone(&at_once).acquire_owned().await else { return };
            let Ok(Boarded { waiting, joined }) = self.board(&entry, Goal::Look) else { continue };
            let driver = Arc::clone(&self);
            tokio::spawn(async move {
                let end = waiting.ended();
                if joined.is_none() {
                    end.await;
                } else {
                    // A flight under way ends with what the store shows, but it may take as long as a grant does.
                    tokio::select! {
                        () = end => {}
                        () = driver.clock.sleep(GATHER) => {}
                    }
                    if entry.etag() != Some(etag) {
                        driver.look_beside(&entry).await;
                    }
                }
                drop(turn);
            });
        }
    }
}
