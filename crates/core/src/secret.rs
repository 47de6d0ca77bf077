//! Strings that must not be seen: tokens and visitor keys.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

/// A token or a visitor key: one shared allocation that is zeroed when its last owner goes.
///
/// `Debug` redacts it, and there is no `Display`: whoever needs the text asks with
/// [`expose`](Self::expose), so that every place which does can be found.
///
/// ```
/// let secret = wix_visitor_core::Secret::new("OauthNG.JWS.something");
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
/// assert_eq!(secret.expose(), "OauthNG.JWS.something");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text over; the caller's copy, if it kept one, is its own to clear.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text itself. Never log it, never put it into an error or a URL.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing in it but white space.
    pub fn is_blank(&self) -> bool {
        self.0.as_bytes().iter().all(u8::is_ascii_whitespace)
    }

    /// The text as a header value that shares this allocation and is marked sensitive, or `None` if it holds a byte that
    /// no header may carry.
    pub fn to_header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Shared(self.clone()))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// What keeps the zeroed allocation alive inside a `HeaderValue`.
struct Shared(Secret);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// A header value with a copy of this text, zeroed when its last owner goes and marked sensitive: it takes less room than one that
/// shares it. `None` as for [`Secret::to_header`].
pub(crate) fn owned_header(secret: &Secret) -> Option<HeaderValue> {
    let text: Zeroizing<Box<[u8]>> = Zeroizing::new(secret.expose().as_bytes().into());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl Borrow<str> for Secret {
    fn borrow(&self) -> &str {
        self.expose()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_and_its_header_show_nothing() {
        let secret = Secret::new("OauthNG.JWS.very-secret");
        let header = secret.to_header().unwrap();
        for shown in [format!("{secret:?}"), format!("{header:?}"), format!("{:?}", Some(&secret))] {
            assert!(!shown.contains("very-secret"), "{shown}");
        }
        assert_eq!(header.as_bytes(), secret.expose().as_bytes());
    }

    #[test]
    fn text_that_no_header_may_carry_gives_no_header() {
        assert!(Secret::new("two\r\nlines").to_header().is_none());
    }
}
