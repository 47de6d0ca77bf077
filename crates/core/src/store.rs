//! The store contract: two methods, and what they must keep.
//!
//! A store keeps one small value per visitor and replaces it atomically. It sees bytes; what they mean is the flow's
//! business. **The MUSTs**, each of which is a function of the testkit's conformance suite:
//!
//! 1. [`compare_exchange`](TokenStore::compare_exchange) is atomic against every other handle, process and instance that
//!    uses the same store.
//! 2. A record is kept at least for the `keep` that came with its last write. After that the store *may* drop it, never
//!    must. Nothing else expires: only a clock that was behind by more than `keep` when a record was written, or is ahead by as much
//!    when it is dropped, could make a live visitor vanish.
//! 3. Bytes come back exactly, up to 64 KiB ([`Stored::MAX_BYTES`]), whatever they are.
//! 4. After `Ok`, the write survives what the store promises to survive (its documentation says what: a process crash,
//!    power loss, a failover), and no crash leaves half a record.
//! 5. A load, and the record inside a conflict, come from the primary, never from a replica that may lag.
//! 6. Errors have the right [kind](crate::StoreErrorKind). A record that cannot be read is *corrupt*, never "no record".
//! 7. Every operation ends within a deadline. A dead server is an error in that time, never a hang.
//! 8. A write reported as *unknown* may still be applied later. Repeating it with the same etag and bytes is safe: a
//!    conflict that shows the very etag one tried to write means it was applied.
//! 9. A store that [tells of changes](TokenStore::watch), which none must, tells of each one, whoever made it.
//! 10. A store that [lists](TokenStore::list), which none must, shows every record that stands all the while; one that
//!     [purges](TokenStore::purge) drops no record whose `keep` is not over.
//!
//! There is no delete: to forget a visitor is to swap in a tombstone.
//!
//! # A complete store
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use std::time::Duration;
//! use wix_visitor_core::{Etag, Exchange, StoreError, StoreKey, Stored, TokenStore, async_trait};
//!
//! #[derive(Debug, Default)]
//! struct Shelf(Mutex<HashMap<StoreKey, Stored>>);
//!
//! #[async_trait]
//! impl TokenStore for Shelf {
//!     async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
//!         Ok(self.0.lock().unwrap_or_else(|p| p.into_inner()).get(key).cloned())
//!     }
//!
//!     async fn compare_exchange(
//!         &self, key: &StoreKey, expected: Option<&Etag>, new: &Stored, _keep: Duration,
//!     ) -> Result<Exchange, StoreError> {
//!         let mut shelf = self.0.lock().unwrap_or_else(|p| p.into_inner());
//!         let standing = shelf.get(key);
//!         if standing.map(|s| &s.etag) != expected {
//!             return Ok(Exchange::Conflict(standing.cloned()));
//!         }
//!         shelf.insert(key.clone(), new.clone());
//!         Ok(Exchange::Swapped)
//!     }
//! }
//! ```

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::{StoreError, StoreErrorKind};
use crate::key::{ClientId, StoreKey};

/// 128 random bits that name one version of a record. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Etag(u128);

impl Etag {
    /// The etag made of these bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn to_bits(self) -> u128 {
        self.0
    }

    /// As 16 bytes, most significant first: the form stores are expected to write.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From the 16 bytes of [`to_bytes`](Self::to_bytes).
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Debug for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Etag({:032x})", self.0)
    }
}

/// One version of a record, as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The name of this version.
    pub etag: Etag,
    /// The record, encoded. Holds secrets.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// The most bytes a record may have: 64 KiB.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// The most bytes a store is handed where records are sealed, which adds a little. A store that takes no more than
    /// [`MAX_BYTES`](Self::MAX_BYTES) refuses sealed records of almost that size, and no others.
    pub const MAX_SEALED_BYTES: usize = Self::MAX_BYTES + 64;
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("etag", &self.etag)
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .finish()
    }
}

/// The answer of [`TokenStore::compare_exchange`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The new version stands.
    Swapped,
    /// Another version stands, unchanged by this call; `None` if there is no record.
    Conflict(Option<Stored>),
}

/// What a store tells of itself while it is [watched](TokenStore::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on no change goes by untold.
    Listening,
    /// A record was written.
    Written {
        /// Whose.
        key: StoreKey,
        /// Its new version.
        etag: Etag,
    },
}

/// Where the next page of a store's keys begins. Only the store that made it understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A store's own mark.
    pub fn new(mark: impl Into<String>) -> Self {
        Self(mark.into())
    }

    /// The mark.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Some of a store's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys: about as many as were asked for, in no order, possibly none, one or the other a second time.
    pub keys: Vec<StoreKey>,
    /// How many records were met whose keys cannot be read: nobody's, and perhaps somebody's.
    pub unreadable: u64,
    /// Where the next page begins; `None` if this was the last.
    pub next: Option<Cursor>,
}

/// What a store dropped of some of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many records were looked at.
    pub looked_at: u64,
    /// How many of them were dropped.
    pub dropped: u64,
    /// How many could not be read, and were left as they are.
    pub unreadable: u64,
    /// Where the rest begins; `None` if there is no more.
    pub next: Option<Cursor>,
}

