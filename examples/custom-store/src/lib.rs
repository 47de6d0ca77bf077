//! A store of one's own, whole: visitors in an object store (S3, Google Cloud Storage, Azure, or memory), over the crate
//! `object_store`.
//!
//! Object stores have no compare-and-exchange on a value of one's own, but they write *if the object has not changed since it was
//! read*. So a swap reads, compares, and writes on that condition; whoever loses the race reads again and sees the winner.
//!
//! What survives is what the object store promises: with the large ones, the loss of a machine or a building. `keep` is left to
//! the bucket: no rule may delete objects that are younger than the longest keep, a year unless the policy says otherwise.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use tokio::time::timeout;
use wix_visitor::{Etag, Exchange, StoreError, StoreErrorKind, StoreKey, Stored, TokenStore, async_trait};

/// Within which every operation ends.
const DEADLINE: Duration = Duration::from_secs(5);

/// Visitors in an object store that has conditional writes.
#[derive(Clone, Debug)]
pub struct ObjectTokens(Arc<dyn ObjectStore>);

impl ObjectTokens {
    /// Keeps visitors in this store; give it a `PrefixStore` if it holds other things too.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self(objects)
    }

    /// What stands there, and what a write has to name to replace just that.
    async fn read(&self, key: &StoreKey) -> Result<Option<(Stored, UpdateVersion)>, StoreError> {
        let read = async {
            let found = self.0.get(&place(key)).await?;
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            Ok((found.bytes().await?, version))
        };
        match timeout(DEADLINE, read).await {
            Ok(Ok((object, version))) => Ok(Some((decode(&object)?, version))),
            Ok(Err(Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(failed(StoreErrorKind::Unavailable, error)),
            Err(_) => Err(own(StoreErrorKind::Unavailable, "no answer to a read in time; is it up?")),
        }
    }
}

#[async_trait]
impl TokenStore for ObjectTokens {
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.read(key).await?.map(|(stored, _)| stored))
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        _keep: Duration,
    ) -> Result<Exchange, StoreError> {
        if new.bytes.len() > Stored::MAX_BYTES {
            return Err(own(StoreErrorKind::Unsupported, "a record is larger than 64 KiB"));
        }
        let mode = match self.read(key).await? {
            Some((stored, version)) if expected == Some(&stored.etag) => PutMode::Update(version),
            None if expected.is_none() => PutMode::Create,
            other => return Ok(Exchange::Conflict(other.map(|(stored, _)| stored))),
        };
        let place = place(key);
        let write = self.0.put_opts(&place, encode(new).into(), PutOptions::from(mode));
        match timeout(DEADLINE, write).await {
            Ok(Ok(_)) => Ok(Exchange::Swapped),
            // Somebody came between the read and the write: what stands now is theirs.
            Ok(Err(Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. })) => {
                Ok(Exchange::Conflict(self.load(key).await?))
            }
            Ok(Err(error)) => Err(failed(StoreErrorKind::Unknown, error)),
            Err(_) => Err(own(StoreErrorKind::Unknown, "no answer to a write in time; it may have been applied")),
        }
    }
}

/// Paths know no empty part, and keys may: so the slash becomes a character that no key holds.
fn place(key: &StoreKey) -> Path {
    Path::from(key.as_str().replace('/', "_"))
}

/// The etag, a checksum, and the record.
fn encode(new: &Stored) -> Vec<u8> {
    let checksum = crc32fast::hash(&new.bytes);
    [new.etag.to_bytes().as_slice(), &checksum.to_be_bytes(), &new.bytes].concat()
}

fn decode(object: &[u8]) -> Result<Stored, StoreError> {
    let parts = object.split_first_chunk().and_then(|(etag, rest)| Some((etag, rest.split_first_chunk()?)));
    let (etag, bytes) = match parts {
        Some((etag, (checksum, bytes))) if crc32fast::hash(bytes).to_be_bytes() == *checksum => (etag, bytes),
        _ => return Err(own(StoreErrorKind::Corrupt, "an object is not what was written; restore an earlier version")),
    };
    Ok(Stored { etag: Etag::from_bytes(*etag), bytes: bytes.to_vec() })
}

fn own(kind: StoreErrorKind, message: &str) -> StoreError {
    StoreError::new(kind, "object", message)
}

/// The object store's own error goes beneath, and what it means decides the kind.
fn failed(otherwise: StoreErrorKind, error: Error) -> StoreError {
    let (kind, message) = match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } | Error::InvalidPath { .. } => {
            (StoreErrorKind::Misconfigured, "it does not let us in; check bucket and credentials")
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            (StoreErrorKind::Unsupported, "it has no conditional writes, without which visitors would be lost")
        }
        _ => (otherwise, "it failed; see the error beneath"),
    };
    own(kind, message).with_source(error)
}
