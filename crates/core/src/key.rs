//! Whose record it is: the site, the visitor, and the name under which a store keeps the two.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// The client id of a site's OAuth app: found in the project's settings under *Headless*, a GUID, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Longest client id taken, in characters, so that a [`StoreKey`] keeps its bound.
    pub const MAX_LEN: usize = 63;

    /// Checks and keeps a client id; surrounding white space and upper case are forgiven.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is empty, too long, or holds anything but letters, digits and hyphens.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the client id is empty: copy it from your project's settings, under Headless, OAuth apps",
            ));
        }
        if text.len() > Self::MAX_LEN || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the client id is not one that Wix gives out: it should look like \
                 00000000-0000-0000-0000-000000000000",
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The id as Wix spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a record in a store: `<client id>/<hash>`, at most 128 characters out of `[0-9a-z/-]`.
///
/// The hash is SHA-256 over issuer, client id and visitor key, each with its length before it. So the records of one site
/// can be listed by prefix, a session id cannot be read from a dump, and two issuers never share a record.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey(String);

impl StoreKey {
    /// Longest key, in characters.
    pub const MAX_LEN: usize = 128;

    /// The key of one visitor of one site.
    pub fn new(issuer: &str, client_id: &ClientId, visitor_key: &Secret) -> Self {
        let mut hash = Sha256::new();
        for part in [issuer, client_id.as_str(), visitor_key.expose()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut text = String::with_capacity(client_id.as_str().len() + 65);
        text.push_str(client_id.as_str());
        text.push('/');
        for byte in hash.finalize() {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        Self(text)
    }

    /// Reads a key as a store lists it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fits = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'/' | b'-'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::new(ErrorKind::InvalidInput, "not a store key: expected 1 to 128 characters of [0-9a-z/-]"))
        }
    }

    /// The key's text. It names a visitor but is no credential: still, logs show [`VisitorId`] only.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is of this site.
    pub fn is_of(&self, site: &ClientId) -> bool {
        self.0.strip_prefix(site.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The short name for logs and events.
    pub fn visitor_id(&self) -> VisitorId {
        VisitorId::of(&self.0)
    }

    /// A number that belongs to this key: the same on every instance, evenly spread.
    #[doc(hidden)] // open to checkers and simulations; no promise of stability
    pub fn spread(&self) -> u64 {
        let digits = self.0.rsplit('/').next().and_then(|hash| hash.get(8..24));
        digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({})", self.visitor_id())
    }
}

/// What a visitor is called in logs, events and errors: the first 8 hex digits of the hash of its key.
///
/// It cannot be turned back into the visitor key, and says nothing about a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitorId([u8; 8]);

impl VisitorId {
    pub(crate) fn of(store_key: &str) -> Self {
        let hash = store_key.rsplit('/').next().unwrap_or("").as_bytes();
        let mut id = [b'0'; 8];
        for (to, from) in id.iter_mut().zip(hash) {
            *to = *from;
        }
        Self(id)
    }
}

impl fmt::Display for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("????????"))
    }
}

impl fmt::Debug for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VisitorId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(issuer: &str, client: &str, visitor: &str) -> StoreKey {
        StoreKey::new(issuer, &ClientId::new(client).unwrap(), &Secret::new(visitor))
    }

    #[test]
    fn sites_issuers_and_visitors_never_share_a_key() {
        let keys = [
            key("https://www.wixapis.com", "aa", "default"),
            key("https://www.wixapis.com", "ab", "default"),
            key("https://www.wixapis.com", "aa", "default2"),
            key("https://www.wixapis.comaa", "aa", "default"),
            key("http://127.0.0.1:1", "aa", "default"),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(StoreKey::parse(a.as_str()).is_ok());
            assert!(keys[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn the_visitor_key_cannot_be_read_from_the_store_key() {
        let key = key("i", &"f".repeat(63), "session-cookie");
        assert_eq!(key.as_str().len(), StoreKey::MAX_LEN);
        assert!(!key.as_str().contains("session") && !format!("{key:?}").contains("session"));
    }

    #[test]
    fn a_client_id_that_cannot_be_one_is_refused_with_advice() {
        for bad in ["", "  ", "a b", "ä", &"a".repeat(64), "a/b"] {
            let error = ClientId::new(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(ClientId::new(" ABC-1 ").unwrap().as_str(), "abc-1");
    }
}
