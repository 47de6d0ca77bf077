//! Sealing and housekeeping: what is done to a store from outside, while instances use it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod damaged;
mod migrating;
mod purging;
mod sealing;

use wix_visitor_core::{StoreKey, TokenStore};

/// The key of the one record there is.
async fn only_key(store: &impl TokenStore) -> StoreKey {
    let mut keys = all_keys(store).await;
    assert_eq!(keys.len(), 1);
    keys.remove(0)
}

async fn all_keys(store: &impl TokenStore) -> Vec<StoreKey> {
    let (mut keys, mut from) = (Vec::new(), None);
    loop {
        let page = store.list(None, from.as_ref(), 10).await.unwrap();
        keys.extend(page.keys);
        from = page.next;
        if from.is_none() {
            return keys;
        }
    }
}
