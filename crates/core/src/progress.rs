//! What those who wait for a flight are told: that something was published, and at last how it ended.
//!
//! A channel of our own, since ten thousand may wait for one flight: those who are woken take no lock to learn what came. By
//! `tokio::sync::watch` it takes two to three times as long until the last of them has gone on.

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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::task::yield_now;

    use super::*;
    use crate::error::ErrorKind;

    fn failed() -> Result<Landing, Error> {
        Err(Error::new(ErrorKind::Busy, "for a test"))
    }

    fn waiting_in(waiting: &Waiting) -> usize {
        waiting.told.room().wakers.len()
    }

    #[tokio::test]
    async fn all_who_wait_hear_of_all_news_and_of_the_end() {
        let (progress, waiting) = Progress::new();
        let crowd: Vec<_> = (0..30)
            .map(|_| {
                let mut waiting = waiting.clone();
                tokio::spawn(async move {
                    let mut heard = 0;
                    while waiting.end().is_none() {
                        waiting.news().await;
                        heard += 1;
                    }
                    (heard, waiting.end().cloned())
                })
            })
            .collect();
        yield_now().await;
        assert_eq!(waiting_in(&waiting), 30);
        for _ in 0..3 {
            progress.published();
            yield_now().await;
        }
        progress.ended(failed());
        for one in crowd {
            let (heard, end) = one.await.unwrap();
            assert_eq!(heard, 4);
            assert_eq!(end.unwrap().unwrap().unwrap_err().kind(), ErrorKind::Busy);
        }
        assert_eq!(waiting_in(&waiting), 0);
    }

    #[tokio::test]
    async fn news_from_before_is_known_and_news_since_is_not_waited_for() {
        let (progress, mut waiting) = Progress::new();
        progress.published();
        let mut late = waiting.clone();
        assert!(late.end().is_none());
        {
            let mut news = pin!(late.news());
            tokio::select! {
                biased;
                () = news.as_mut() => panic!("it was known"),
                () = yield_now() => {}
            }
            progress.published();
            news.await;
        }
        // Who has not looked since hears of it at once.
        waiting.news().await;
        assert!(waiting.end().is_none());
        progress.ended(Ok(Landing::default()));
        waiting.ended().await;
        late.ended().await;
    }

    #[tokio::test]
    async fn a_flight_that_vanishes_is_an_end() {
        let (progress, mut waiting) = Progress::new();
        let other = tokio::spawn(waiting.clone().ended());
        yield_now().await;
        drop(progress);
        other.await.unwrap();
        assert!(matches!(waiting.end(), Some(None)));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind_and_takes_nobody_along() {
        let (progress, waiting) = Progress::new();
        let crowd: Vec<_> = (0..10).map(|_| tokio::spawn(waiting.clone().ended())).collect();
        yield_now().await;
        assert_eq!(waiting_in(&waiting), 10);
        for one in &crowd[..9] {
            one.abort();
        }
        yield_now().await;
        assert_eq!(waiting_in(&waiting), 1);
        progress.ended(failed());
        let mut ended = 0;
        for one in crowd {
            ended += usize::from(one.await.is_ok());
        }
        assert_eq!(ended, 1);
    }

    #[tokio::test]
    async fn who_is_polled_by_another_task_is_woken_there() {
        let (progress, waiting) = Progress::new();
        let mut news = Box::pin(async move { waiting.ended().await });
        // Once here, and from then on elsewhere.
        tokio::select! {
            biased;
            () = news.as_mut() => panic!("there was no news"),
            () = yield_now() => {}
        }
        let elsewhere = tokio::spawn(news);
        yield_now().await;
        progress.ended(failed());
        elsewhere.await.unwrap();
    }
}
