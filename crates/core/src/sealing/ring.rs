//! The keys, and what is sealed by them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::record::SEALED;

/// The form of what is sealed; first byte.
const FORM: u8 = SEALED;
/// The bytes of a key's name, and of a nonce: large enough to be drawn at random for ever.
const NAME: usize = 4;
const NONCE: usize = 24;
/// More keys than any rotation needs: each is tried by its name at whatever is opened.
const MOST: usize = 100;
/// What proves that nothing was changed.
const TAG: usize = 16;

/// One key of 256 bits. `Debug` redacts it.
#[derive(Clone)]
pub struct SealingKey {
    key: Zeroizing<[u8; 32]>,
    name: KeyName,
}

/// What a key is called where people read: eight hexadecimal digits of a hash of it, which tell nothing of the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyName([u8; NAME]);

impl KeyName {
    /// From its eight digits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the text is no such name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let name = u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 * NAME && !text.starts_with('+'));
        name.map(|name| Self(name.to_be_bytes())).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "the name of a sealing key is eight hexadecimal digits, as in 5eed0a1b")
        })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyName({self})")
    }
}

impl SealingKey {
    /// A new one, of the operating system's random numbers.
    ///
    /// # Errors
    /// [`ErrorKind::Misconfigured`] if the system gives none.
    pub fn generate() -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|error| {
            Error::new(ErrorKind::Misconfigured, "the operating system gives no random numbers").with_source(error)
        })?;
        Ok(Self::of(key))
    }

    /// The key of [`to_text`](Self::to_text): 43 letters of base64url, which are 32 random bytes. Surrounding white space is forgiven.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the text is no such key.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(
                ErrorKind::InvalidInput,
                "a sealing key is 32 random bytes in base64url, 43 characters: make one with `wix-visitor keys generate`",
            )
        };
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| wrong())?);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| wrong())?;
        Ok(Self::of(Zeroizing::new(key)))
    }

    /// The key as text, to be kept where other secrets are.
    pub fn to_text(&self) -> crate::Secret {
        crate::Secret::new(URL_SAFE_NO_PAD.encode(*self.key))
    }

    /// What it is called.
    pub fn name(&self) -> KeyName {
        self.name
    }

    fn of(key: Zeroizing<[u8; 32]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"name of a sealing key");
        hash.update(*key);
        let digest: [u8; 32] = hash.finalize().into();
        let mut name = [0; NAME];
        name.copy_from_slice(&digest[..NAME]);
        Self { key, name: KeyName(name) }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({}, redacted)", self.name)
    }
}

/// The keys in use: the first, *primary* one seals, all open.
#[derive(Clone, Debug)]
pub struct KeyRing {
    primary: SealingKey,
    others: Vec<SealingKey>,
}

/// Why something could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// It was sealed by a key that is not on the ring.
    UnknownKey(KeyName),
    /// It is not what was sealed, or it was sealed for something else.
    Damaged,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey(name) => write!(f, "it was sealed by the key {name}, which is not on the ring"),
            Self::Damaged => f.write_str("it is not what was sealed, or was sealed for something else"),
        }
    }
}

impl std::error::Error for OpenError {}

impl KeyRing {
    /// How much longer what is sealed is.
    pub const OVERHEAD: usize = 1 + NAME + NONCE + TAG;

    /// A ring of this key alone, the primary.
    pub fn new(primary: SealingKey) -> Self {
        Self { primary, others: Vec::new() }
    }

    /// With another key that opens, and never seals.
    #[must_use]
    pub fn also(mut self, other: SealingKey) -> Self {
        if self.names().all(|name| name != other.name) {
            self.others.push(other);
        }
        self
    }

    /// The ring of [`to_text`](Self::to_text): keys with white space between them, the primary one first. What follows a `#` in its
    /// line is a comment.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no key, or something else, or more than a hundred.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let keys = text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split_whitespace());
        let mut keys = keys.map(SealingKey::from_text);
        let primary = keys.next().ok_or_else(|| {
            let message = "there is no sealing key in it: make one with `wix-visitor keys generate`";
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        let mut ring = Self::new(primary?);
        for key in keys {
            ring = ring.also(key?);
            if ring.others.len() >= MOST {
                let message =
                    format!("there are more than {MOST} sealing keys in it: remove those that seal nothing any more");
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        }
        Ok(ring)
    }

    /// The ring as text for a file or a variable, a key a line and nothing else, so that the lines may become one, to be kept where other secrets are.
    pub fn to_text(&self) -> crate::Secret {
        let mut text = Zeroizing::new(String::new());
        for key in self.keys() {
            text.push_str(key.to_text().expose());
            text.push('\n');
        }
        crate::Secret::new(text.as_str())
    }

    /// Makes this key the one that seals.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is not on the ring.
    pub fn promote(&mut self, name: KeyName) -> Result<(), Error> {
        if name != self.primary.name {
            let at = self.others.iter().position(|key| key.name == name).ok_or_else(|| self.lacks(name))?;
            let former = std::mem::replace(&mut self.primary, self.others.remove(at));
            self.others.insert(0, former);
        }
        Ok(())
    }

    /// Takes this key off the ring: what it sealed can no longer be read by it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is not on the ring, or the primary one.
    pub fn remove(&mut self, name: KeyName) -> Result<(), Error> {
        if name == self.primary.name {
            let message = format!("the key {name} is the primary one, which seals: promote another one first");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let at = self.others.iter().position(|key| key.name == name).ok_or_else(|| self.lacks(name))?;
        self.others.remove(at);
        Ok(())
    }

    /// What the keys are called, the primary one first.
    pub fn names(&self) -> impl Iterator<Item = KeyName> + '_ {
        self.keys().map(|key| key.name)
    }

    /// By which key something is sealed, if it is sealed at all.
    pub fn sealed_by(bytes: &[u8]) -> Option<KeyName> {
        let (form, rest) = bytes.split_first()?;
        let name = rest.first_chunk::<NAME>().filter(|_| *form == FORM)?;
        Some(KeyName(*name))
    }

    fn keys(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.primary).chain(&self.others)
    }

    fn lacks(&self, name: KeyName) -> Error {
        let known: Vec<_> = self.names().map(|name| name.to_string()).collect();
        let message = format!("there is no key {name} on the ring, which holds {}", known.join(", "));
        Error::new(ErrorKind::InvalidInput, message)
    }

    /// Seals `plain` for `purpose`, by the primary key. What is sealed for one purpose opens for no other.
    pub fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        crate::SystemEntropy::fill(&mut nonce);
        let payload = Payload { msg: plain, aad: purpose };
        // It fails for what is longer than 256 GiB alone.
        let sealed = self.primary.cipher().encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [&[FORM], &self.primary.name.0[..], &nonce, &sealed].concat()
    }

