//! What those who wait for a flight are told: that something was published, at last how it ended, and that their time is over.
//!
//! A channel of our own, since ten thousand may wait for one flight: those who are woken take no lock to learn what came, and one timer is
//! enough for all. By `tokio::sync::watch`, and with a timer for each, it takes two to three times as long until the last of them has gone
//! on.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::runtime::{self, Handle};

use crate::clock::Clock;
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

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    News,
    /// Until the time was over.
    Nothing,
}

/// What both sides share.
struct Told {
    clock: Arc<dyn Clock>,
    /// How often there was news. Grows under the lock of `room`, so that nobody enters it who would miss some.
    news: AtomicU64,
    end: OnceLock<End>,
    room: Mutex<Room>,
}

/// Those who wait.
#[derive(Default)]
struct Room {
    next: u64,
    /// Whose time is over first is the first.
    wakers: BTreeMap<Place, Waker>,
    bells: BTreeMap<u64, BellPlace>,
}

/// When, on the monotonic clock, the time of one who waits is over; and who came first.
type Place = (Duration, u64);

/// For those who wait until the end, however long it takes.
const NEVER: Duration = Duration::MAX;
const LATEST: Duration = NEVER.saturating_sub(Duration::from_nanos(1));

struct BellPlace {
    runtime: runtime::Id,
    /// Where it was hung, until it watches.
    hung: Option<ThreadId>,
    /// To be woken when the first in the room changes.
    waker: Option<Waker>,
}

impl Room {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// When the first one's time is over, if there is somebody whose time ends.
    fn first(&self) -> Option<Duration> {
        self.wakers.first_key_value().map(|((until, _), _)| *until).filter(|until| *until != NEVER)
    }

    fn bell_wakers(&mut self) -> Vec<Waker> {
        self.bells.values_mut().filter_map(|bell| bell.waker.take()).collect()
    }
}

impl Told {
    fn room(&self) -> MutexGuard<'_, Room> {
        // Nothing that can panic runs under the lock.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, for_good: bool) {
        let (bells, wakers) = {
            let mut room = self.room();
            self.news.fetch_add(1, Ordering::Release);
            (if for_good { room.bell_wakers() } else { Vec::new() }, mem::take(&mut room.wakers))
        };
        // Those who wait come last: who is woken last is the next to go on.
        bells.into_iter().chain(wakers.into_values()).for_each(Waker::wake);
    }
}

impl Progress {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> (Self, Waiting) {
        let told = Told { clock, news: AtomicU64::default(), end: OnceLock::new(), room: Mutex::default() };
        let told = Arc::new(told);
        (Self(Arc::clone(&told)), Waiting { told, known: 0 })
    }

    /// Something was published: whoever waits had better look.
    pub(crate) fn published(&self) {
        self.0.wake(false);
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
        // With nobody left whose time might be over, the bells go.
        self.0.wake(true);
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

    /// Until there is news that is not known yet, or until this moment on the monotonic clock. Dropped at any point, it leaves nothing
    /// behind. To be polled within a runtime: in that one the time is watched.
    pub(crate) fn news(&self, until: Duration) -> impl Future<Output = Heard> + Send + use<'_> {
        News { waiting: self, until: until.min(LATEST), place: None }
    }

