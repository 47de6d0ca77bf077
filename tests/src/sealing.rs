//! The same suites on sealed records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wix_visitor_core::{KeyRing, SealedStore, TokenStore};

/// Set to have every suite seal its records: the ring to seal them by.
pub const VARIABLE: &str = "WIX_VISITOR_TESTS_SEALED";

/// The ring of the suites. It seals nothing but what they made up.
pub const RING: &str = "d2hhdCB0aGUgc3VpdGVzIGhhdmUgbWFkZSB1cCAuLi4";

/// This store with its records sealed.
pub fn sealed(store: impl TokenStore) -> Arc<dyn TokenStore> {
    Arc::new(SealedStore::new(store, KeyRing::from_text(RING).expect("a ring")))
}

/// A suite about sealing seals by rings of its own, and is about plain records too.
static OWN: AtomicBool = AtomicBool::new(false);

/// From now on, nothing in this process is sealed but by the suite itself.
pub fn is_the_suites_own() {
    OWN.store(true, Ordering::Relaxed);
}

/// This store, with its records sealed where that is asked for.
pub fn as_asked(store: impl TokenStore) -> Arc<dyn TokenStore> {
    match std::env::var(VARIABLE) {
        _ if OWN.load(Ordering::Relaxed) => Arc::new(store),
        Ok(ring) => Arc::new(SealedStore::new(store, KeyRing::from_text(&ring).expect("a ring"))),
        Err(_) => Arc::new(store),
    }
}
