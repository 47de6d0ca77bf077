//! The records of one shard, and when those past their time are swept out.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use wix_visitor_core::{Etag, Exchange, StoreKey, Stored};

/// Below this many records a sweep is not worth its while.
const SMALLEST_SWEEP: usize = 64;

#[derive(Default)]
pub(crate) struct Shelf {
    records: HashTable<Record>,
    sweep_at: usize,
}

struct Record {
    /// Of its key.
    hash: u64,
    etag: Etag,
    /// On the monotonic clock.
    keep_until: Duration,
    /// The key's text, and behind it what is kept: a load finds both in one place.
    text: Vec<u8>,
    key: usize,
}

/// Which record is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    key: &'a StoreKey,
    hash: u64,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(key: &'a StoreKey, hasher: &RandomState) -> Self {
        Self { key, hash: hasher.hash_one(key.as_str()) }
    }

    /// On which of so many shelves it is. The lowest and the highest bits say where on it.
    pub(crate) fn shelf(&self, shelves: usize) -> usize {
        // The remainder is below a number that fits.
        ((self.hash >> 32) % shelves as u64) as usize
    }

    fn is(&self, record: &Record) -> bool {
        record.key() == self.key.as_str().as_bytes()
    }
}

impl Record {
    fn new(wanted: Wanted<'_>, new: &Stored, keep_until: Duration) -> Self {
        let key = wanted.key.as_str().as_bytes();
        let text = [key, &new.bytes].concat();
        Self { hash: wanted.hash, etag: new.etag, keep_until, text, key: key.len() }
    }

    fn key(&self) -> &[u8] {
        &self.text[..self.key]
    }

    fn stored(&self) -> Stored {
        Stored { etag: self.etag, bytes: self.text[self.key..].to_vec() }
    }

    /// Over the old bytes, where there is room already, rather than beside them.
    fn replace(&mut self, new: &Stored, keep_until: Duration) {
        self.text.truncate(self.key);
        self.text.extend_from_slice(&new.bytes);
        self.etag = new.etag;
        self.keep_until = keep_until;
    }
}

impl Shelf {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = StoreKey> {
        // Each was a key when it came.
        self.records.iter().filter_map(|record| StoreKey::parse(std::str::from_utf8(record.key()).ok()?).ok())
    }

    pub(crate) fn load(&self, wanted: Wanted<'_>) -> Option<Stored> {
        self.records.find(wanted.hash, |record| wanted.is(record)).map(Record::stored)
    }

    pub(crate) fn exchange(
        &mut self,
        now: Duration,
        wanted: Wanted<'_>,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Exchange {
        let keep_until = now.saturating_add(keep);
        match self.records.entry(wanted.hash, |record| wanted.is(record), |record| record.hash) {
            Entry::Occupied(mut standing) if expected == Some(&standing.get().etag) => {
                standing.get_mut().replace(new, keep_until);
                Exchange::Swapped
            }
            Entry::Occupied(standing) => Exchange::Conflict(Some(standing.get().stored())),
            Entry::Vacant(_) if expected.is_some() => Exchange::Conflict(None),
            Entry::Vacant(place) => {
                place.insert(Record::new(wanted, new, keep_until));
                self.sweep_if_grown(now);
                Exchange::Swapped
            }
        }
    }

    /// A sweep looks at every record, so it waits until as many were added as the last one left: a constant cost for each.
    fn sweep_if_grown(&mut self, now: Duration) {
        if self.records.len() <= self.sweep_at.max(SMALLEST_SWEEP) {
            return;
        }
        self.records.retain(|record| record.keep_until >= now);
        self.sweep_at = self.records.len() * 2;
        // What a crowd of one-shot visitors took is given back, with room for as many again as are left.
        self.records.shrink_to(self.sweep_at.max(SMALLEST_SWEEP), |record| record.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(n: usize) -> StoreKey {
        StoreKey::parse(&format!("site/{n}")).unwrap()
    }

    fn wanted(key: &StoreKey) -> Wanted<'_> {
        static HASHER: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::default);
        Wanted::new(key, &HASHER)
    }

