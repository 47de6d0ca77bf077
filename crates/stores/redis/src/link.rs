//! One connection that many share: made when it is needed, by one for all who wait, and made anew when it is spoiled.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wix_visitor_core::StoreError;

use crate::error::unavailable;
use crate::pace::Pace;
use crate::wire::Wire;

type Connected = Pin<Box<dyn Future<Output = Result<Arc<dyn Wire>, StoreError>> + Send>>;
type Connect = Box<dyn Fn() -> Connected + Send + Sync>;
/// The last error of an attempt that goes on; closed when it is over.
type News = watch::Receiver<Option<StoreError>>;

#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    /// `None` for a connection that somebody else cares for.
    connect: Option<Connect>,
    /// The time for one try to connect.
    patience: Duration,
    /// Whether a spoiled connection serves on until there is a new one.
    overlap: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    generation: u64,
    live: Option<Arc<dyn Wire>>,
    attempt: Option<News>,
    /// When the last attempt began.
    tried: Option<Instant>,
}

/// A connection in use. Held by one operation at a time.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) wire: Arc<dyn Wire>,
    generation: u64,
}

impl Live {
    /// What tells a link's connections from one another.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How many operations are under way by it, this one among them.
    pub(crate) fn users(&self) -> usize {
        // The link has it too, unless it was spoiled meanwhile.
        Arc::strong_count(&self.wire) - 1
    }
}

