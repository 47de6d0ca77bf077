//! The endpoint: issues tokens that show whose they are, takes each refresh token once, and is down when the scene says so.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wix_visitor_core::{ClientId, Grant, GrantError, GrantFailure, GrantReply, Secret, TokenEndpoint, async_trait};

use crate::books::{Books, Pace, Purpose};
use crate::machine::millis_since;
use crate::scene::{LATENCY, LIFETIME, Seconds};

/// Who issues the tokens.
pub(crate) const ISSUER: &str = "https://www.wixapis.com";

/// What the endpoint knows of one identity.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identity {
    /// How often it was renewed.
    pub(crate) renewals: u32,
    /// When it was granted tokens last.
    pub(crate) granted: Seconds,
    /// Whether its shopper waits for a token.
    pub(crate) waited_for: bool,
}

/// The endpoint's side of an instance.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) identities: Vec<Identity>,
    pub(crate) books: Books,
    pub(crate) background: Pace,
    /// Until when the endpoint is not known to be well, in milliseconds: all the time that it is down, and until an answer has come.
    pub(crate) ill: Range<u64>,
}

/// An endpoint. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    start: Instant,
    down: Range<Seconds>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Endpoint {
    pub(crate) fn new(start: Instant, down: Range<Seconds>) -> Self {
        let ill = if down.is_empty() { 0..0 } else { u64::from(down.start) * 1_000..u64::MAX };
        let ledger = Ledger { ill, ..Ledger::default() };
        Self { start, down, ledger: Arc::new(Mutex::new(ledger)) }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, grant: &Grant) -> Result<GrantReply, GrantError> {
        let millis = millis_since(self.start);
        let second = Seconds::try_from(millis / 1_000).unwrap_or(Seconds::MAX);
        let mut ledger = self.ledger();
        let ledger = &mut *ledger;
        let redeemed = match grant {
            Grant::Refresh(token) => Some(numbers_in(token.expose().as_bytes()).ok_or_else(refused)?),
            _ => None,
        };
        let purpose = match redeemed {
            None => Purpose::Mint,
            Some((number, _)) if ledger.identities.get(number).is_some_and(|known| known.waited_for) => {
                Purpose::Waiting
            }
            Some(_) => Purpose::Background,
        };
        if purpose == Purpose::Background {
            ledger.background.note(second);
        }
        if self.down.contains(&second) {
            ledger.books.failed += 1;
            return Err(GrantError::new(GrantFailure::Transient, "down for an hour").with_status(503));
        }
        let number = match redeemed {
            None => {
                ledger.identities.push(Identity { granted: second, ..Identity::default() });
                ledger.identities.len() - 1
            }
            Some((number, renewals)) => {
                let known = ledger.identities.get_mut(number).ok_or_else(refused)?;
                if known.renewals != renewals {
                    ledger.books.spent_twice += 1;
                    return Err(refused());
                }
                (known.renewals, known.granted) = (renewals + 1, second);
                number
            }
        };
        if !self.down.is_empty() && second >= self.down.end && ledger.books.first_back.is_none() {
            ledger.books.first_back = Some((purpose, second));
            ledger.ill.end = millis + u64::try_from(LATENCY.as_millis()).unwrap_or(u64::MAX);
        }
        ledger.books.granted[purpose as usize].note(second);
        let name = format!("{number}-{}", ledger.identities[number].renewals);
        let mut reply = GrantReply::default();
        reply.access_token = Some(Secret::new(format!("access-{name}")));
        reply.refresh_token = Some(Secret::new(format!("refresh-{name}")));
        reply.expires_in = Some(LIFETIME);
        Ok(reply)
    }
}

fn refused() -> GrantError {
    GrantError::new(GrantFailure::Refused, "invalid_grant")
}

/// Whose token this is, and after how many renewals.
pub(crate) fn numbers_in(token: &[u8]) -> Option<(usize, u32)> {
    let mut parts = std::str::from_utf8(token).ok()?.split('-').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[async_trait]
impl TokenEndpoint for Endpoint {
    fn issuer(&self) -> &str {
        ISSUER
    }

    async fn grant(&self, _: &ClientId, grant: &Grant, _: Duration) -> Result<GrantReply, GrantError> {
        let answer = self.answer(grant);
        tokio::time::sleep(LATENCY).await;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(secret: Option<Secret>) -> String {
        secret.map(|secret| secret.expose().to_owned()).unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_token_is_taken_once_and_names_the_same_identity_for_ever() {
        let endpoint = Endpoint::new(Instant::now(), 0..0);
        let other = endpoint.answer(&Grant::Anonymous).unwrap();
        let first = endpoint.answer(&Grant::Anonymous).unwrap();
        let spent = Grant::Refresh(first.refresh_token.unwrap());
        let renewed = endpoint.answer(&spent).unwrap();
        assert_eq!(text(other.access_token), "access-0-0");
        assert_eq!(text(renewed.access_token), "access-1-1");
        assert_eq!(endpoint.answer(&spent).unwrap_err().failure, GrantFailure::Refused);
        assert_eq!(endpoint.ledger().books.spent_twice, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_from_who_does_not_and_nobody_is_answered_while_it_is_down() {
        let endpoint = Endpoint::new(Instant::now(), 60..120);
        let mut refresh = endpoint.answer(&Grant::Anonymous).unwrap().refresh_token.unwrap();
        for (second, waits) in [(30, true), (130, false), (190, true)] {
            tokio::time::sleep_until(endpoint.start + Duration::from_secs(second)).await;
            endpoint.ledger().identities[0].waited_for = waits;
            refresh = endpoint.answer(&Grant::Refresh(refresh)).unwrap().refresh_token.unwrap();
            tokio::time::advance(Duration::from_secs(50)).await;
            assert_eq!(endpoint.answer(&Grant::Anonymous).is_err(), second == 30);
        }
        let books = &endpoint.ledger().books;
        assert_eq!((books.granted(Purpose::Waiting).sum(), books.granted(Purpose::Background).at(2)), (2, 1));
        assert_eq!((books.failed, books.first_back), (1, Some((Purpose::Background, 130))));
    }
}
