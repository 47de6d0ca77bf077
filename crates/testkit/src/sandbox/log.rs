//! What the sandbox was asked and what it answered, for tests to judge. No token ever gets in here.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hyper::header;
use tokio::sync::broadcast;

use super::{
    asked::{Asked, Authorization, Encoding, RequestKind},
    fingerprint,
};

/// So many entries are kept; older ones go, while the counters go on counting.
const KEPT: usize = 100_000;
/// So many answers wait for whoever follows them.
const FOLLOWED: usize = 1024;

/// One request. It is entered when it arrives and completed when it is answered, so that a request still held is seen too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogEntry {
    /// Counts the requests from 0, in the order of their arrival.
    pub number: u64,
    /// When it arrived, by the sandbox's clock, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What it asked for.
    pub kind: RequestKind,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// Whether there was a query. Its text is not kept.
    pub has_query: bool,
    /// How the body of a token request was written.
    pub encoding: Option<Encoding>,
    /// The names of a token request's fields as they were spelled, sorted.
    pub fields: Vec<String>,
    /// How the token was carried in the header.
    pub authorization: Authorization,
    /// Fingerprint of the token presented: in the header, or in the body at the endpoints for tokens.
    pub presented: Option<String>,
    /// All other headers, names in lower case, except `cookie`.
    pub headers: Vec<(String, String)>,
    /// Bytes in the body.
    pub body_bytes: usize,
    /// The identity that it acted for, where there is one.
    pub identity: Option<String>,
    /// Fingerprint of the access token that was issued.
    pub issued_access: Option<String>,
    /// Fingerprint of the refresh token that was issued or shown again.
    pub issued_refresh: Option<String>,
    /// Whether it had its effect. A fault may keep it from acting, or take the answer away afterwards.
    pub acted: bool,
    /// The status answered; `None` while unanswered, and for ever where a fault swallowed the answer.
    pub status: Option<u16>,
    /// The planned fault that it met, in words such as `reset after acting`.
    pub fault: Option<String>,
}

impl LogEntry {
    /// A header's value; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// How often things happened since the sandbox started. All but the first five count what had its effect, answered or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that arrived at the token endpoint.
    pub token_requests: u64,
    /// Requests to mint that arrived.
    pub mint_requests: u64,
    /// Requests to renew that arrived.
    pub renew_requests: u64,
    /// Requests to token-info that arrived.
    pub token_infos: u64,
    /// API calls that arrived.
    pub api_calls: u64,
    /// Visitors made.
    pub mints: u64,
    /// Renewals granted.
    pub renewals: u64,
    /// Renewals and codes refused.
    pub refusals: u64,
    /// Members who signed in with a code.
    pub sign_ins: u64,
    /// Presentations of a refresh token that a newer one had already replaced, whether granted or refused. Always 0 under
    /// [`Rotation::Same`](super::Rotation::Same), where nothing is replaced.
    pub redeemed_twice: u64,
    /// API calls turned away because of their token.
    pub unauthorized: u64,
}

/// What acting on a request came to, for the log.
#[derive(Default)]
pub(super) struct Note {
    pub(super) outcome: Outcome,
    pub(super) identity: Option<String>,
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) twice: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Minted,
    Renewed,
    SignedIn,
    Refused,
    Unauthorized,
    #[default]
    Other,
}

pub(super) struct Log {
    inner: Mutex<Inner>,
    answers: broadcast::Sender<LogEntry>,
}

impl Default for Log {
    fn default() -> Self {
        Self { inner: Mutex::default(), answers: broadcast::Sender::new(FOLLOWED) }
    }
}

/// The requests of a sandbox as they are answered or their answer is swallowed by a fault, from the moment this was asked for.
#[derive(Debug)]
pub struct Answers(broadcast::Receiver<LogEntry>);

