//! Draws that a seed repeats.

use std::time::Duration;

/// A source of them.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another one, which draws what this one does not.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Below this number.
    pub(super) fn below(&mut self, number: usize) -> usize {
        (self.next() % number.max(1) as u64) as usize
    }

    /// A moment within this time.
    pub(super) fn within(&mut self, time: Duration) -> Duration {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next() % micros.max(1))
    }

    /// A step of Weyl's sequence, with its bits mixed.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)] {
            bits = (bits ^ (bits >> shift)).wrapping_mul(factor);
        }
        bits ^ (bits >> 31)
    }
}
