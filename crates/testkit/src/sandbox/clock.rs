//! The sandbox's own time: the machine's, moved by tests.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The wall clock plus an offset, so that a test lets four hours pass without waiting.
#[derive(Debug, Default)]
pub(super) struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    /// Milliseconds since the epoch; 0 for any time before it.
    pub(super) fn now_ms(&self) -> u64 {
        let now = i64::try_from(machine_ms()).unwrap_or(i64::MAX);
        now.saturating_add(self.offset_ms.load(Ordering::SeqCst)).try_into().unwrap_or(0)
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        // The closure always gives a value, so the update cannot fail.
        let _ =
            self.offset_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |offset| Some(offset.saturating_add(by)));
    }

    pub(super) fn set(&self, now: SystemTime) {
        let wanted = i64::try_from(since_epoch_ms(now)).unwrap_or(i64::MAX);
        let machine = i64::try_from(machine_ms()).unwrap_or(i64::MAX);
        self.offset_ms.store(wanted.saturating_sub(machine), Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.now_ms())
    }
}

fn machine_ms() -> u64 {
    since_epoch_ms(SystemTime::now())
}

fn since_epoch_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advanced_clock_is_ahead_of_the_machine() {
        let clock = Clock::default();
        clock.advance(Duration::from_secs(3600));
        assert!(clock.now_ms() >= machine_ms() + 3_599_000);
    }

    #[test]
    fn a_set_clock_shows_the_time_it_was_set_to() {
        let clock = Clock::default();
        clock.set(UNIX_EPOCH + Duration::from_secs(1_000_000));
        let passed = clock.now_ms() - 1_000_000_000;
        assert!(passed < 60_000, "{passed}");
    }
}