impl Link {
    /// A link that connects when it is first used.
    pub(crate) fn new<F>(connect: impl Fn() -> F + Send + Sync + 'static, patience: Duration, overlap: bool) -> Self
    where
        F: Future<Output = Result<Arc<dyn Wire>, StoreError>> + Send + 'static,
    {
        let connect: Connect = Box::new(move || Box::pin(connect()));
        Self(Arc::new(Inner { connect: Some(connect), patience, overlap, state: Mutex::default() }))
    }

    /// A link on a connection that is there and mends itself.
    pub(crate) fn given(wire: Arc<dyn Wire>) -> Self {
        let state = Mutex::new(State { live: Some(wire), ..State::default() });
        Self(Arc::new(Inner { connect: None, patience: Duration::ZERO, overlap: true, state }))
    }

    /// The connection. Waits for it until then, or until an error says that waiting is of no use.
    pub(crate) async fn get(&self, until: Instant) -> Result<Live, StoreError> {
        let mut last = None;
        loop {
            let mut news = match self.live_or_news() {
                Ok(live) => return Ok(live),
                Err(news) => news,
            };
            loop {
                match timeout_at(until, news.changed()).await {
                    Err(_) => return Err(last.unwrap_or_else(slow)),
                    // The attempt is over: it succeeded, or its runtime is gone.
                    Ok(Err(_)) => break,
                    Ok(Ok(())) => {
                        last = news.borrow_and_update().clone();
                        if let Some(lasting) = last.take_if(|error| !error.is_transient()) {
                            return Err(lasting);
                        }
                    }
                }
            }
        }
    }

    /// The connection if there is one. If there is none, one is being made, unless that was tried within this time.
    pub(crate) fn at_hand(&self, rest: Duration) -> Option<Live> {
        let mut state = self.0.lock();
        let live = self.live(&mut state);
        if live.is_none() && state.tried.is_none_or(|tried| tried.elapsed() >= rest) {
            self.attempt(&mut state);
        }
        live
    }

    /// Says that a connection is of no more use: silent, closed, or to the wrong server.
    pub(crate) fn spoil(&self, live: &Live) {
        let mut state = self.0.lock();
        if state.generation != live.generation || self.0.connect.is_none() {
            return;
        }
        if self.0.overlap {
            self.attempt(&mut state);
        } else {
            state.live = None;
        }
    }

    fn live_or_news(&self) -> Result<Live, News> {
        let mut state = self.0.lock();
        self.live(&mut state).ok_or_else(|| self.attempt(&mut state))
    }

    fn live(&self, state: &mut State) -> Option<Live> {
        state.live.take_if(|wire| wire.is_closed());
        state.live.as_ref().map(|wire| Live { wire: Arc::clone(wire), generation: state.generation })
    }

    /// The attempt under way, or a new one. It is a task of its own, so that nobody who goes away takes it along.
    fn attempt(&self, state: &mut State) -> News {
        if let Some(news) = state.attempt.as_ref().filter(|news| news.has_changed().is_ok()) {
            let mut news = news.clone();
            // What earlier tries met is not the news of whoever comes only now.
            news.mark_unchanged();
            return news;
        }
        let (publish, news) = watch::channel(None);
        state.attempt = Some(news.clone());
        state.tried = Some(Instant::now());
        tokio::spawn(keep_trying(Arc::clone(&self.0), publish));
        news
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects, again and again while somebody waits for it.
async fn keep_trying(link: Arc<Inner>, publish: watch::Sender<Option<StoreError>>) {
    let Some(connect) = &link.connect else { return };
    let mut pace = Pace::new();
    loop {
        let error = match timeout(link.patience, connect()).await {
            Ok(Ok(wire)) => {
                let mut state = link.lock();
                state.generation += 1;
                state.live = Some(wire);
                state.attempt = None;
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => slow(),
        };
        publish.send_replace(Some(error));
        sleep(pace.next()).await;
        let mut state = link.lock();
        // The state holds one receiver itself.
        if publish.receiver_count() <= 1 {
            state.live = None;
            state.attempt = None;
            return;
        }
    }
}

fn slow() -> StoreError {
    unavailable("no connection came about within the timeout: the server is down, frozen, or too far away for it")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use redis::{Cmd, Value};
    use wix_visitor_core::StoreErrorKind;

    use super::*;
    use crate::error::misconfigured;
    use crate::wire::Answer;

    pub(crate) struct Dummy;

    impl Wire for Dummy {
        fn ask<'a>(&'a self, _: &'a Cmd) -> Answer<'a> {
            Box::pin(async { Ok(Value::Okay) })
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Answers the n-th try by `answer(n)`, counted from 1.
    fn link<F>(overlap: bool, answer: impl Fn(usize) -> F + Send + Sync + 'static) -> (Link, Arc<AtomicUsize>)
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let connect = move || {
            let answer = answer(counted.fetch_add(1, Ordering::SeqCst) + 1);
            async move {
                answer.await?;
                Ok(Arc::new(Dummy) as Arc<dyn Wire>)
            }
        };
        (Link::new(connect, SECOND, overlap), tries)
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_connection() {
        let (link, tries) = link(false, |_| async {
            sleep(SECOND / 2).await;
            Ok(())
        });
        let mut waiters = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let link = link.clone();
            waiters.spawn(async move { link.get(Instant::now() + SECOND).await.map(|live| live.generation) });
        }
        while let Some(generation) = waiters.join_next().await {
            assert_eq!(generation.unwrap().unwrap(), 1);
        }
        assert_eq!(tries.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_takes_the_attempt_from_nobody() {
        let (link, tries) = link(false, |_| async {
            sleep(SECOND / 2).await;
            Ok(())
        });
        let first = tokio::spawn({
            let link = link.clone();
            async move { link.get(Instant::now() + SECOND).await.is_ok() }
        });
        tokio::task::yield_now().await;
        first.abort();
        assert!(link.get(Instant::now() + SECOND).await.is_ok());
        assert_eq!(tries.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_trouble_is_waited_out_and_a_lasting_one_is_told_at_once() {
        let (passing, tries) = link(false, |n| async move { if n < 4 { Err(unavailable("not yet")) } else { Ok(()) } });
        assert!(passing.get(Instant::now() + SECOND).await.is_ok());
        assert_eq!(tries.load(Ordering::SeqCst), 4);

        let (lasting, _) =
            link(false, |n| async move { if n == 1 { Err(misconfigured("wrong password")) } else { Ok(()) } });
        let began = Instant::now();
        let error = lasting.get(began + SECOND).await.err().unwrap();
        assert_eq!((error.kind(), began.elapsed()), (StoreErrorKind::Misconfigured, Duration::ZERO));
        assert!(lasting.get(Instant::now() + SECOND).await.is_ok(), "what was put right works without a restart");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_beyond_his_deadline() {
        let (frozen, _) = link(false, |_| std::future::pending());
        let began = Instant::now();
        let (early, late) = tokio::join!(frozen.get(began + SECOND / 10), frozen.get(began + SECOND / 2));
        assert_eq!(early.err().unwrap().kind(), StoreErrorKind::Unavailable);
        assert_eq!(late.err().unwrap().kind(), StoreErrorKind::Unavailable);
        assert_eq!(began.elapsed(), SECOND / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_is_not_tried_in_a_hot_loop_and_not_without_anybody_waiting() {
        let (dead, tries) = link(false, |_| async { Err(unavailable("refused")) });
        for _ in 0..20 {
            assert!(dead.get(Instant::now() + SECOND).await.is_err());
        }
        let so_far = tries.load(Ordering::SeqCst);
        assert!(so_far < 200, "{so_far} tries in 20 s");
        sleep(60 * SECOND).await;
        assert!(tries.load(Ordering::SeqCst) <= so_far + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spoiled_connection_is_replaced_once() {
        let (link, tries) = link(false, |_| async { Ok(()) });
        let first = link.get(Instant::now() + SECOND).await.unwrap();
        link.spoil(&first);
        let second = link.get(Instant::now() + SECOND).await.unwrap();
        link.spoil(&first);
        assert_eq!(link.get(Instant::now() + SECOND).await.unwrap().generation, second.generation);
        assert_eq!(tries.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn with_overlap_the_old_one_serves_until_there_is_a_new_one() {
        let (link, _) = link(true, |n| async move {
            sleep(if n == 1 { Duration::ZERO } else { SECOND / 2 }).await;
            Ok(())
        });
        let first = link.get(Instant::now() + SECOND).await.unwrap();
        link.spoil(&first);
        assert_eq!(link.get(Instant::now() + SECOND).await.unwrap().generation, 1);
        sleep(SECOND).await;
        assert_eq!(link.get(Instant::now() + SECOND).await.unwrap().generation, 2);
    }

    #[test]
    fn a_new_runtime_finds_a_link_that_works() {
        let run = |work: &dyn Fn() -> Pin<Box<dyn Future<Output = bool>>>| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work())
        };
        let (link, _) = link(false, |n| async move { if n == 1 { std::future::pending().await } else { Ok(()) } });
        for expected in [false, true] {
            let link = link.clone();
            let connected = run(&move || {
                let link = link.clone();
                Box::pin(async move { link.get(Instant::now() + Duration::from_millis(50)).await.is_ok() })
            });
            assert_eq!(connected, expected);
        }
    }
}
