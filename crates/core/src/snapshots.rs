//! What one process keeps in memory: the snapshots of its visitors, within a budget of bytes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, Weighter};

use crate::entry::Entry;
use crate::key::StoreKey;
use crate::name::Name;

/// The snapshots of one site. Those that nobody uses go first, and among them those that were asked for once only; what is in use,
/// or not in the store yet, stays whatever the budget says.
pub(crate) struct Snapshots {
    cache: Cache<Name, Slot, InBytes, foldhash::fast::RandomState, Staying>,
    by_key: Arc<ByKey>,
}

/// An entry, and how many bytes the cache counts for it.
#[derive(Clone)]
struct Slot {
    entry: Arc<Entry>,
    bytes: u64,
}

#[derive(Clone)]
struct InBytes;

impl Weighter<Name, Slot> for InBytes {
    fn weight(&self, _: &Name, slot: &Slot) -> u64 {
        slot.bytes
    }
}

/// Who stays, and that who goes is found no more by the key under which a store tells of it.
#[derive(Clone)]
struct Staying(Arc<ByKey>);

impl Lifecycle<Name, Slot> for Staying {
    type RequestState = ();

    fn is_pinned(&self, _: &Name, slot: &Slot) -> bool {
        Arc::strong_count(&slot.entry) > 1 || slot.entry.is_unsaved()
    }

    fn on_evict(&self, (): &mut (), _: Name, slot: Slot) {
        // Also told of what is only replaced: then there is the new slot, and whoever replaces it.
        if Arc::strong_count(&slot.entry) == 1 {
            self.0.lock().remove(&slot.entry.spread);
        }
    }
}

/// Entries by the number of their store key. Two keys with the same one (a matter of 64 bits) are taken for each other at no
/// harm: the store is looked at once too often, or not at once. Who is evicted goes from here too, so it holds as many as the cache.
#[derive(Default)]
struct ByKey(Mutex<HashMap<u64, Weak<Entry>, foldhash::fast::RandomState>>);

impl ByKey {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Weak<Entry>, foldhash::fast::RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshots {
    /// None yet, and room for so many bytes of them.
    pub(crate) fn new(bytes: usize) -> Self {
        let by_key = Arc::<ByKey>::default();
        let budget = u64::try_from(bytes).unwrap_or(u64::MAX).max(1);
        let expected = usize::try_from(budget / Entry::SMALLEST).unwrap_or(usize::MAX);
        let staying = Staying(Arc::clone(&by_key));
        Self { cache: Cache::with(expected, budget, InBytes, foldhash::fast::RandomState::default(), staying), by_key }
    }

    /// The entry of this visitor key, which is made at its first use.
    pub(crate) fn of(&self, visitor_key: &str, store_key: impl FnOnce() -> StoreKey) -> Arc<Entry> {
        if let Some(slot) = self.cache.get(visitor_key) {
            return slot.entry;
        }
        let name = Name::new(visitor_key);
        let fresh = || {
            let entry = Arc::new(Entry::new(store_key(), name.clone()));
            self.by_key.lock().insert(entry.spread, Arc::downgrade(&entry));
            Ok::<_, std::convert::Infallible>(Slot { bytes: entry.bytes(), entry })
        };
        match self.cache.get_or_insert_with(&name, fresh) {
            Ok(slot) => slot.entry,
            Err(never) => match never {},
        }
    }

    /// The entry of this store key, if there is one.
    pub(crate) fn by_key(&self, key: &StoreKey) -> Option<Arc<Entry>> {
        self.by_key.lock().get(&key.spread())?.upgrade()
    }

    /// Counts the bytes of an entry anew, whose snapshot has changed.
    pub(crate) fn weigh(&self, entry: &Arc<Entry>) {
        let bytes = entry.bytes();
        if self.cache.peek(entry.name.as_str()).is_some_and(|slot| slot.bytes != bytes) {
            // One that is larger than the budget finds no room, and is forgotten once nobody uses it.
            let _ = self.cache.replace(entry.name.clone(), Slot { entry: Arc::clone(entry), bytes }, true);
        }
    }

    /// How many hold what is not in the store yet.
    pub(crate) fn unsaved(&self) -> usize {
        self.cache.iter().filter(|(_, slot)| slot.entry.is_unsaved()).count()
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("count", &self.cache.len()).field("bytes", &self.cache.weight()).finish()
    }
}
