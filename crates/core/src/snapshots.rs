//! What one process keeps in memory: the snapshots of its visitors, within a budget of bytes.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::{HashTable, hash_table};

use crate::entry::Entry;
use crate::key::KeyHash;

/// What a visitor whose tokens are as long as Wix's takes, about: more fit into the budget if theirs are shorter.
const USUAL: usize = 2048;

/// As many shards at most, so that those who make visitors known do not wait for each other; in each there is room for so many.
const SHARDS: usize = 64;
const IN_A_SHARD: usize = 32;

/// Whoever makes a visitor known goes round twice at most for some to let go of, and looks at so many places each time: nobody waits for
/// longer, even if all are in use.
const LOOKS: usize = 128;

/// So many times at most the hand passes by a visitor who has come again and again. As it passes by nobody who came once, it goes round
/// once while as many come once as there is room for beside the others.
const MOST_CHANCES: u8 = 7;

/// The snapshots of one site. Those that nobody uses go first, and among them those that were asked for once only; what is in use,
/// or not in the store yet, stays whatever the budget says. So whoever holds an entry finds that very one here.
///
/// From the key's hash to what is known of a visitor it is three steps in memory, each of which may have to be waited for: a tag, a
/// slot, an entry. A cache that keeps its order in lists has one more.
pub(crate) struct Snapshots {
    shards: Box<[RwLock<Shard>]>,
    /// Of each shard, in bytes.
    budget: usize,
}

/// A table, around which a hand goes as that of a clock: who has no chance left when it comes has to go.
#[derive(Default)]
struct Shard {
    slots: HashTable<Slot>,
    bytes: usize,
    hand: usize,
}

struct Slot {
    /// Of the entry's hash, so that a table can grow without a look at each entry.
    spread: u64,
    entry: Entry,
}

/// What an entry's shard notes on it.
#[derive(Default)]
pub(crate) struct Place {
    /// As which it is counted: changed under the shard's lock alone.
    bytes: AtomicU32,
    /// How often the hand passes by it.
    chances: AtomicU8,
}

impl Place {
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) as usize
    }

    /// One chance more. If two come at once it may be one for both.
    fn came_again(&self) {
        let chances = self.chances.load(Ordering::Relaxed);
        if chances < MOST_CHANCES {
            self.chances.store(chances + 1, Ordering::Relaxed);
        }
    }

    /// How many chances it had, of which one is taken.
    fn pass_by(&self) -> u8 {
        let chances = self.chances.load(Ordering::Relaxed);
        self.chances.store(chances.saturating_sub(1), Ordering::Relaxed);
        chances
    }
}

impl Shard {
    fn find(&self, hash: &KeyHash) -> Option<&Entry> {
        let spread = hash.spread();
        Some(&self.slots.find(spread, |slot| slot.spread == spread && slot.entry.hash() == hash)?.entry)
    }

    /// The entry of this visitor, which nobody had found; somebody may have made it meanwhile.
    fn found_or_made(&mut self, hash: KeyHash) -> Entry {
        let spread = hash.spread();
        let is = |slot: &Slot| slot.spread == spread && *slot.entry.hash() == hash;
        match self.slots.entry(spread, is, |slot| slot.spread) {
            hash_table::Entry::Occupied(slot) => slot.get().entry.clone(),
            hash_table::Entry::Vacant(place) => {
                let entry = Entry::new(hash);
                place.insert(Slot { spread, entry: entry.clone() });
                self.count(&entry);
                entry
            }
        }
    }

    /// Counts what it takes by now.
    fn count(&mut self, entry: &Entry) {
        let (now, before) = (entry.bytes(), entry.place().bytes());
        entry.place().bytes.store(now, Ordering::Relaxed);
        self.bytes = self.bytes + now as usize - before;
    }

    /// Lets go of entries until the rest is within the budget, or of two at least who may go: the next one to come goes on.
    ///
    /// They are to be dropped when the lock is free, as what they hold may be anything.
    #[must_use]
    fn shrink(&mut self, budget: usize) -> Vec<Entry> {
        let mut gone = Vec::new();
        for _ in 0..2 {
            self.go_round(budget, &mut gone);
        }
        // Among places that are empty the hand would be long on its way.
        let (taken, places) = (self.slots.len(), self.slots.num_buckets());
        if places > LOOKS && taken < places / 16 {
            self.slots.shrink_to(2 * taken, |slot| slot.spread);
        }
        gone
    }

