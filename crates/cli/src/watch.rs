//! Over a store that is read in the command's one thread: a disk that hangs holds that up for no longer than a store has to open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How often it is looked, and how often in a row the same look at the store may be found under way: for as long as the longest timeout
/// gives a store to open.
const PAUSE: Duration = Duration::from_millis(500);
const LOOKS: u32 = 12;

/// Set once a look is given up.
const GIVEN_UP: u64 = 1 << 63;

/// Calls `end` where a look at the store hangs; the thread that looks does nothing more then, whatever the disk may still say. It is told
/// of each look's begin and end by a call. It is seen again and again, since time alone also passes where the whole process stands still.
pub(crate) fn over(end: impl FnOnce() + Send + 'static) -> Arc<dyn Fn() + Send + Sync> {
    look_after(|| thread::sleep(PAUSE), end)
}

fn look_after(
    mut pause: impl FnMut() + Send + 'static,
    end: impl FnOnce() + Send + 'static,
) -> Arc<dyn Fn() + Send + Sync> {
    // Odd while one is under way.
    let looks = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&looks);
    let watch = move || {
        let (mut last, mut times) = (0, 0);
        loop {
            pause();
            let now = seen.load(Ordering::Relaxed);
            times = if now == last && now % 2 == 1 { times + 1 } else { 0 };
            last = now;
            let give_up = || seen.compare_exchange(now, now | GIVEN_UP, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if times == LOOKS && give_up() {
                return end();
            }
        }
    };
    // Where there is not even room for this thread, the command does without.
    let _ = thread::Builder::new().name("watch".to_owned()).spawn(watch);
    Arc::new(move || {
        if looks.fetch_add(1, Ordering::AcqRel) & GIVEN_UP != 0 {
            // The process is about to end, and says that nothing was done.
            loop {
                thread::park();
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_look_that_hangs_is_given_up_and_nothing_else_is() {
        let ((pausing, paused), (go_on, gone_on)) = (mpsc::channel(), mpsc::channel());
        let (ended, end) = mpsc::channel();
        let pause = move || {
            pausing.send(()).unwrap();
            gone_on.recv().unwrap_or(());
        };
        let tell = look_after(pause, move || ended.send(()).unwrap());
        paused.recv().unwrap();
        let is_seen = |times: u32| {
            for _ in 0..times {
                go_on.send(()).unwrap();
                paused.recv().unwrap();
            }
        };
        for _ in 0..3 {
            tell();
            is_seen(LOOKS);
            tell();
        }
        // Whatever else takes long is nobody's business here.
        is_seen(3 * LOOKS);
        tell();
        is_seen(LOOKS);
        assert!(end.try_recv().is_err());
        go_on.send(()).unwrap();
        end.recv().unwrap();
        let (goes_on, went_on) = mpsc::channel();
        thread::spawn(move || {
            tell();
            goes_on.send(()).unwrap();
        });
        let nothing = went_on.recv_timeout(Duration::from_millis(50));
        assert_eq!(nothing, Err(mpsc::RecvTimeoutError::Timeout), "it is said that nothing was done");
    }
}