    /// Until the end, whatever it is.
    pub(crate) async fn ended(mut self) {
        while self.end().is_none() {
            News { waiting: &self, until: NEVER, place: None }.await;
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
    until: Duration,
    /// Where in the room one's waker is, unless it was taken.
    place: Option<Place>,
}

impl News<'_> {
    fn is_there(&self) -> bool {
        self.waiting.told.news.load(Ordering::Acquire) != self.waiting.known
    }

    fn heard(&mut self, heard: Heard) -> Poll<Heard> {
        // Whoever told, or rang, has taken the waker.
        self.place = None;
        Poll::Ready(heard)
    }
}

impl Future for News<'_> {
    type Output = Heard;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Heard> {
        if self.is_there() {
            return self.heard(Heard::News);
        }
        let waker = context.waker().clone();
        // Whoever polls, which may be another runtime than before.
        let here = if self.until == NEVER { None } else { Handle::try_current().ok() };
        let told = &self.waiting.told;
        let mut room = told.room();
        if self.is_there() {
            drop(room);
            return self.heard(Heard::News);
        }
        if self.place.is_some_and(|place| !room.wakers.contains_key(&place)) {
            drop(room);
            return self.heard(Heard::Nothing);
        }
        let place = self.place.unwrap_or_else(|| (self.until, room.number()));
        let before = room.wakers.insert(place, waker);
        let is_new_first = before.is_none() && room.first() == Some(self.until);
        let rearmed = if is_new_first { room.bell_wakers() } else { Vec::new() };
        let bell = here.and_then(|here| Some((Bell::hang(told, &mut room, here.id())?, here)));
        // What drops a waker may end a task, and with it anything: not under the lock.
        drop(room);
        self.place = Some(place);
        drop(before);
        rearmed.into_iter().for_each(Waker::wake);
        if let Some((bell, here)) = bell {
            // In a runtime without timers ours panics: here, and not where nobody would see why this wait has no end.
            let _ = bell.told.clock.sleep(Duration::ZERO).as_mut().poll(context);
            here.spawn(bell.watch());
        }
        Poll::Pending
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

/// Wakes those whose time is over. There is one in each runtime in which somebody waits, or a few, so that nobody depends on another runtime
/// to go on.
struct Bell {
    told: Arc<Told>,
    number: u64,
}

impl Bell {
    /// A new one, if there is none in this runtime. One that another thread has hung and that does not watch yet is none: that thread may
    /// do something else for long before it lets its tasks go on, and others cannot always take them over.
    fn hang(told: &Arc<Told>, room: &mut Room, runtime: runtime::Id) -> Option<Self> {
        let is_ours = |hung| hung == thread::current().id();
        let counts = |bell: &BellPlace| bell.runtime == runtime && bell.hung.is_none_or(is_ours);
        if room.bells.values().any(counts) {
            return None;
        }
        let number = room.number();
        room.bells.insert(number, BellPlace { runtime, hung: Some(thread::current().id()), waker: None });
        Some(Self { told: Arc::clone(told), number })
    }

    /// As long as there is somebody whose time ends.
    async fn watch(self) {
        let clock = &self.told.clock;
        while let Some(first) = self.first() {
            let left = first.saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                () = clock.sleep(left) => self.ring(clock.monotonic().max(first)),
                () = self.other_first(first) => {}
            }
        }
    }

    /// When the first one's time is over. If nobody's is, the bell is gone, and whoever comes next needs another.
    fn first(&self) -> Option<Duration> {
        let mut room = self.told.room();
        if let Some(bell) = room.bells.get_mut(&self.number) {
            bell.hung = None;
        }
        let first = room.first();
        let gone = if first.is_none() { room.bells.remove(&self.number) } else { None };
        drop(room);
        drop(gone);
        first
    }

    /// Until somebody else's time is over first.
    async fn other_first(&self, first: Duration) {
        poll_fn(|context| {
            let waker = context.waker().clone();
            let mut room = self.told.room();
            if room.first() != Some(first) {
                return Poll::Ready(());
            }
            let before = room.bells.get_mut(&self.number).and_then(|bell| bell.waker.replace(waker));
            drop(room);
            drop(before);
            Poll::Pending
        })
        .await;
    }

    fn ring(&self, now: Duration) {
        let over = {
            let mut room = self.told.room();
            let left = room.wakers.split_off(&(now, u64::MAX));
            mem::replace(&mut room.wakers, left)
        };
        over.into_values().for_each(Waker::wake);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let place = self.told.room().bells.remove(&self.number);
        drop(place);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::task::yield_now;

    use super::*;
    use crate::clock::SystemClock;
    use crate::error::ErrorKind;

    fn progress() -> (Progress, Waiting) {
        Progress::new(Arc::new(SystemClock::default()))
    }

    fn failed() -> Result<Landing, Error> {
        Err(Error::new(ErrorKind::Busy, "for a test"))
    }

    fn waiting_in(waiting: &Waiting) -> usize {
        waiting.told.room().wakers.len()
    }

    #[tokio::test]
    async fn all_who_wait_hear_of_all_news_and_of_the_end() {
        let (progress, waiting) = progress();
        let crowd: Vec<_> = (0..30)
            .map(|_| {
                let mut waiting = waiting.clone();
                tokio::spawn(async move {
                    let mut heard = 0;
                    while waiting.end().is_none() {
                        waiting.news(LATEST).await;
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
        let (progress, mut waiting) = progress();
        progress.published();
        let mut late = waiting.clone();
        assert!(late.end().is_none());
        {
            let mut news = pin!(late.news(LATEST));
            tokio::select! {
                biased;
                _ = news.as_mut() => panic!("it was known"),
                () = yield_now() => {}
            }
            progress.published();
            news.await;
        }
        // Who has not looked since hears of it at once.
        waiting.news(LATEST).await;
        assert!(waiting.end().is_none());
        progress.ended(Ok(Landing::default()));
        waiting.ended().await;
        late.ended().await;
    }

    #[tokio::test]
    async fn a_flight_that_vanishes_is_an_end() {
        let (progress, mut waiting) = progress();
        let other = tokio::spawn(waiting.clone().ended());
        yield_now().await;
        drop(progress);
        other.await.unwrap();
        assert!(matches!(waiting.end(), Some(None)));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind_and_takes_nobody_along() {
        let (progress, waiting) = progress();
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
        let (progress, waiting) = progress();
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

    /// As tokio's, which can be paused.
    #[derive(Debug)]
    struct Paused(tokio::time::Instant);

    #[async_trait::async_trait]
    impl Clock for Paused {
        fn wall(&self) -> crate::clock::Timestamp {
            crate::clock::Timestamp::default()
        }

        fn monotonic(&self) -> Duration {
            self.0.elapsed()
        }

        async fn sleep(&self, duration: Duration) {
            tokio::time::sleep(duration).await;
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn paused() -> (Arc<Paused>, Progress, Waiting) {
        let clock = Arc::new(Paused(tokio::time::Instant::now()));
        let (progress, waiting) = Progress::new(clock.clone());
        (clock, progress, waiting)
    }

    fn two_runtimes() -> [runtime::Runtime; 2] {
        [(); 2].map(|()| runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap())
    }

    /// Begins to wait, and is not polled again here.
    fn begin(news: Pin<&mut impl Future<Output = Heard>>) {
        assert!(news.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    fn bells_in(waiting: &Waiting) -> usize {
        waiting.told.room().bells.len()
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_told_when_its_own_time_is_over_by_one_timer_whoever_came_first() {
        let (clock, progress, waiting) = paused();
        let mut crowd = Vec::new();
        for seconds in [5, 2, 9, 2, 7] {
            let (clock, waiting) = (Arc::clone(&clock), waiting.clone());
            crowd.push(tokio::spawn(async move {
                let heard = waiting.news(seconds * SECOND).await;
                (heard, clock.monotonic().as_secs())
            }));
            // To it, and to the bell: that has its timer set when the next one comes.
            yield_now().await;
            yield_now().await;
        }
        let patient = tokio::spawn(waiting.clone().ended());
        yield_now().await;
        assert_eq!((waiting_in(&waiting), bells_in(&waiting)), (6, 1));
        let mut told = Vec::new();
        for one in crowd {
            told.push(one.await.unwrap());
        }
        assert_eq!(told, [5, 2, 9, 2, 7].map(|seconds| (Heard::Nothing, seconds)));
        yield_now().await;
        assert_eq!((waiting_in(&waiting), bells_in(&waiting)), (1, 0), "who waits for the end has no time to be over");
        progress.ended(failed());
        patient.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn news_sets_nobodys_time_back_and_with_the_flight_the_bell_goes() {
        let (clock, progress, waiting) = paused();
        let mut one = waiting.clone();
        let one = tokio::spawn(async move {
            let mut heard = Vec::new();
            while one.end().is_none() && !heard.contains(&Heard::Nothing) {
                heard.push(one.news(3 * SECOND).await);
            }
            (heard, clock.monotonic().as_secs())
        });
        let other = tokio::spawn({
            let waiting = waiting.clone();
            async move { waiting.news(60 * SECOND).await }
        });
        tokio::time::sleep(SECOND).await;
        progress.published();
        assert_eq!(other.await.unwrap(), Heard::News);
        assert_eq!(one.await.unwrap(), (vec![Heard::News, Heard::Nothing], 3));

        let last = waiting.clone();
        let mut last = pin!(last.news(60 * SECOND));
        assert!(last.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready(), "it heard of nothing yet");
        let mut last = waiting.clone();
        assert!(last.end().is_none());
        let last = tokio::spawn(async move { last.news(60 * SECOND).await });
        yield_now().await;
        assert_eq!(bells_in(&waiting), 1);
        progress.ended(failed());
        assert_eq!(last.await.unwrap(), Heard::News);
        yield_now().await;
        assert_eq!(bells_in(&waiting), 0, "long before anybody's time is over");
    }

    #[test]
    fn nobodys_time_depends_on_a_runtime_that_stands_still_or_is_gone() {
        let [first, second] = two_runtimes();
        let (_, _progress, waiting) = first.block_on(async { paused() });
        let mut unpolled = pin!(waiting.news(SECOND));
        first.block_on(async {
            begin(unpolled.as_mut());
            yield_now().await;
        });
        assert_eq!(bells_in(&waiting), 1);
        // Nothing drives the first one from here on.
        second.block_on(async {
            let heard = tokio::time::timeout(60 * SECOND, waiting.news(2 * SECOND)).await;
            assert_eq!(heard, Ok(Heard::Nothing));
            yield_now().await;
        });
        drop(first);
        assert_eq!(bells_in(&waiting), 0);
    }

    /// A worker's newest task waits for the worker, and no other takes it over.
    #[test]
    fn nobodys_time_depends_on_a_task_that_holds_up_its_thread() {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let (_progress, waiting) = Progress::new(Arc::new(SystemClock::default()));
        let (held_up, other) = (waiting.clone(), waiting.clone());
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let (asked, has_asked) = tokio::sync::oneshot::channel();
            let first = tokio::spawn(async move {
                let mut news = pin!(held_up.news(60 * SECOND));
                begin(news.as_mut());
                asked.send(()).unwrap();
                wait.recv().unwrap();
            });
            has_asked.await.unwrap();
            let second = tokio::spawn(async move { other.news(Duration::ZERO).await });
            let heard = tokio::time::timeout(10 * SECOND, second).await;
            go_on.send(()).unwrap();
            first.await.unwrap();
            assert_eq!(heard.unwrap().unwrap(), Heard::Nothing);
        });
    }

    #[test]
    fn who_goes_on_waiting_in_another_runtime_is_told_there() {
        let [first, second] = two_runtimes();
        let (_, _progress, waiting) = second.block_on(async { paused() });
        let mut news = pin!(waiting.news(SECOND));
        first.block_on(async {
            begin(news.as_mut());
            yield_now().await;
        });
        let heard = second.block_on(async { tokio::time::timeout(60 * SECOND, news).await });
        assert_eq!(heard, Ok(Heard::Nothing));
    }
}
