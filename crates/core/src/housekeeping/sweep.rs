//! From page to page through a store's keys, with many of them in work at once.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::{Housekeeper, is_a_visitors};
use crate::clock::Clock;
use crate::error::{StoreError, StoreErrorKind};
use crate::key::{StoreKey, VisitorId};
use crate::store::{Cursor, Page};

/// How many keys a page has.
const PAGE: usize = 1000;
/// How often something is tried that may work later, and the pauses between: these, doubled each time.
const TRIES: u32 = 7;
const PAUSE: Duration = Duration::from_millis(50);
/// How often a record may change under our hands before that is an error.
pub(crate) const TURNS: usize = 32;
/// How many failures are told of one by one.
const TOLD: usize = 100;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records that are done with.
    pub done: u64,
    /// How many there were at the beginning.
    pub total: u64,
}

/// Records that something could not be done to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Failed {
    /// How many.
    pub count: u64,
    /// Of these, how many whose very keys cannot be read, so that nobody knows whose they are.
    pub nameless: u64,
    /// The first hundred of them, and why.
    pub first: Vec<(VisitorId, StoreError)>,
}

impl Failed {
    pub(super) fn note(&mut self, visitor: VisitorId, error: StoreError) {
        tracing::warn!(%visitor, %error, "housekeeping passed a record over");
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push((visitor, error));
        }
    }

    fn note_nameless(&mut self, count: u64) {
        if count > 0 {
            tracing::warn!(count, "housekeeping passed over records whose keys cannot be read");
        }
        self.count = self.count.saturating_add(count);
        self.nameless = self.nameless.saturating_add(count);
    }
}

impl Housekeeper {
    /// Does this to every key, and hands on what came of each. What failed for now is tried again; what fails for good is noted, and
    /// the rest goes on.
    pub(super) async fn sweep<T, W>(
        &self,
        work: impl Fn(StoreKey) -> W + Clone + Send + Sync + 'static,
        mut done: impl FnMut(T),
    ) -> Result<Failed, StoreError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, StoreError>> + Send,
    {
        // Nobody else has a use for it, and it takes a look at every key.
        let total = if self.progress.is_some() { self.count().await? } else { 0 };
        let (mut seen, mut failed, mut nameless) = (0, Failed::default(), 0_u64);
        let mut running = JoinSet::new();
        let mut note = |ended: Option<Result<Ended<T>, JoinError>>| {
            match ended {
                Some(Ok((_, Ok(outcome)))) => done(outcome),
                Some(Ok((visitor, Err(error)))) => failed.note(visitor, error),
                Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
                _ => return,
            }
            seen += 1;
            if let Some(tell) = &self.progress {
                tell(Progress { done: seen, total: total.max(seen) });
            }
        };
        let mut from = None;
        loop {
            let page = self.page(from.as_ref()).await?;
            nameless = nameless.saturating_add(page.unreadable);
            for key in page.keys.into_iter().filter(is_a_visitors) {
                while running.len() >= self.in_flight {
                    note(running.join_next().await);
                }
                let (work, clock) = (work.clone(), Arc::clone(&self.clock));
                running.spawn(async move {
                    let visitor = key.visitor_id();
                    (visitor, patiently(&*clock, || work(key.clone())).await)
                });
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        while !running.is_empty() {
            note(running.join_next().await);
        }
        failed.note_nameless(nameless);
        Ok(failed)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let (mut count, mut from) = (0, None);
        loop {
            let page = self.page(from.as_ref()).await?;
            count += page.keys.iter().filter(|key| is_a_visitors(key)).count() as u64;
            from = page.next;
            if from.is_none() {
                return Ok(count);
            }
        }
    }

    async fn page(&self, from: Option<&Cursor>) -> Result<Page, StoreError> {
        patiently(&*self.clock, || self.store.list(self.site.as_ref(), from, PAGE)).await
    }
}

/// Which record it was, and how it went.
type Ended<T> = (VisitorId, Result<T, StoreError>);

/// Tries something until it works, or fails for good or too often: a store may answer for a while that it cannot, or that nobody
/// knows.
pub(super) async fn patiently<T, F>(clock: &dyn Clock, mut work: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match work().await {
            Err(error) if error.is_transient() => tracing::debug!(%error, "housekeeping tries again"),
            done => return done,
        }
        clock.sleep(pause).await;
        pause *= 2;
    }
    work().await
}

/// What is said when a record was changed by others each time.
pub(crate) fn keeps_changing() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "token", "the record keeps changing")
}