    /// Lets go of those who have no chance left. Where most come again before the hand does, all have some: then, once a sixteenth too much
    /// is kept, of the one who has the fewest.
    fn go_round(&mut self, budget: usize, gone: &mut Vec<Entry>) {
        let (before, mut fewest) = (gone.len(), None);
        for _ in 0..LOOKS {
            if self.bytes <= budget {
                return;
            }
            self.hand = if self.hand < self.slots.num_buckets() { self.hand + 1 } else { 0 };
            let Some(Slot { entry, .. }) = self.slots.get_bucket(self.hand) else { continue };
            if entry.is_in_use() || entry.is_unsaved() {
                continue;
            }
            let chances = entry.place().pass_by();
            if chances == 0 {
                gone.extend(self.let_go(self.hand));
            } else if fewest.is_none_or(|(fewest, _)| chances < fewest) {
                fewest = Some((chances, self.hand));
            }
        }
        if gone.len() == before
            && self.bytes > budget + budget / 16
            && let Some((_, place)) = fewest
        {
            gone.extend(self.let_go(place));
        }
    }

    fn let_go(&mut self, place: usize) -> Option<Entry> {
        let (Slot { entry, .. }, _) = self.slots.get_bucket_entry(place).ok()?.remove();
        self.bytes -= entry.place().bytes();
        Some(entry)
    }
}

impl Snapshots {
    /// None yet, and room for so many bytes of them.
    pub(crate) fn new(bytes: usize) -> Self {
        let shards = (bytes / (IN_A_SHARD * USUAL)).clamp(1, SHARDS);
        Self { shards: (0..shards).map(|_| RwLock::default()).collect(), budget: bytes / shards }
    }

    /// The entry of this visitor, which is made at its first use.
    pub(crate) fn of(&self, hash: KeyHash) -> Entry {
        if let Some(entry) = read(self.shard(&hash)).find(&hash) {
            entry.place().came_again();
            return entry.clone();
        }
        self.change(&hash, |shard| shard.found_or_made(hash))
    }

    /// The entry of this visitor, if there is one: looking for it counts as no use.
    pub(crate) fn peek(&self, hash: &KeyHash) -> Option<Entry> {
        read(self.shard(hash)).find(hash).cloned()
    }

    /// Counts the bytes of an entry anew, whose snapshot has changed.
    pub(crate) fn weigh(&self, entry: &Entry) {
        self.change(entry.hash(), |shard| shard.count(entry));
    }

    /// Does something in this key's shard, and brings that back into its budget.
    fn change<T>(&self, hash: &KeyHash, act: impl FnOnce(&mut Shard) -> T) -> T {
        let mut shard = write(self.shard(hash));
        let done = act(&mut shard);
        let gone = shard.shrink(self.budget);
        drop(shard);
        drop(gone);
        done
    }

    /// How many hold what is not in the store yet.
    pub(crate) fn unsaved(&self) -> usize {
        let unsaved = |shard| read(shard).slots.iter().filter(|slot| slot.entry.is_unsaved()).count();
        self.shards.iter().map(unsaved).sum()
    }

    fn shard(&self, hash: &KeyHash) -> &RwLock<Shard> {
        &self.shards[hash.one_of(self.shards.len())]
    }
}

