//! Sealing: encryption that shows whether anything was changed, with a ring of keys.
//!
//! A key is changed in three steps, each on all machines before the next: *add* the new one to every ring, *promote* it to primary,
//! *remove* the old one once nothing is sealed by it any more.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// The form of what is sealed; first byte.
const FORM: u8 = 1;
/// The bytes of a key's name, and of a nonce: large enough to be drawn at random for ever.
const NAME: usize = 4;
const NONCE: usize = 24;

/// One key of 256 bits. `Debug` redacts it.
#[derive(Clone)]
pub struct SealingKey {
    key: Zeroizing<[u8; 32]>,
    name: [u8; NAME],
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
                "a sealing key is 32 random bytes in base64url, 43 characters: make one with `openssl rand -base64 32 | tr +/ -_ \
                 | tr -d =`",
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

    fn of(key: Zeroizing<[u8; 32]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"name of a sealing key");
        hash.update(*key);
        let digest: [u8; 32] = hash.finalize().into();
        let mut name = [0; NAME];
        name.copy_from_slice(&digest[..NAME]);
        Self { key, name }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(redacted)")
    }
}

/// The keys in use: one seals, all open.
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
    UnknownKey,
    /// It is not what was sealed, or it was sealed for something else.
    Damaged,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownKey => "it was sealed by a key that is not on the ring",
            Self::Damaged => "it is not what was sealed, or was sealed for something else",
        })
    }
}

impl std::error::Error for OpenError {}

impl KeyRing {
    /// A ring of this key alone, the primary.
    pub fn new(primary: SealingKey) -> Self {
        Self { primary, others: Vec::new() }
    }

    /// With another key that opens, and never seals.
    #[must_use]
    pub fn also(mut self, other: SealingKey) -> Self {
        self.others.push(other);
        self
    }

    /// Seals `plain` for `purpose`, by the primary key. What is sealed for one purpose opens for no other.
    pub fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        nonce[..16].copy_from_slice(&crate::clock::Entropy::draw(&crate::SystemEntropy).to_be_bytes());
        nonce[16..].copy_from_slice(&crate::clock::Entropy::draw(&crate::SystemEntropy).to_be_bytes()[..8]);
        let payload = Payload { msg: plain, aad: purpose };
        // It fails for what is longer than 256 GiB alone.
        let sealed = self.primary.cipher().encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [&[FORM], &self.primary.name[..], &nonce, &sealed].concat()
    }

    /// Opens what was sealed for `purpose`, by any key of the ring; and whether that was the primary one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<(Zeroizing<Vec<u8>>, bool), OpenError> {
        let (form, rest) = sealed.split_first().ok_or(OpenError::Damaged)?;
        let (name, rest) = rest.split_at_checked(NAME).ok_or(OpenError::Damaged)?;
        let (nonce, rest) = rest.split_at_checked(NONCE).ok_or(OpenError::Damaged)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| OpenError::Damaged)?;
        if *form != FORM {
            return Err(OpenError::Damaged);
        }
        let mut known = false;
        for key in std::iter::once(&self.primary).chain(&self.others).filter(|key| key.name == name) {
            known = true;
            let payload = Payload { msg: rest, aad: purpose };
            if let Ok(plain) = key.cipher().decrypt(&XNonce::from(nonce), payload) {
                return Ok((Zeroizing::new(plain), key.name == self.primary.name));
            }
        }
        Err(if known { OpenError::Damaged } else { OpenError::UnknownKey })
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
        assert_eq!(removed.open(b"p", &by_old).unwrap_err(), OpenError::UnknownKey);
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
}
