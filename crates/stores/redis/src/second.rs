//! A second connection to the same server, by which reads go too while many operations are under way.
//!
//! The client has one task for each connection, which takes in all answers, and is what limits how many. Two such tasks take in more. A
//! third is worth nothing: the server is one thread.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wix_visitor_core::StoreError;

use crate::link::{Link, Live};
use crate::wire::Wire;

/// So many operations go by the first connection alone.
const MANY: usize = 8;
/// The time from one try to connect to the next.
const REST: Duration = Duration::from_secs(60);
/// After so many seconds without a use it is replaced: it may have been dropped on the way without a word. The first is used every two
/// seconds, where somebody watches.
const IDLE: u64 = 60;

/// Done without where it cannot be had, and gone with the first.
pub(crate) struct Second {
    link: Link,
    began: Instant,
    /// When there was use for it last, in seconds since then.
    wanted: AtomicU64,
}

impl Second {
    /// A try to connect takes that long at most.
    pub(crate) fn new<F>(connect: impl Fn() -> F + Send + Sync + 'static, patience: Duration) -> Self
    where
        F: Future<Output = Result<Arc<dyn Wire>, StoreError>> + Send + 'static,
    {
        Self { link: Link::new(connect, patience, false), began: Instant::now(), wanted: AtomicU64::new(0) }
    }

    /// The second connection, if one of so many operations had better go by that.
    pub(crate) fn at_hand(&self, under_way: usize) -> Option<Live> {
        if under_way <= MANY {
            return None;
        }
        let (now, wanted) = (self.began.elapsed().as_secs(), self.wanted.load(Ordering::Relaxed));
        if now != wanted {
            self.wanted.store(now, Ordering::Relaxed);
        }
        let live = self.link.at_hand(REST)?;
        if now.saturating_sub(wanted) > IDLE {
            self.link.spoil(&live);
            return None;
        }
        Some(live).filter(|live| live.users() <= under_way / 2)
    }

    /// It was of no use.
    pub(crate) fn spoil(&self, live: &Live) {
        self.link.spoil(live);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::time::advance;

    use super::*;
    use crate::error::unavailable;
    use crate::link::tests::Dummy;

    /// One to which no connection comes about until the third try; and how often it was tried.
    fn second() -> (Second, Arc<AtomicUsize>) {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let connect = move || {
            let tried = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move { if tried < 3 { Err(unavailable("full")) } else { Ok(Arc::new(Dummy) as Arc<dyn Wire>) } }
        };
        (Second::new(connect, Duration::from_secs(1)), tries)
    }

    /// Whether it is there for one of so many, a moment after it was found missing.
    async fn is_there(second: &Second, under_way: usize) -> bool {
        if second.at_hand(under_way).is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        second.at_hand(under_way).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_for_once_many_are_under_way_and_seldom() {
        let (second, tries) = second();
        assert!(!is_there(&second, MANY).await);
        assert_eq!(tries.load(Ordering::SeqCst), 0);
        for tried in 1..3 {
            for _ in 0..100 {
                assert!(!is_there(&second, MANY + 1).await);
                assert_eq!(tries.load(Ordering::SeqCst), tried);
            }
            advance(REST).await;
        }
        assert!(is_there(&second, MANY + 1).await);
        assert!(!is_there(&second, MANY).await);
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_no_more_than_half_of_them() {
        let (second, tries) = second();
        tries.store(2, Ordering::SeqCst);
        assert!(is_there(&second, 9).await);
        let held: Vec<_> = std::iter::from_fn(|| second.at_hand(20)).take(100).collect();
        assert_eq!(held.len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_idle_or_of_no_use_is_replaced() {
        let (second, tries) = second();
        tries.store(2, Ordering::SeqCst);
        assert!(is_there(&second, 20).await);
        advance(Duration::from_secs(IDLE)).await;
        assert!(second.at_hand(20).is_some());
        advance(Duration::from_secs(IDLE + 1)).await;
        assert!(second.at_hand(20).is_none());
        assert!(is_there(&second, 20).await);
        assert_eq!(tries.load(Ordering::SeqCst), 4);
        let live = second.at_hand(20).unwrap();
        second.spoil(&live);
        assert!(!is_there(&second, 20).await, "it was tried a moment ago");
        advance(REST).await;
        assert!(is_there(&second, 20).await);
    }
}
