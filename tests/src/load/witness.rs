//! What the sandbox saw: who had a token when, and who was served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wix_visitor_testkit::sandbox::{LogEntry, RequestKind, Sandbox};

/// How long after its grant a token counts as one that every instance knows, and how long before it lapses it still does.
const SURE: u64 = 1000;

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What it saw so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// When each visitor was given a token, and the answer was not lost.
    granted: BTreeMap<String, Vec<u64>>,
    /// Who called the API, with a token that was good.
    served: BTreeSet<String>,
    /// Requests for tokens, and how many of them met a fault.
    asked: u64,
    failed: u64,
}

impl Witness {
    /// Looks on, on a thread of its own, until the sandbox is gone.
    ///
    /// # Panics
    /// When there is no thread.
    pub fn of(sandbox: &Sandbox) -> Self {
        let (witness, mut answers) = (Self::default(), sandbox.answers());
        let looking = witness.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                while let Some(entry) = answers.next().await {
                    looking.see(entry);
                }
            });
        });
        witness
    }

    fn see(&self, entry: LogEntry) {
        let mut seen = self.seen();
        let token = matches!(entry.kind, RequestKind::Mint | RequestKind::Renew);
        seen.asked += u64::from(token);
        seen.failed += u64::from(token && entry.fault.is_some());
        let Some(identity) = entry.identity.filter(|_| entry.acted && entry.status == Some(200)) else { return };
        if token && entry.fault.is_none() {
            seen.granted.entry(identity).or_default().push(now_ms());
        } else if entry.kind == RequestKind::Api {
            seen.served.insert(identity);
        }
    }

    /// Whether a visitor had a usable token all the time from `begun` to `ended`, beyond doubt: one that was neither about to lapse nor
    /// given out only just before an instance was killed.
    pub fn had_token(&self, identity: &str, begun: u64, ended: u64, lifetime: Duration, kills: &[u64]) -> bool {
        // Policy: within the last eighth of its life a token is not sent.
        let usable = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX) / 8 * 7;
        let seen = self.seen();
        seen.granted.get(identity).into_iter().flatten().any(|at| {
            let unsaved = kills.iter().any(|kill| *at <= *kill && *kill <= at + SURE);
            !unsaved && at + SURE <= begun && ended + SURE <= at + usable
        })
    }

    /// Who called the API with a good token.
    pub fn served(&self) -> BTreeSet<String> {
        self.seen().served.clone()
    }

    /// How many requests for tokens there were, and how many of them failed.
    pub fn asked(&self) -> (u64, u64) {
        let seen = self.seen();
        (seen.asked, seen.failed)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_while_it_is_known_everywhere_and_not_about_to_lapse() {
        let witness = Witness::default();
        witness.seen().granted.insert("a".into(), vec![10_000]);
        let had = |begun, ended, kills: &[u64]| witness.had_token("a", begun, ended, Duration::from_secs(16), kills);
        assert!(had(11_000, 23_000, &[]) && had(12_000, 12_100, &[9_999, 11_001]));
        assert!(!had(10_999, 12_000, &[]) && !had(12_000, 23_001, &[]) && !had(12_000, 12_100, &[10_500]));
        assert!(!witness.had_token("b", 12_000, 12_100, Duration::from_secs(16), &[]));
    }
}
