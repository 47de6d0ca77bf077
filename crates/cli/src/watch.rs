//! Over the one thread that does everything, and reads the store too: a disk that hangs holds it up for no longer than a store has to open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;

/// How often it is looked, and how often in a row the thread may be found at the same piece of work.
const PAUSE: Duration = Duration::from_millis(500);
const LOOKS: u32 = 9;

/// Calls `end` where the thread of this runtime neither goes on nor waits for anything. It is looked again and again, since time alone also
/// passes where the whole process stands still.
pub(crate) fn over(builder: &mut Builder, end: impl FnOnce() + Send + 'static) {
    look_each(PAUSE, builder, end);
}

fn look_each(pause: Duration, builder: &mut Builder, end: impl FnOnce() + Send + 'static) {
    // Even while it works, odd while it waits.
    let turns = Arc::new(AtomicU64::new(0));
    let (waits, works) = (Arc::clone(&turns), Arc::clone(&turns));
    builder.on_thread_park(move || turn(&waits)).on_thread_unpark(move || turn(&works));
    let look = move || {
        let (mut last, mut looks) = (0, 0);
        while looks < LOOKS {
            thread::sleep(pause);
            let now = turns.load(Ordering::Relaxed);
            looks = if now == last && now.is_multiple_of(2) { looks + 1 } else { 0 };
            last = now;
        }
        end();
    };
    // Where there is not even room for this thread, the command does without.
    let _ = thread::Builder::new().name("watch".to_owned()).spawn(look);
}

fn turn(turns: &AtomicU64) {
    turns.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(20);

    fn ends_during(work: impl Future<Output = ()>) -> bool {
        let (ended, end) = mpsc::channel();
        let mut builder = Builder::new_current_thread();
        look_each(PAUSE, &mut builder, move || ended.send(()).unwrap());
        builder.enable_all().build().unwrap().block_on(work);
        end.try_recv().is_ok()
    }

    #[test]
    fn who_hangs_is_ended_and_who_waits_or_goes_on_is_not() {
        assert!(ends_during(async { thread::sleep(PAUSE * 20) }));
        assert!(!ends_during(async { tokio::time::sleep(PAUSE * 20).await }));
        assert!(!ends_during(async {
            for _ in 0..80 {
                thread::sleep(PAUSE / 4);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }));
    }
}
