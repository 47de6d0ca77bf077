//! Sealed bytes, any; and sealed ones that were changed: nothing opens but what was sealed, and whole.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wix_visitor_core::{ErrorKind, KeyRing, OpenError, SealingKey};

/// Two keys on the ring, of nothing but zeros and of nothing but ones.
const KEYS: [&str; 2] = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "__________________________________________8"];
const PURPOSE: &[u8] = b"fuzzing";
/// Something sealed by each, once and for all, so that bytes can be made up that come near it.
const GENUINE: [&str; 2] = [
    "AQOBnmxV6g7Rt3BHrubuumuo84Q5oMjGXvr83IWuaBzqmnOTTQBWVt4EzKo_dszttlGGDHbUc9Bql-FZ5Q",
    "ARrmvUYXm9z2KcFB4W6q4laMBc8WUgcsasvecw0k9RrNzy-yRUmbUub1eRASHxXL6QLDzArJ5SV4ntiPlw",
];
const PLAIN: &[u8] = b"a genuine record";

struct Sealed {
    ring: KeyRing,
    genuine: Vec<Vec<u8>>,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let [primary, other] = KEYS.map(key);
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|error| panic!("{error}"));
    Sealed { ring: KeyRing::new(primary).also(other), genuine: GENUINE.map(decode).to_vec() }
});

fn key(text: &str) -> SealingKey {
    SealingKey::from_text(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn check(bytes: &[u8]) {
    let Sealed { ring, genuine } = &*SEALED;
    let known = genuine.iter().position(|sealed| sealed == bytes);
    match ring.open(PURPOSE, bytes) {
        Ok((plain, primary)) => {
            assert_eq!(Some(usize::from(!primary)), known, "something opens that was never sealed, or by another key");
            assert_eq!(&**plain, PLAIN);
        }
        Err(OpenError::UnknownKey(_) | OpenError::Damaged) => assert_eq!(known, None, "what was sealed does not open"),
        Err(other) => panic!("an error that nobody knows: {other}"),
    }
    for sealed in genuine {
        changed(ring, sealed, bytes);
    }
    round(ring, bytes);
    from_text(bytes);
}

/// Lays the bytes over what is genuine, by exclusive or: at the place that the first of them says, or beyond its end.
fn changed(ring: &KeyRing, genuine: &[u8], bytes: &[u8]) {
    let Some((at, over)) = bytes.split_first() else { return };
    let at = usize::from(*at) % (genuine.len() + 1);
    let mut sealed = genuine.to_vec();
    sealed.resize(sealed.len().max(at + over.len()), 0);
    sealed.iter_mut().skip(at).zip(over).for_each(|(byte, by)| *byte ^= by);
    assert_eq!(ring.open(PURPOSE, &sealed).is_ok(), sealed == genuine, "changed at {at}, and it opens");
    assert!(ring.open(PURPOSE, &genuine[..at]).is_err() || at == genuine.len(), "cut at {at}, and it opens");
}

/// What is sealed comes back for its purpose, and for no other.
fn round(ring: &KeyRing, bytes: &[u8]) {
    let sealed = ring.seal(bytes, bytes);
    assert!(ring.open(bytes, &sealed).is_ok_and(|(plain, primary)| **plain == *bytes && primary));
    assert!(ring.open(&[bytes, b"x"].concat(), &sealed).is_err(), "it opens for another purpose");
}

fn from_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match SealingKey::from_text(text) {
        Ok(key) => assert_eq!(key.to_text().expose(), text.trim(), "another spelling of a key"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(SealingKey::from_text("").is_err_and(|none| none.to_string() == error.to_string()), "it is quoted");
        }
    }
}