impl Answers {
    /// The next request that is dealt with; `None` once the sandbox is gone. Of more than a thousand that nobody took in time, the
    /// oldest are left out.
    pub async fn next(&mut self) -> Option<LogEntry> {
        loop {
            match self.0.recv().await {
                Ok(entry) => return Some(entry),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<LogEntry>,
    next: u64,
    counters: Counters,
}

impl Log {
    /// Enters a request; the number completes the entry later.
    pub(super) fn arrived(&self, asked: &Asked, fault: Option<String>, at_ms: u64) -> u64 {
        let mut fields: Vec<String> = asked.fields.given.iter().map(|(name, _)| without_tokens(name)).collect();
        fields.sort_unstable();
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        count_arrival(&mut inner.counters, asked.kind);
        if inner.entries.len() == KEPT {
            inner.entries.pop_front();
        }
        inner.entries.push_back(LogEntry {
            number,
            at_ms,
            kind: asked.kind,
            method: asked.method.to_string(),
            path: without_tokens(&asked.path),
            has_query: asked.query.is_some(),
            encoding: asked.fields.encoding,
            fields,
            authorization: asked.authorization,
            presented: asked.presented().map(fingerprint),
            headers: headers(asked),
            body_bytes: asked.body.len(),
            identity: None,
            issued_access: None,
            issued_refresh: None,
            acted: false,
            status: None,
            fault,
        });
        number
    }

    pub(super) fn acted(&self, number: u64, note: Note) {
        let mut inner = self.lock();
        let counters = &mut inner.counters;
        counters.redeemed_twice += u64::from(note.twice);
        match note.outcome {
            Outcome::Minted => counters.mints += 1,
            Outcome::Renewed => counters.renewals += 1,
            Outcome::SignedIn => counters.sign_ins += 1,
            Outcome::Refused => counters.refusals += 1,
            Outcome::Unauthorized => counters.unauthorized += 1,
            Outcome::Other => {}
        }
        if let Some(entry) = inner.entry(number) {
            entry.acted = true;
            entry.identity = note.identity;
            entry.issued_access = note.access;
            entry.issued_refresh = note.refresh;
        }
    }

    /// `None` where a fault swallowed the answer.
    pub(super) fn answered(&self, number: u64, status: Option<u16>) {
        if let Some(entry) = self.lock().entry(number) {
            entry.status = status;
            if self.answers.receiver_count() > 0 {
                // Whoever followed may have gone meanwhile.
                let _ = self.answers.send(entry.clone());
            }
        }
    }

    pub(super) fn follow(&self) -> Answers {
        Answers(self.answers.subscribe())
    }

    pub(super) fn entries(&self) -> Vec<LogEntry> {
        self.lock().entries.iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.lock().entries.clear();
    }

    pub(super) fn counters(&self) -> Counters {
        self.lock().counters
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn entry(&mut self, number: u64) -> Option<&mut LogEntry> {
        // Numbers are in a row, so the place follows from the first one.
        let first = self.entries.front()?.number;
        let place = usize::try_from(number.checked_sub(first)?).ok()?;
        self.entries.get_mut(place)
    }
}

fn count_arrival(counters: &mut Counters, kind: RequestKind) {
    match kind {
        RequestKind::Mint => {
            counters.token_requests += 1;
            counters.mint_requests += 1;
        }
        RequestKind::Renew => {
            counters.token_requests += 1;
            counters.renew_requests += 1;
        }
        RequestKind::SignIn | RequestKind::OtherGrant => counters.token_requests += 1,
        RequestKind::TokenInfo => counters.token_infos += 1,
        RequestKind::Api => counters.api_calls += 1,
        RequestKind::Preflight
        | RequestKind::Tool
        | RequestKind::Login
        | RequestKind::Control
        | RequestKind::Revoke => {}
    }
}

fn headers(asked: &Asked) -> Vec<(String, String)> {
    asked
        .headers
        .iter()
        .filter(|(name, _)| **name != header::AUTHORIZATION && **name != header::COOKIE)
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), without_tokens(&value))
        })
        .collect()
}

/// A client that puts a token where none belongs must not make the log a leak.
pub(super) fn without_tokens(text: &str) -> String {
    if text.contains("JWS.") { "[holds a token]".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::{HeaderMap, Method};

    use super::*;

    fn asked(path: &'static str) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "OauthNG.JWS.a.b.c".parse().unwrap());
        headers.insert("x-odd", "OauthNG.JWS.a.b.c".parse().unwrap());
        Asked::read(Method::GET, &path.parse().unwrap(), headers, Bytes::new())
    }

    #[test]
    fn a_token_in_an_odd_place_does_not_get_into_the_log() {
        let log = Log::default();
        log.arrived(&asked("/a/OauthNG.JWS.a.b.c?q=OauthNG.JWS.a.b.c"), None, 0);
        let shown = format!("{:?}", log.entries());
        assert!(!shown.contains("JWS"), "{shown}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_follows_hears_of_each_answer_and_of_the_end() {
        let log = Log::default();
        let mut answers = log.follow();
        let number = log.arrived(&asked("/one"), None, 0);
        log.answered(number, Some(418));
        let heard = answers.next().await.unwrap();
        assert_eq!((heard.path.as_str(), heard.status), ("/one", Some(418)));
        drop(log);
        assert!(answers.next().await.is_none());
    }

    #[test]
    fn an_entry_is_completed_also_after_older_ones_went() {
        let log = Log::default();
        let first = log.arrived(&asked("/one"), None, 0);
        log.clear();
        let second = log.arrived(&asked("/two"), None, 0);
        log.answered(first, Some(500));
        log.answered(second, Some(200));
        let entries = log.entries();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].status, Some(200));
    }
}
