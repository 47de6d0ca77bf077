//! Whether a write was begun: what its caller says of it when it waited in vain.

use std::sync::atomic::{AtomicU8, Ordering};

/// Of one write, shared by who does it and who waits for it.
#[derive(Debug, Default)]
pub struct Fate(AtomicU8);

impl Fate {
    const WAITING: u8 = 0;
    const BEGUN: u8 = 1;
    const ABANDONED: u8 = 2;

    /// The writer's question: may it be applied? From then on it may have been.
    pub fn begin(&self) -> bool {
        self.move_to(Self::BEGUN)
    }

    /// The caller's: is it certain that it never will be?
    pub fn abandon(&self) -> bool {
        self.move_to(Self::ABANDONED)
    }

    fn move_to(&self, to: u8) -> bool {
        match self.0.compare_exchange(Self::WAITING, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(now) => now == to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_is_decided_once() {
        let fate = Fate::default();
        assert!(fate.begin() && fate.begin() && !fate.abandon());
        let fate = Fate::default();
        assert!(fate.abandon() && !fate.begin());
    }
}