/// Whom a store tells of changes.
pub struct Changes(Box<dyn Fn(Change) + Send + Sync>);

impl Changes {
    /// Somebody who does this with each change; it must not block.
    pub fn new(tell: impl Fn(Change) + Send + Sync + 'static) -> Self {
        Self(Box::new(tell))
    }

    /// Tells of one.
    pub fn tell(&self, change: Change) {
        (self.0)(change);
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// Keeps records: see the [module's documentation](self) for what an implementation must hold.
///
/// Used as `Arc<dyn TokenStore>`. Later releases add methods with defaults only.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// The record that stands, or `None` if there is none.
    ///
    /// # Errors
    /// A [`StoreError`] within the store's deadline. Never `None` for a record that could not be read.
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError>;

    /// Puts `new` in place of the version `expected` (`None`: of no record), atomically, and keeps it at least for `keep`.
    ///
    /// # Errors
    /// A [`StoreError`] within the store's deadline; of the kind *unknown* if the write may have been applied.
    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError>;

    /// Makes sure that there is room for one more write of this key, of up to `bytes`. Asked once a claim stands and before its
    /// grant is sent, since what a grant brings may exist nowhere else: where this fails, nothing is sent.
    ///
    /// The default promises nothing. A store that can run out of room sets some aside here, and gives it to the next write that
    /// finds none.
    ///
    /// # Errors
    /// A [`StoreError`] within the store's deadline, if there is no room.
    async fn reserve(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
        let _ = (key, bytes);
        Ok(())
    }

    /// Tells `changes` of every record of this site that is written, by whomever, for as long as it can: first that it is
    /// listening, then each change, soon after it. Returns only with an error; it is called again after a pause then.
    ///
    /// So other instances see a sign-in, a sign-out or a forgotten visitor at once. The default cannot do that: what a process uses
    /// is then looked up in the background every few seconds ([`Policy::look_after`](crate::Policy)).
    ///
    /// # Errors
    /// A [`StoreError`] as soon as a change may have gone by untold; of the kind *unsupported* if there is no point in asking
    /// again.
    async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        let _ = (site, changes);
        Err(StoreError::new(StoreErrorKind::Unsupported, "token", "this store does not tell of changes"))
    }

    /// Whether a write of this key, of up to `bytes`, would work now: found out by one that leaves every record as it is. For a
    /// person who asks; nothing in the flow does. The default asks whether there is [room](Self::reserve).
    ///
    /// # Errors
    /// A [`StoreError`] within the store's deadline: that of the write.
    async fn health(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
        self.reserve(key, bytes).await
    }

    /// Some of the keys there are, of this site or of all, from where an earlier page ended. About `most` of them.
    ///
    /// Whoever goes from page to page meets each record that was there from the first to the last, and perhaps others. The default
    /// cannot do that.
    ///
    /// # Errors
    /// A [`StoreError`] within the store's deadline; of the kind *unsupported* if it cannot list its keys.
    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let _ = (site, from, most);
        Err(StoreError::new(StoreErrorKind::Unsupported, "token", "this store does not list its keys"))
    }

    /// Looks at about `most` records, from where an earlier call ended, and drops those whose `keep` was over at this moment. A
    /// record that is replaced meanwhile stays. Ask [`Housekeeper::purge`](crate::housekeeping::Housekeeper::purge) instead, which sees to
    /// it that the moment can be believed.
    ///
    /// A store that drops records by itself need not; the default does not.
    ///
    /// # Errors
    /// A [`StoreError`] within the store's deadline; of the kind *unsupported* if there is nothing to be done by anybody.
    async fn purge(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
        let _ = (moment, from, most);
        let message = "this store drops no records at anybody's word";
        Err(StoreError::new(StoreErrorKind::Unsupported, "token", message))
    }

    /// What of the store's own set-up puts visitors at risk, though it works: each in a sentence that says what to do. Tells what
    /// is known, and asks nobody. The default knows of nothing.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<S: TokenStore + ?Sized> TokenStore for $pointer<S> {
            async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
                (**self).load(key).await
            }

            async fn compare_exchange(
                &self,
                key: &StoreKey,
                expected: Option<&Etag>,
                new: &Stored,
                keep: Duration,
            ) -> Result<Exchange, StoreError> {
                (**self).compare_exchange(key, expected, new, keep).await
            }

            async fn reserve(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
                (**self).reserve(key, bytes).await
            }

            async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
                (**self).watch(site, changes).await
            }

            async fn health(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
                (**self).health(key, bytes).await
            }

            async fn list(
                &self,
                site: Option<&ClientId>,
                from: Option<&Cursor>,
                most: usize,
            ) -> Result<Page, StoreError> {
                (**self).list(site, from, most).await
            }

            async fn purge(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
                (**self).purge(moment, from, most).await
            }

            fn warnings(&self) -> Vec<String> {
                (**self).warnings()
            }
        }
    };
}

forward!(Arc);
forward!(Box);
