//! The records of one shard, and when those past their time are swept out.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use wix_visitor_core::{Etag, Exchange, StoreKey, Stored};

/// Below this many records a sweep is not worth its while.
const SMALLEST_SWEEP: usize = 64;

#[derive(Default)]
pub(crate) struct Shelf {
    records: HashMap<StoreKey, Entry, RandomState>,
    sweep_at: usize,
}

struct Entry {
    stored: Stored,
    /// On the monotonic clock.
    keep_until: Duration,
}

impl Shelf {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &StoreKey> {
        self.records.keys()
    }

    pub(crate) fn load(&self, key: &StoreKey) -> Option<Stored> {
        self.records.get(key).map(|entry| entry.stored.clone())
    }

    pub(crate) fn exchange(
        &mut self,
        now: Duration,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Exchange {
        let keep_until = now.saturating_add(keep);
        match self.records.get_mut(key) {
            Some(standing) if expected == Some(&standing.stored.etag) => {
                // Over the old bytes, where there is room already, rather than beside them.
                standing.stored.bytes.clone_from(&new.bytes);
                standing.stored.etag = new.etag;
                standing.keep_until = keep_until;
                Exchange::Swapped
            }
            Some(standing) => Exchange::Conflict(Some(standing.stored.clone())),
            None if expected.is_some() => Exchange::Conflict(None),
            None => {
                self.sweep_if_grown(now);
                self.records.insert(key.clone(), Entry { stored: new.clone(), keep_until });
                Exchange::Swapped
            }
        }
    }

    /// A sweep looks at every record, so it waits until as many were added as the last one left: a constant cost for each.
    fn sweep_if_grown(&mut self, now: Duration) {
        if self.records.len() < self.sweep_at.max(SMALLEST_SWEEP) {
            return;
        }
        self.records.retain(|_, entry| entry.keep_until >= now);
        self.sweep_at = self.records.len() * 2;
        // What a crowd of one-shot visitors took is given back, with room for as many again as are left.
        self.records.shrink_to(self.sweep_at.max(SMALLEST_SWEEP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(n: usize) -> StoreKey {
        StoreKey::parse(&format!("site/{n}")).unwrap()
    }

    fn record(n: u128) -> Stored {
        Stored { etag: Etag::from_bits(n), bytes: n.to_be_bytes().to_vec() }
    }

    fn put(shelf: &mut Shelf, now: Duration, n: usize, keep: Duration) {
        assert_eq!(shelf.exchange(now, &key(n), None, &record(n as u128), keep), Exchange::Swapped);
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
        assert!((0..1000).all(|n| shelf.load(&key(n)) == Some(record(n as u128))));
        assert!(shelf.records.capacity() < 20_000);
    }

    #[test]
    fn a_record_is_kept_until_the_very_end_of_its_keep() {
        let mut shelf = Shelf::default();
        put(&mut shelf, Duration::ZERO, 0, HOUR);
        for n in 1..200 {
            put(&mut shelf, HOUR, n, Duration::ZERO);
        }
        assert!(shelf.load(&key(0)).is_some());
        for n in 200..600 {
            put(&mut shelf, HOUR + Duration::from_nanos(1), n, HOUR);
        }
        assert!(shelf.load(&key(0)).is_none(), "swept once its time is over");
    }

    #[test]
    fn a_swap_sets_the_keep_anew() {
        let mut shelf = Shelf::default();
        put(&mut shelf, Duration::ZERO, 0, Duration::ZERO);
        let (old, new) = (Etag::from_bits(0), record(7));
        assert_eq!(shelf.exchange(Duration::ZERO, &key(0), Some(&old), &new, HOUR), Exchange::Swapped);
        for n in 1..600 {
            put(&mut shelf, HOUR, n, Duration::ZERO);
        }
        assert_eq!(shelf.load(&key(0)), Some(new));
    }
}
