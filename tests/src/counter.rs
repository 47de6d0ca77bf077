//! A record that counts, and shows when it is torn.

use std::error::Error;
use std::time::Duration;

use wix_visitor_core::{Entropy, Etag, Exchange, StoreKey, Stored, SystemEntropy, TokenStore};

/// How long a record is kept.
pub const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What came of it.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A version of a record with an etag that was never used.
pub fn version(bytes: Vec<u8>) -> Stored {
    Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes }
}

/// A count is its number over and over, so that a torn record is none.
fn encode(count: u64) -> Vec<u8> {
    count.to_be_bytes().repeat(1 + usize::try_from(count % 300).unwrap_or(0))
}

fn decode(record: &Stored) -> Outcome<u64> {
    let count = u64::from_be_bytes(*record.bytes.first_chunk().ok_or("the record is empty")?);
    if encode(count) == record.bytes { Ok(count) } else { Err("the record is torn".into()) }
}

/// What has been reached; none where there is no record.
///
/// # Errors
/// The store's, or that the record is torn.
pub async fn read(store: &dyn TokenStore, key: &StoreKey) -> Outcome<u64> {
    Ok(store.load(key).await?.as_ref().map(decode).transpose()?.unwrap_or(0))
}

/// Counts up by one over whatever stands.
///
/// # Errors
/// The store's, or that the record is torn.
pub async fn step(store: &dyn TokenStore, key: &StoreKey, standing: &mut Option<Stored>) -> Outcome<u64> {
    loop {
        let count = standing.as_ref().map(decode).transpose()?.unwrap_or(0) + 1;
        let new = version(encode(count));
        let expected = standing.as_ref().map(|standing| &standing.etag);
        match store.compare_exchange(key, expected, &new, YEAR).await? {
            Exchange::Swapped => {
                *standing = Some(new);
                return Ok(count);
            }
            Exchange::Conflict(other) => *standing = other,
        }
    }
}
