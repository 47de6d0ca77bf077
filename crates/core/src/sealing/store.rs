//! A store in front of a store, which sees nothing but what is sealed.

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;

use super::ring::{KeyRing, OpenError};
use crate::clock::{Entropy, SystemEntropy, Timestamp};
use crate::error::{StoreError, StoreErrorKind};
use crate::housekeeping::{TURNS, keeps_changing};
use crate::key::{ClientId, StoreKey};
use crate::policy::Policy;
use crate::record::decode;
use crate::store::{Changes, Cursor, Etag, Exchange, Page, Purged, Stored, TokenStore};

/// What is done about records that are not sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlainRecords {
    /// They are refused; all that is written is sealed.
    #[default]
    Refused,
    /// They are read; all that is written is sealed. For as long as a store still holds some.
    Read,
    /// They are read, and written too: so that every instance can open what is sealed before the first one seals.
    Written,
}

/// Any store, with its records sealed: encrypted and authenticated by the ring's primary key, for the very visitor and version they
/// were written for. Whoever reads the store sees who writes when, and nothing of the tokens; whoever writes into it can take a
/// record back to an earlier version of its own, and cannot make, change or exchange one.
///
/// A record that cannot be opened is an error that says what to do, and never "no record". So without its key a visitor is out of
/// reach, and there again with it.
#[derive(Debug)]
pub struct SealedStore<S> {
    store: S,
    ring: KeyRing,
    plain: PlainRecords,
}

/// How a record was found by [`SealedStore::reseal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resealed {
    /// Sealed by the primary key already.
    Already,
    /// By another key or none, and now by the primary one.
    Now,
    /// Gone meanwhile.
    Gone,
}

impl<S: TokenStore> SealedStore<S> {
    /// The records of this store, sealed by this ring. Those that are not sealed are refused.
    pub fn new(store: S, ring: KeyRing) -> Self {
        Self { store, ring, plain: PlainRecords::default() }
    }

    /// With this done about records that are not sealed.
    #[must_use]
    pub fn plain_records(mut self, plain: PlainRecords) -> Self {
        self.plain = plain;
        self
    }

    /// Seals a record by the primary key, unless it is so already; a record that is not sealed only where such are read.
    ///
    /// # Errors
    /// The store's, and those of opening the record; *unavailable* if others change it again and again.
    pub(crate) async fn reseal(&self, key: &StoreKey, policy: &Policy) -> Result<Resealed, StoreError> {
        let primary = self.ring.names().next();
        for _ in 0..TURNS {
            let Some(standing) = self.store.load(key).await? else { return Ok(Resealed::Gone) };
            let already = KeyRing::sealed_by(&standing.bytes) == primary;
            let old = standing.etag;
            // Opened whoever sealed it: what names the primary key may be damaged, or another visitor's.
            let bytes = self.open(key, standing)?.bytes;
            if already {
                return Ok(Resealed::Already);
            }
            let keep = policy.keep_for(&decode(&bytes)?);
            let new = Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes };
            let sealed = self.sealed(key, &new);
            // Whoever comes first: the next look shows whether it is done.
            if let Exchange::Swapped = self.store.compare_exchange(key, Some(&old), &sealed, keep).await? {
                return Ok(Resealed::Now);
            }
        }
        Err(keeps_changing())
    }

    fn seal(&self, key: &StoreKey, new: &Stored) -> Stored {
        if self.plain == PlainRecords::Written { new.clone() } else { self.sealed(key, new) }
    }

    fn sealed(&self, key: &StoreKey, new: &Stored) -> Stored {
        Stored { etag: new.etag, bytes: self.ring.seal(&purpose(key, new.etag), &new.bytes) }
    }

    fn open(&self, key: &StoreKey, standing: Stored) -> Result<Stored, StoreError> {
        let Stored { etag, bytes } = standing;
        let fail = |kind, how: String| {
            let message = format!("the record of visitor {} {how}", key.visitor_id());
            StoreError::new(kind, "sealed", message)
        };
        if KeyRing::sealed_by(&bytes).is_none() && self.plain != PlainRecords::Refused {
            return Ok(Stored { etag, bytes });
        }
        match self.ring.open(&purpose(key, etag), &bytes) {
            Ok((plain, _)) => Ok(Stored { etag, bytes: plain.to_vec() }),
            Err(OpenError::UnknownKey(name)) => Err(fail(
                StoreErrorKind::Misconfigured,
                format!(
                    "is sealed by the key {name}, which is not on this ring: put that key back on it (it may be removed once \
                     `wix-visitor reseal` has found nothing that it sealed)"
                ),
            )),
            Err(OpenError::Damaged) if KeyRing::sealed_by(&bytes).is_none() && bytes.first() == Some(&b'{') => Err(fail(
                StoreErrorKind::Misconfigured,
                "is not sealed, and plain records are refused: if it was written before there was a ring, accept plain records \
                 until `wix-visitor reseal` has sealed them all; if not, somebody else has written it"
                    .to_owned(),
            )),
            Err(OpenError::Damaged) => Err(fail(
                StoreErrorKind::Corrupt,
                "is not what was sealed for this visitor and this version: it was damaged, or moved here from elsewhere; restore \
                 it from a backup (or forget this visitor, to begin anew)"
                    .to_owned(),
            )
            .with_standing(etag)),
        }
    }
}

/// What a record is sealed for: nobody else's, and no other version.
fn purpose(key: &StoreKey, etag: Etag) -> Vec<u8> {
    [b"wix-visitor record\0", key.as_str().as_bytes(), b"\0", &etag.to_bytes()].concat()
}

#[async_trait]
impl<S: TokenStore> TokenStore for SealedStore<S> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.store.load(key).await?.map(|standing| self.open(key, standing)).transpose()
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        match self.store.compare_exchange(key, expected, &self.seal(key, new), keep).await? {
            Exchange::Conflict(Some(standing)) => Ok(Exchange::Conflict(Some(self.open(key, standing)?))),
            other => Ok(other),
        }
    }

    async fn reserve(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
        self.store.reserve(key, bytes.saturating_add(KeyRing::OVERHEAD)).await
    }

    async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        self.store.watch(site, changes).await
    }

    async fn health(&self, key: &StoreKey, bytes: usize) -> Result<(), StoreError> {
        self.store.health(key, bytes.saturating_add(KeyRing::OVERHEAD)).await
    }

    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        self.store.list(site, from, most).await
    }

    async fn purge(&self, moment: Timestamp, from: Option<&Cursor>, most: usize) -> Result<Purged, StoreError> {
        self.store.purge(moment, from, most).await
    }

    fn warnings(&self) -> Vec<String> {
        self.store.warnings()
    }
}
