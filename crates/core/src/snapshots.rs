//! What one process keeps in memory: the snapshots of its visitors, within a budget of bytes.

use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::entry::{Entry, Shared};
use crate::key::KeyHash;

/// What a visitor whose tokens are as long as Wix's takes, about: more fit into the budget if theirs are shorter.
const USUAL: u64 = 2048;

/// Fewer than this are kept in one piece anyway, and then the processors, which are slow to count, need not be.
const SHARED: usize = 63;

/// The snapshots of one site. Those that nobody uses go first, and among them those that were asked for once only; what is in use,
/// or not in the store yet, stays whatever the budget says.
pub(crate) struct Snapshots {
    cache: Cache<KeyHash, Slot, InBytes, BuildHasherDefault<Spread>, Staying>,
}

/// The number of a key as it is: it comes out of SHA-256, where nobody can choose it.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        // No key writes this.
        self.0 = bytes.iter().fold(self.0, |number, byte| number.rotate_left(8) ^ u64::from(*byte));
    }
}

/// What is known of a visitor, and how many bytes the cache counts for it.
#[derive(Clone)]
struct Slot {
    shared: Shared,
    bytes: u32,
}

#[derive(Clone)]
struct InBytes;

impl Weighter<KeyHash, Slot> for InBytes {
    fn weight(&self, _: &KeyHash, slot: &Slot) -> u64 {
        u64::from(slot.bytes)
    }
}

/// Who stays.
#[derive(Clone)]
struct Staying;

impl Lifecycle<KeyHash, Slot> for Staying {
    type RequestState = ();

    fn is_pinned(&self, _: &KeyHash, slot: &Slot) -> bool {
        slot.shared.is_in_use() || slot.shared.is_unsaved()
    }

    fn on_evict(&self, (): &mut (), _: KeyHash, _: Slot) {}
}

impl Snapshots {
    /// None yet, and room for so many bytes of them.
    pub(crate) fn new(bytes: usize) -> Self {
        let budget = u64::try_from(bytes).unwrap_or(u64::MAX).max(1);
        let expected = usize::try_from(budget / USUAL).unwrap_or(usize::MAX);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(expected).weight_capacity(budget);
        if expected < SHARED {
            options.shards(1);
        }
        let options = options.build().unwrap_or_else(|_| unreachable!("both numbers are given"));
        Self { cache: Cache::with_options(options, InBytes, BuildHasherDefault::default(), Staying) }
    }

    /// The entry of this visitor, which is made at its first use.
    pub(crate) fn of(&self, hash: KeyHash) -> Entry {
        let fresh = || {
            let shared = Shared::default();
            Ok::<_, Infallible>(Slot { bytes: shared.bytes(), shared })
        };
        match self.cache.get_or_insert_with(&hash, fresh) {
            Ok(slot) => Entry::new(hash, slot.shared),
            Err(never) => match never {},
        }
    }

    /// The entry of this visitor, if there is one: looking for it counts as no use.
    pub(crate) fn peek(&self, hash: KeyHash) -> Option<Entry> {
        Some(Entry::new(hash, self.cache.peek(&hash)?.shared))
    }

    /// Counts the bytes of an entry anew, whose snapshot has changed.
    pub(crate) fn weigh(&self, entry: &Entry) {
        let (hash, bytes) = (entry.hash(), entry.bytes());
        if self.cache.peek(&hash).is_some_and(|slot| slot.bytes != bytes) {
            // One that is larger than the budget finds no room, and is forgotten once nobody uses it.
            let _ = self.cache.replace(hash, Slot { shared: Shared::clone(entry), bytes }, true);
        }
    }

    /// How many hold what is not in the store yet.
    pub(crate) fn unsaved(&self) -> usize {
        self.cache.iter().filter(|(_, slot)| slot.shared.is_unsaved()).count()
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("count", &self.cache.len()).field("bytes", &self.cache.weight()).finish()
    }
}
