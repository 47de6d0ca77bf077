//! Fingerprints of states in which only the equality of random ids counts, never their value.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::{FixedState, FoldHasher};

/// A hasher that renames 128-bit ids (etags, nonces, lineages: nothing else writes such a number) in the order in which it
/// meets them. So two states that differ in the names drawn, and in nothing else, are one.
pub(crate) struct Canon {
    hasher: FoldHasher<'static>,
    met: Vec<u128>,
}

impl Canon {
    pub(crate) fn new() -> Self {
        Self { hasher: FixedState::with_seed(0x77_69_78).build_hasher(), met: Vec::with_capacity(24) }
    }
}

impl Hasher for Canon {
    fn write(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.hasher.write_u8(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.hasher.write_u32(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.hasher.write_u64(number);
    }

    fn write_i64(&mut self, number: i64) {
        self.hasher.write_i64(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.hasher.write_usize(number);
    }

    fn write_isize(&mut self, number: isize) {
        self.hasher.write_isize(number);
    }

    fn write_u128(&mut self, id: u128) {
        let name = self.met.iter().position(|met| *met == id).unwrap_or_else(|| {
            self.met.push(id);
            self.met.len() - 1
        });
        self.hasher.write_usize(name);
    }

    fn finish(&self) -> u64 {
        self.hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hash;

    use super::*;

    fn of(value: impl Hash) -> u64 {
        let mut canon = Canon::new();
        value.hash(&mut canon);
        canon.finish()
    }

    #[test]
    fn ids_count_by_which_are_the_same_and_not_by_their_value() {
        assert_eq!(of((7u128, 9u128, 7u128)), of((1u128, 2u128, 1u128)));
        assert_ne!(of((7u128, 9u128, 7u128)), of((1u128, 2u128, 2u128)));
        assert_ne!(of(7u64), of(8u64));
    }
}