    /// Opens what was sealed for `purpose`, by any key of the ring; and whether that was the primary one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<(Zeroizing<Vec<u8>>, bool), OpenError> {
        let name = Self::sealed_by(sealed).ok_or(OpenError::Damaged)?;
        // A form and a name are there, or it would have none.
        let (nonce, rest) = sealed[1 + NAME..].split_first_chunk::<NONCE>().ok_or(OpenError::Damaged)?;
        let mut known = false;
        for key in self.keys().filter(|key| key.name == name) {
            known = true;
            let payload = Payload { msg: rest, aad: purpose };
            if let Ok(plain) = key.cipher().decrypt(&XNonce::from(*nonce), payload) {
                return Ok((Zeroizing::new(plain), key.name == self.primary.name));
            }
        }
        Err(if known { OpenError::Damaged } else { OpenError::UnknownKey(name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealingKey {
        SealingKey::generate().unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_alone_and_only_whole() {
        let ring = KeyRing::new(key());
        let sealed = ring.seal(b"one", b"something");
        assert_eq!(&**ring.open(b"one", &sealed).unwrap().0, b"something");
        assert_eq!(ring.open(b"other", &sealed).unwrap_err(), OpenError::Damaged);
        for cut in 0..sealed.len() {
            assert!(ring.open(b"one", &sealed[..cut]).is_err());
        }
        for at in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(ring.open(b"one", &flipped).is_err(), "bit {at}");
        }
        assert_ne!(ring.seal(b"one", b"something"), sealed, "a nonce of its own each time");
        assert!(!sealed.windows(9).any(|window| window == b"something"));
    }

    #[test]
    fn a_key_is_changed_by_adding_promoting_and_removing_it() {
        let (old, new) = (key(), key());
        let by_old = KeyRing::new(old.clone()).seal(b"p", b"x");
        let added = KeyRing::new(old.clone()).also(new.clone());
        let promoted = KeyRing::new(new.clone()).also(old);
        let by_new = promoted.seal(b"p", b"x");
        assert!(added.open(b"p", &by_old).unwrap().1 && !added.open(b"p", &by_new).unwrap().1);
        assert!(promoted.open(b"p", &by_new).unwrap().1 && !promoted.open(b"p", &by_old).unwrap().1);
        let removed = KeyRing::new(new);
        let gone = KeyRing::sealed_by(&by_old).unwrap();
        assert_eq!(removed.open(b"p", &by_old).unwrap_err(), OpenError::UnknownKey(gone));
        assert!(removed.open(b"p", &by_new).is_ok());
    }

    #[test]
    fn a_key_comes_back_from_its_text_and_shows_nothing_of_itself() {
        let one = key();
        let text = one.to_text();
        let sealed = KeyRing::new(one.clone()).seal(b"p", b"x");
        let again = SealingKey::from_text(&format!(" {}\n", text.expose())).unwrap();
        assert!(KeyRing::new(again).open(b"p", &sealed).is_ok());
        assert!(!format!("{one:?} {:?}", KeyRing::new(one.clone())).contains(text.expose()));
        for wrong in ["", "short", &text.expose()[1..], &format!("{}A", text.expose())] {
            let error = SealingKey::from_text(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(wrong.is_empty() || !error.to_string().contains(wrong));
        }
    }

    #[test]
    fn a_ring_comes_back_from_its_text_in_its_order_and_once_each() {
        let (one, two) = (key(), key());
        let mut ring = KeyRing::new(one.clone()).also(two.clone()).also(one.clone());
        assert_eq!(ring.names().collect::<Vec<_>>(), [one.name(), two.name()]);
        ring.promote(two.name()).unwrap();
        let text = ring.to_text();
        let again = KeyRing::from_text(text.expose()).unwrap();
        assert_eq!(again.names().collect::<Vec<_>>(), [two.name(), one.name()]);
        assert_eq!(KeyName::parse(&two.name().to_string()).unwrap(), two.name());
        let flat = format!("{}  {}", two.to_text().expose(), one.to_text().expose());
        assert_eq!(KeyRing::from_text(&flat).unwrap().names().count(), 2, "as in a variable");
        for wrong in ["", "# nothing", " \n", "x", &format!("{flat} x")] {
            let error = KeyRing::from_text(wrong).unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("keys generate"), "{error}");
        }
        ring.remove(two.name()).unwrap_err();
        ring.remove(one.name()).unwrap();
        assert!(ring.remove(one.name()).unwrap_err().to_string().contains(&two.name().to_string()));
        assert!(ring.promote(one.name()).is_err());
        for wrong in ["", "5eed", "+5eed0a1", "5eed0a1b0", "xyzxyzxy"] {
            assert_eq!(KeyName::parse(wrong).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