    fn record(n: u128) -> Stored {
        Stored { etag: Etag::from_bits(n), bytes: n.to_be_bytes().to_vec() }
    }

    fn put(shelf: &mut Shelf, now: Duration, n: usize, keep: Duration) {
        assert_eq!(shelf.exchange(now, wanted(&key(n)), None, &record(n as u128), keep), Exchange::Swapped);
    }

    #[test]
    fn a_crowd_of_short_lived_records_stays_bounded_and_drops_no_live_one() {
        let mut shelf = Shelf::default();
        for n in 0..1000 {
            put(&mut shelf, Duration::ZERO, n, Duration::MAX);
        }
        let mut most = 0;
        for n in 1000..100_000 {
            put(&mut shelf, Duration::from_secs(n as u64), n, Duration::from_secs(10));
            most = most.max(shelf.len());
        }
        assert!(most <= 2 * (1000 + 10) + 2, "{most} records held for about 1,010 live ones");
        assert!((0..1000).all(|n| shelf.load(wanted(&key(n))) == Some(record(n as u128))));
        assert!(shelf.records.capacity() < 20_000);
    }

    #[test]
    fn a_record_is_kept_until_the_very_end_of_its_keep() {
        let mut shelf = Shelf::default();
        put(&mut shelf, Duration::ZERO, 0, HOUR);
        for n in 1..200 {
            put(&mut shelf, HOUR, n, Duration::ZERO);
        }
        assert!(shelf.load(wanted(&key(0))).is_some());
        for n in 200..600 {
            put(&mut shelf, HOUR + Duration::from_nanos(1), n, HOUR);
        }
        assert!(shelf.load(wanted(&key(0))).is_none(), "swept once its time is over");
    }

    #[test]
    fn a_record_of_another_length_takes_the_place_of_the_one_before_and_keys_stay_what_they_were() {
        let (mut shelf, key) = (Shelf::default(), key(7));
        let mut standing = None;
        for (n, length) in [3, 0, 200, 1].into_iter().enumerate() {
            let new = Stored { etag: Etag::from_bits(n as u128), bytes: vec![b'x'; length] };
            let done = shelf.exchange(Duration::ZERO, wanted(&key), standing.as_ref(), &new, HOUR);
            assert_eq!(done, Exchange::Swapped);
            assert_eq!(shelf.load(wanted(&key)).as_ref(), Some(&new));
            standing = Some(new.etag);
        }
        assert_eq!(shelf.keys().collect::<Vec<_>>(), [key]);
    }

    #[test]
    fn two_keys_of_one_hash_are_two_records() {
        let (mut shelf, one, other) = (Shelf::default(), key(1), key(2));
        let alike = |key| Wanted { key, hash: 0 };
        for (n, key) in [&one, &other].into_iter().enumerate() {
            let done = shelf.exchange(Duration::ZERO, alike(key), None, &record(n as u128), HOUR);
            assert_eq!(done, Exchange::Swapped);
        }
        assert_eq!(shelf.load(alike(&one)), Some(record(0)));
        assert_eq!(shelf.load(alike(&other)), Some(record(1)));
    }

    #[test]
    fn a_swap_sets_the_keep_anew() {
        let mut shelf = Shelf::default();
        put(&mut shelf, Duration::ZERO, 0, Duration::ZERO);
        let (old, new) = (Etag::from_bits(0), record(7));
        assert_eq!(shelf.exchange(Duration::ZERO, wanted(&key(0)), Some(&old), &new, HOUR), Exchange::Swapped);
        for n in 1..600 {
            put(&mut shelf, HOUR, n, Duration::ZERO);
        }
        assert_eq!(shelf.load(wanted(&key(0))), Some(new));
    }
}
