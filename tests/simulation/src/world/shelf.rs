//! The store's own side: what stands there, what stood there before, and what a failover makes of it.

use wix_visitor_core::{Etag, Exchange, Stored};

use crate::plan::Millis;

#[derive(Debug, Default)]
struct Place {
    /// Every version that a failover can go back to, and since when it stood there; the present one is the last.
    versions: Vec<(Option<Stored>, Millis)>,
}

/// The records of all visitors.
#[derive(Debug)]
pub struct Shelf {
    places: Vec<Place>,
}

/// How many writes a failover can take back.
const MOST: usize = 2;

impl Shelf {
    /// A shelf with this many places, all empty.
    pub fn new(visitors: usize) -> Self {
        Self { places: (0..visitors).map(|_| Place { versions: vec![(None, 0)] }).collect() }
    }

    /// What stands there.
    pub fn load(&self, visitor: usize) -> Option<&Stored> {
        self.places.get(visitor)?.versions.last()?.0.as_ref()
    }

    /// Puts `new` in place of `expected`.
    pub fn exchange(&mut self, visitor: usize, expected: Option<&Etag>, new: &Stored, now: Millis) -> Exchange {
        let standing = self.load(visitor);
        if standing.map(|stored| &stored.etag) != expected {
            return Exchange::Conflict(standing.cloned());
        }
        self.put(visitor, new, now);
        Exchange::Swapped
    }

    /// Puts `new` there.
    pub fn put(&mut self, visitor: usize, new: &Stored, now: Millis) {
        let Some(place) = self.places.get_mut(visitor) else { return };
        place.versions.push((Some(new.clone()), now));
        if place.versions.len() > MOST + 1 {
            place.versions.remove(0);
        }
    }

    /// What a failover would take back of this visitor's last `count` writes, latest last, and since when the first stood.
    pub fn tail(&self, visitor: usize, count: usize) -> Vec<(&Stored, Millis)> {
        let Some(place) = self.places.get(visitor) else { return Vec::new() };
        let stays = place.versions.len().saturating_sub(count).max(1);
        place.versions[stays..].iter().filter_map(|(stored, since)| Some((stored.as_ref()?, *since))).collect()
    }

    /// What stands there once the last `count` writes are taken back.
    pub fn before(&self, visitor: usize, count: usize) -> Option<&Stored> {
        let versions = &self.places.get(visitor)?.versions;
        versions.get(versions.len().saturating_sub(count + 1))?.0.as_ref()
    }

    /// Takes back the last `count` writes.
    pub fn roll_back(&mut self, visitor: usize, count: usize) {
        if let Some(place) = self.places.get_mut(visitor) {
            let stays = place.versions.len().saturating_sub(count).max(1);
            place.versions.truncate(stays);
        }
    }

    /// How many visitors there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no visitor.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
