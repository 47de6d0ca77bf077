//! Whose record it is: the site, the visitor, and the name under which a store keeps the two.

use std::fmt;
use std::hash::{Hash, Hasher};

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
        let site = SiteKeys::new(issuer, client_id);
        site.key(site.hash(visitor_key.expose()))
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

/// The hash in a store key: whose record it is within its site. What this process knows visitors by, too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash([u8; 32]);

/// It is spread already.
impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.spread());
    }
}

impl KeyHash {
    /// As [`StoreKey::visitor_id`].
    pub(crate) fn visitor_id(&self) -> VisitorId {
        let [a, b, c, d, ..] = self.0;
        let mut id = [b'0'; 8];
        for (to, from) in id.chunks_exact_mut(2).zip([a, b, c, d]) {
            to.copy_from_slice(&hex(from));
        }
        VisitorId(id)
    }

    /// As [`StoreKey::spread`].
    pub(crate) fn spread(&self) -> u64 {
        self.0[4..12].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }

    /// Of up to 256, one that says nothing of where it spreads to.
    pub(crate) fn one_of(&self, many: usize) -> usize {
        usize::from(self.0[12]) % many
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({})", self.visitor_id())
    }
}

/// The two lower-case digits of a byte.
fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)])
}

/// The store keys of one site. What they all begin with is hashed once.
#[derive(Clone, Debug)]
pub(crate) struct SiteKeys {
    client_id: ClientId,
    begun: Sha256,
}

impl SiteKeys {
    pub(crate) fn new(issuer: &str, client_id: &ClientId) -> Self {
        let mut begun = Sha256::new();
        for part in [issuer, client_id.as_str()] {
            digest(&mut begun, part);
        }
        Self { client_id: client_id.clone(), begun }
    }

    pub(crate) fn hash(&self, visitor_key: &str) -> KeyHash {
        let mut hash = self.begun.clone();
        digest(&mut hash, visitor_key);
        KeyHash(hash.finalize().into())
    }

    pub(crate) fn key(&self, hash: KeyHash) -> StoreKey {
        let mut text = String::with_capacity(self.client_id.as_str().len() + 65);
        text.push_str(self.client_id.as_str());
        text.push('/');
        text.extend(hash.0.into_iter().flat_map(hex).map(char::from));
        StoreKey(text)
    }

    /// The hash in a key of this site; `None` for one that is not.
    pub(crate) fn hash_in(&self, key: &StoreKey) -> Option<KeyHash> {
        let digits = key.0.strip_prefix(self.client_id.as_str())?.strip_prefix('/')?;
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(KeyHash(hash))
    }
}

/// With its length before it, so that no two sequences of parts are hashed alike.
fn digest(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part.as_bytes());
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
    fn a_store_key_and_the_hash_in_it_name_the_same_visitor() {
        let client = ClientId::new("aa").unwrap();
        let site = SiteKeys::new("https://www.wixapis.com", &client);
        for visitor in ["", "default", "0ec2b7a0-5bd1-43f5-9ef6-6a4fd2a0a9bd"] {
            let (hash, key) = (site.hash(visitor), key("https://www.wixapis.com", "aa", visitor));
            assert!(site.key(hash) == key && site.hash_in(&key) == Some(hash), "{visitor}");
            assert_eq!((hash.visitor_id(), hash.spread()), (key.visitor_id(), key.spread()), "{visitor}");
        }
        let others = [key("i", "ab", "x").as_str().to_owned(), "aa/00".into(), format!("aa/{}", "z".repeat(64))];
        for other in others {
            assert!(site.hash_in(&StoreKey::parse(&other).unwrap()).is_none(), "{other}");
        }
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
