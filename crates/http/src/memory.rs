//! What API calls remember of one visitor: tokens that were rejected, and `X-Wix-Consistent`.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;

/// For how long a fresh token that was answered with a 401 is not renewed for another 401. An API that answers 401 for
/// reasons of its own (it wants a member, say) must not cost a grant per call.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longest `X-Wix-Consistent` carried on, in bytes.
const LONGEST_CONSISTENT: usize = 4096;

/// How the API rejected a call, if it was or may have been about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// A 401.
    Unauthorized,
    /// Code `WDE0117`, which a dead token gets and other mistakes do too.
    Ambiguous,
}

/// The memory, one per visitor. Tokens are kept as keyed hashes only.
#[derive(Default)]
pub(crate) struct ApiMemory {
    hasher: RandomState,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    consistent: Option<HeaderValue>,
    unauthorized: Option<(u64, Instant)>,
    ambiguous: Option<u64>,
}

impl ApiMemory {
    /// Whether this rejection is worth a renewal: not if the token is itself what such a renewal brought.
    pub(crate) fn may_renew(&self, rejection: Rejection, token: &[u8], now: Instant) -> bool {
        let hash = self.hasher.hash_one(token);
        let inner = self.lock();
        match rejection {
            Rejection::Unauthorized => inner
                .unauthorized
                .is_none_or(|(known, since)| known != hash || now.saturating_duration_since(since) >= PATIENCE),
            Rejection::Ambiguous => inner.ambiguous != Some(hash),
        }
    }

    /// Notes a token that a rejection brought and that has not been accepted yet.
    pub(crate) fn distrust(&self, rejection: Rejection, token: &[u8], now: Instant) {
        let hash = self.hasher.hash_one(token);
        let mut inner = self.lock();
        match rejection {
            Rejection::Unauthorized => inner.unauthorized = Some((hash, now)),
            Rejection::Ambiguous => inner.ambiguous = Some(hash),
        }
    }

    /// Takes that back: the call that was rejected went through with it.
    pub(crate) fn trust(&self, rejection: Rejection, token: &[u8]) {
        let hash = self.hasher.hash_one(token);
        let mut inner = self.lock();
        match rejection {
            Rejection::Unauthorized => drop(inner.unauthorized.take_if(|(known, _)| *known == hash)),
            Rejection::Ambiguous => drop(inner.ambiguous.take_if(|known| *known == hash)),
        }
    }

    pub(crate) fn consistent(&self) -> Option<HeaderValue> {
        self.lock().consistent.clone()
    }

    pub(crate) fn set_consistent(&self, value: &HeaderValue) {
        if value.len() <= LONGEST_CONSISTENT {
            self.lock().consistent = Some(value.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is one assignment, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Rejection::{Ambiguous, Unauthorized};

    #[test]
    fn a_token_that_a_401_brought_is_not_renewed_for_another_for_five_minutes() {
        let memory = ApiMemory::default();
        let start = Instant::now();
        assert!(memory.may_renew(Unauthorized, b"old", start));
        memory.distrust(Unauthorized, b"fresh", start);
        assert!(!memory.may_renew(Unauthorized, b"fresh", start));
        assert!(!memory.may_renew(Unauthorized, b"fresh", start + PATIENCE - Duration::from_millis(1)));
        assert!(memory.may_renew(Unauthorized, b"fresh", start + PATIENCE));
        assert!(memory.may_renew(Unauthorized, b"another", start));
        assert!(memory.may_renew(Ambiguous, b"fresh", start));
    }

    #[test]
    fn an_ambiguous_answer_renews_a_token_once_for_ever() {
        let memory = ApiMemory::default();
        let start = Instant::now();
        memory.distrust(Ambiguous, b"fresh", start);
        assert!(!memory.may_renew(Ambiguous, b"fresh", start + 1000 * PATIENCE));
        assert!(memory.may_renew(Ambiguous, b"next", start));
        assert!(memory.may_renew(Unauthorized, b"fresh", start));
    }

    #[test]
    fn a_token_that_went_through_is_trusted_again_but_no_other() {
        let memory = ApiMemory::default();
        let now = Instant::now();
        for rejection in [Unauthorized, Ambiguous] {
            memory.distrust(rejection, b"fresh", now);
            memory.trust(rejection, b"another");
            assert!(!memory.may_renew(rejection, b"fresh", now));
            memory.trust(rejection, b"fresh");
            assert!(memory.may_renew(rejection, b"fresh", now));
        }
    }
}
