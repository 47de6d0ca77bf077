//! What those who wait for a flight are told: that something was published, and at last how it ended.
//!
//! A channel of our own, since ten thousand may wait for one flight: those who are woken take no lock to learn what came, and meet one
//! another nowhere. By `tokio::sync::watch` it takes two to three times as long until the last of them has gone on.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::protocol::flight::Landing;

/// How a flight ended; `None` if it vanished without a word, since its runtime was dropped or something panicked.
pub(crate) type End = Option<Result<Landing, Error>>;

/// The flight's side. Dropped before the end was told, it tells that the flight vanished.
pub(crate) struct Progress(Arc<Told>);

/// The side of one who waits. A clone knows what this one knows.
#[derive(Clone)]
pub(crate) struct Waiting {
    told: Arc<Told>,
    /// How much of the news is known here.
    known: u64,
}

/// What both sides share.
#[derive(Default)]
struct Told {
    /// How often there was news. Grows under the lock of `room`, so that nobody enters it who would miss some.
    news: AtomicU64,
    end: OnceLock<End>,
    room: Mutex<Room>,
}

/// Those who wait, in the order in which they came.
#[derive(Default)]
struct Room {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Told {
    fn room(&self) -> MutexGuard<'_, Room> {
        // Nothing that can panic runs under the lock.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let wakers = {
            let mut room = self.room();
            self.news.fetch_add(1, Ordering::Release);
            mem::take(&mut room.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Progress {
    pub(crate) fn new() -> (Self, Waiting) {
        let told = Arc::<Told>::default();
        (Self(Arc::clone(&told)), Waiting { told, known: 0 })
    }

    /// Something was published: whoever waits had better look.
    pub(crate) fn published(&self) {
        self.0.wake();
    }

    /// The flight is over.
    pub(crate) fn ended(self, end: Result<Landing, Error>) {
        // Said once: this consumes the only one who does.
        let _ = self.0.end.set(Some(end));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.end.get_or_init(|| None);
        self.0.wake();
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl Waiting {
    /// The end, once it was told. All news so far is known then.
    pub(crate) fn end(&mut self) -> Option<&End> {
        self.known = self.told.news.load(Ordering::Acquire);
        self.told.end.get()
    }

    /// Until there is news that is not known yet. Dropped at any point, it leaves nothing behind.
    pub(crate) fn news(&self) -> impl Future<Output = ()> + Send + use<'_> {
        News { waiting: self, place: None }
    }

    /// Until the end, whatever it is.
    pub(crate) async fn ended(mut self) {
        while self.end().is_none() {
            self.news().await;
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("known", &self.known).finish_non_exhaustive()
    }
}

struct News<'a> {
    waiting: &'a Waiting,
    /// Where in the room one's waker is, unless it was taken.
    place: Option<u64>,
}

impl News<'_> {
    fn is_there(&self) -> bool {
        self.waiting.told.news.load(Ordering::Acquire) != self.waiting.known
    }
}

impl Future for News<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_there() {
            let waker = context.waker().clone();
            let mut room = self.waiting.told.room();
            if !self.is_there() {
                let place = *self.place.get_or_insert(room.next);
                room.next = room.next.max(place + 1);
                let before = room.wakers.insert(place, waker);
                // What drops a waker may end a task, and with it anything: not under the lock.
                drop(room);
                drop(before);
                return Poll::Pending;
            }
        }
        // Whoever told has taken all wakers.
        self.place = None;
        Poll::Ready(())
    }
}

impl Drop for News<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.filter(|_| !self.is_there()) {
            let waker = self.waiting.told.room().wakers.remove(&place);
            drop(waker);
        }
    }
}
