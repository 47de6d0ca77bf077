//! A visitor key as the one under which its visitor is found in memory.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use zeroize::Zeroizing;

/// The text of a visitor key, zeroed on drop. Unlike a [`Secret`](crate::Secret) it is not shared: among many visitors each
/// step from pointer to pointer is a wait for memory, and a look-up is little else.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(Zeroizing<Box<str>>);

impl Name {
    pub(crate) fn new(key: &str) -> Self {
        Self(Zeroizing::new(key.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

// As a `str` does, which `Borrow` asks for.
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(&self.0, state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_nothing() {
        assert_eq!(format!("{:?}", Name::new("session-cookie")), "Name(redacted)");
    }
}