// Nothing panics under the lock; were it poisoned, a table and numbers would still hold.

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |shard| read(shard).slots.len();
        let bytes = |shard| read(shard).bytes;
        f.debug_struct("Snapshots")
            .field("count", &self.shards.iter().map(count).sum::<usize>())
            .field("bytes", &self.shards.iter().map(bytes).sum::<usize>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Barrier};

    use super::*;
    use crate::key::{ClientId, SiteKeys};
    use crate::policy::Policy;
    use crate::protocol::testing::{record, saved};

    /// What a visitor takes without tokens.
    const EACH: usize = 256;

    fn hash(key: usize) -> KeyHash {
        SiteKeys::new("issuer", &ClientId::new("client").unwrap()).hash(&key.to_string())
    }

    fn count(snapshots: &Snapshots) -> usize {
        snapshots.shards.iter().map(|shard| read(shard).slots.len()).sum()
    }

    /// Of those who are in memory, as the shards have it and as they are.
    fn bytes(snapshots: &Snapshots) -> [usize; 2] {
        let shards = || snapshots.shards.iter().map(read);
        let of_all = |shard: RwLockReadGuard<'_, Shard>| {
            shard.slots.iter().map(|slot| slot.entry.bytes() as usize).sum::<usize>()
        };
        [shards().map(|shard| shard.bytes).sum(), shards().map(of_all).sum()]
    }

    /// Whether both are the same visitor's, and not just of the same name.
    fn same(one: &Entry, other: &Entry) -> bool {
        Arc::ptr_eq(&one.attachment::<AtomicUsize>(), &other.attachment::<AtomicUsize>())
    }

    #[test]
    fn whoever_is_held_stays_and_is_found_and_afterwards_the_budget_holds_again() {
        const HELD: usize = 10_000;
        for room in [0, 1, SHARDS * USUAL, 3 * IN_A_SHARD * USUAL] {
            let snapshots = Snapshots::new(room);
            let held: Vec<_> = (0..HELD).map(|key| snapshots.of(hash(key))).collect();
            for (key, entry) in held.iter().enumerate() {
                assert!(same(entry, &snapshots.of(hash(key))) && same(entry, &snapshots.peek(&hash(key)).unwrap()));
            }
            assert_eq!(count(&snapshots), HELD);
            for entry in held.iter().step_by(3) {
                entry.impose(&saved(record(1, 0), 0), &Policy::default());
                snapshots.weigh(entry);
            }
            let [counted, are] = bytes(&snapshots);
            assert_eq!(counted, are);
            drop(held);
            // Who has an attachment is as free to go as anybody.
            for key in HELD..3 * HELD {
                snapshots.of(hash(key));
            }
            let [counted, are] = bytes(&snapshots);
            assert_eq!(counted, are);
            // In each shard one may be held while another comes.
            assert!(counted <= room + snapshots.shards.len() * 1024, "{counted} bytes, for {room}");
        }
    }

    /// Room for some 2,000 visitors without tokens.
    fn for_2000() -> Snapshots {
        Snapshots::new(2_048 * EACH)
    }

    fn come(snapshots: &Snapshots, keys: std::ops::Range<usize>) {
        keys.for_each(|key| drop(snapshots.of(hash(key))));
    }

    fn kept(snapshots: &Snapshots, keys: std::ops::Range<usize>) -> usize {
        keys.filter(|key| snapshots.peek(&hash(*key)).is_some()).count()
    }

    #[test]
    fn twice_as_many_as_there_is_room_for_come_once_and_put_out_nobody_who_comes_again() {
        let snapshots = for_2000();
        for _ in 0..10 {
            come(&snapshots, 0..500);
        }
        for round in 1..10 {
            come(&snapshots, 10_000 * round..10_000 * round + 4_000);
            assert_eq!(kept(&snapshots, 0..500), 500, "after {round} rounds");
            come(&snapshots, 0..500);
            come(&snapshots, 0..500);
            come(&snapshots, 0..500);
        }
        let [counted, are] = bytes(&snapshots);
        assert_eq!(counted, are);
        assert!(counted <= 2_048 * EACH * 17 / 16, "{counted} bytes");
    }

    #[test]
    fn who_came_again_and_again_and_comes_no_more_makes_room_for_others_who_do() {
        let snapshots = for_2000();
        for crowd in [0..1_500, 10_000..11_500, 20_000..21_500] {
            for _ in 0..10 {
                come(&snapshots, crowd.clone());
            }
            let kept = kept(&snapshots, crowd.clone());
            assert!(kept > 1_400, "{kept} of {crowd:?}");
        }
    }

    #[test]
    fn there_is_an_end_to_it_even_where_all_come_again_before_the_hand_does() {
        let snapshots = Snapshots::new(160 * EACH);
        for all in 1..500 {
            come(&snapshots, 0..all);
            assert!(count(&snapshots) <= 171, "{} of {all}", count(&snapshots));
        }
    }

    #[test]
    fn who_come_first_at_once_are_one() {
        let snapshots = Snapshots::new(usize::MAX);
        for key in 0..2_000 {
            let hash = hash(key);
            let start = Barrier::new(4);
            let come = || {
                start.wait();
                snapshots.of(hash)
            };
            let found: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(come)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(found.iter().all(|entry| same(entry, &found[0])));
        }
        assert_eq!(count(&snapshots), 2_000);
        let [counted, are] = bytes(&snapshots);
        assert_eq!(counted, are);
    }
}
