//! The visitors of a site, and what can be asked of each.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::error::{Error, ErrorKind};
use crate::key::VisitorId;

/// An access token that may be sent now, as the value of an `Authorization` header. Cheap to clone; `Debug` redacts it.
#[derive(Clone)]
pub struct Authorization {
    header: HeaderValue,
    lost: Option<Arc<VisitorLost>>,
}

/// A visitor was replaced by a new one: the endpoint had definitively refused every token there was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VisitorLost {}

impl Authorization {
    /// The value for an `Authorization` header, bare as Wix documents it, marked sensitive.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Set if the call that returned this met the loss of a visitor: the token belongs to a new one.
    pub fn lost(&self) -> Option<&VisitorLost> {
        self.lost.as_deref()
    }
}

impl AsRef<[u8]> for Authorization {
    fn as_ref(&self) -> &[u8] {
        self.header.as_bytes()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(redacted)")
    }
}

/// One visitor of a site. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Visitor {}

impl Visitor {
    /// What logs and events call this visitor.
    pub fn id(&self) -> VisitorId {
        unreachable!()
    }

    /// A token that may be sent now: from memory if usable, else renewed or minted first.
    pub async fn authorization(&self) -> Result<Authorization, Error> {
        Err(Error::new(ErrorKind::NoRuntime, "not yet"))
    }

    /// Renews if `rejected` (the access token that was answered with a 401) is still the current one.
    pub async fn renew_if(&self, _rejected: impl AsRef<[u8]>) -> Result<Authorization, Error> {
        Err(Error::new(ErrorKind::NoRuntime, "not yet"))
    }

    /// State of type `T` kept in memory beside this visitor, one per visitor key and type, made by `Default` at first use.
    pub fn attachment<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        Arc::default()
    }
}

/// The visitors of one site. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Visitors {}

impl Visitors {
    /// The visitor with this key, which need not exist yet.
    pub fn visitor(&self, _key: impl AsRef<str>) -> Visitor {
        Visitor {}
    }

    /// Waits for grants under way and unsaved tokens.
    pub async fn shutdown(&self) -> Result<(), Error> {
        Ok(())
    }
}
