//! One visitor, and what can be asked of it.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;

use crate::clock::Timestamp;
use crate::driver::{Boarded, Driver, Joined, half_way, runtime};
use crate::entry::{Entry, Token};
use crate::error::{Error, ErrorKind};
use crate::events::VisitorLost;
use crate::key::VisitorId;
use crate::progress::Heard;
use crate::protocol::flight::Goal;
use crate::protocol::intent::Intent;
use crate::protocol::reconcile::{Held, newer};
use crate::record::{Record, decode};
use crate::secret::Secret;
use crate::tokens::{Role, Tokens};

/// The longest token taken from an application, in bytes. Wix's have about a thousand.
const LONGEST_TOKEN: usize = 8 * 1024;

/// An access token that may be sent now, as the value of an `Authorization` header. Cheap to clone; `Debug` redacts it.
///
/// It keeps what it is from, the refresh token too, in memory until it is dropped: what is kept for long had better be its header.
#[derive(Clone)]
pub struct Authorization {
    token: Token,
    lost: Option<Arc<VisitorLost>>,
}

impl Authorization {
    /// The value for an `Authorization` header, bare as Wix documents it, marked sensitive.
    pub fn header(&self) -> &HeaderValue {
        self.token.header()
    }

    /// Set if the call that returned this met the loss of a visitor: the token belongs to a new one.
    pub fn lost(&self) -> Option<&VisitorLost> {
        self.lost.as_deref()
    }
}

impl AsRef<[u8]> for Authorization {
    fn as_ref(&self) -> &[u8] {
        self.header().as_bytes()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").field("lost", &self.lost).finish_non_exhaustive()
    }
}

/// What is known of a visitor, without a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What logs call it.
    pub visitor: VisitorId,
    /// Whether there is a record.
    pub exists: bool,
    /// Whether it was forgotten on purpose, and nothing came after.
    pub forgotten: bool,
    /// Whom the tokens stand for.
    pub role: Role,
    /// When the access token ends, if there is one.
    pub expires_at: Option<Timestamp>,
    /// Whether the access token may be sent now.
    pub usable: bool,
    /// Whether it is time to renew.
    pub due: bool,
    /// Whether a refresh token is kept that was not refused.
    pub renewable: bool,
    /// How many renewals this identity has seen.
    pub generation: u64,
    /// How often the application set tokens or forgot.
    pub epoch: u64,
    /// Whether somebody holds the claim on it.
    pub claimed: bool,
    /// How many refresh tokens are kept aside.
    pub alternates: usize,
    /// The last failure, if no grant worked since.
    pub last_error: Option<String>,
    /// For how long grants are paused after it.
    pub paused_for: Option<Duration>,
    /// Whether what this process holds is in the store.
    pub saved: bool,
}

/// One visitor of a site. Cheap to clone; clones share everything.
///
/// Nothing is minted before a token is needed. Every call here may be dropped at any point: what it started goes on, and is
/// kept.
#[derive(Clone, Debug)]
pub struct Visitor {
    driver: Arc<Driver>,
    entry: Entry,
}

type Obtained<'a> = Pin<Box<dyn Future<Output = Result<Authorization, Error>> + Send + 'a>>;

/// The token at hand, or else the one that is obtained. Written out, since an `async fn` would move a token at hand about so often that
/// it took half as long again to have it.
struct Serving<'a> {
    visitor: &'a Visitor,
    obtained: Option<Obtained<'a>>,
}

impl Future for Serving<'_> {
    type Output = Result<Authorization, Error>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let visitor = self.visitor;
        if self.obtained.is_none()
            && let Some(token) = visitor.present(&Goal::Serve)
        {
            visitor.driver.meters.hit();
            return Poll::Ready(Ok(Authorization { token, lost: None }));
        }
        self.obtained.get_or_insert_with(|| visitor.obtained(Goal::Serve)).as_mut().poll(context)
    }
}

impl Visitor {
    pub(crate) fn new(driver: Arc<Driver>, entry: Entry) -> Self {
        Self { driver, entry }
    }

    /// What logs and events call this visitor.
    pub fn id(&self) -> VisitorId {
        self.entry.id()
    }

    /// A token that may be sent now: from memory while it is usable, else renewed, or minted where there is none.
    ///
    /// A usable token is returned at once, and renewed meanwhile if that is due. Without one, all callers wait for one grant and
    /// get the same result, at the latest after the policy's `wait`.
    ///
    /// # Errors
    /// Never a new visitor in place of an error: see [`ErrorKind`]. All who waited for one grant get the same error.
    #[inline]
    pub fn authorization(&self) -> impl Future<Output = Result<Authorization, Error>> + Send + use<'_> {
        Serving { visitor: self, obtained: None }
    }

    /// Renews if `rejected` (the access token that was answered with a 401) is still the current one; else returns the
    /// current one.
    ///
    /// # Errors
    /// As [`authorization`](Self::authorization).
    pub async fn renew_if(&self, rejected: impl AsRef<[u8]>) -> Result<Authorization, Error> {
        let rejected = String::from_utf8_lossy(rejected.as_ref()).into_owned();
        self.obtained(Goal::Replace(Secret::new(rejected))).await
    }

    /// Renews without checking whether that is needed. Calls at the same time share one grant.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if this visitor has no tokens to renew; else as [`authorization`](Self::authorization).
    pub async fn renew(&self) -> Result<Authorization, Error> {
        let tokens = self.tokens().await?;
        if tokens == Tokens::default() {
            return Err(self.error(
                ErrorKind::InvalidInput,
                "there is nothing to renew: this visitor has no tokens yet, ask for an authorization to mint them",
            ));
        }
        let rejected = tokens.access.map_or_else(|| Secret::new(""), |token| token.value);
        self.obtained(Goal::Replace(rejected)).await
    }

    /// This visitor's valid tokens, renewed or minted as needed, and kept: a visitor that exists is never replaced by this.
    ///
    /// # Errors
    /// As [`authorization`](Self::authorization).
    pub async fn generate(&self) -> Result<Tokens, Error> {
        self.authorization().await?;
        self.tokens().await
    }

    /// Takes over the tokens given, and makes valid ones of them: the same while they are valid; a new access token while the
    /// refresh token works; new tokens once it is refused, if it is a visitor's.
    ///
    /// Tokens of the identity that is kept here already change nothing, so that an old copy never sets it back; a refresh token
    /// that was replaced is known as such for 32 renewals. Without a refresh token this is [`generate`](Self::generate).
    ///
    /// # Errors
    /// [`ErrorKind::MemberSessionEnded`] once a member's refresh token is refused; else as
    /// [`authorization`](Self::authorization).
    pub async fn generate_from(&self, given: Tokens) -> Result<Tokens, Error> {
        let given = given.trimmed();
        if let Some(refresh) = &given.refresh {
            self.check()?;
            let knows = |record: &Record| record.chain().is_some_and(|chain| chain.recognises(&refresh.value));
            let held = self.entry.held().is_some_and(|held| knows(&held.record));
            // Another instance may have renewed since: before tokens count as a stranger's, the store is asked.
            if !held && !self.stored().await?.is_some_and(|record| knows(&record)) {
                self.set_tokens(given).await?;
            }
        }
        self.generate().await
    }

    /// The tokens as they are, from memory or else from the store. Mints nothing, renews nothing; empty if there are none.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if nothing is known yet and the store fails.
    pub async fn tokens(&self) -> Result<Tokens, Error> {
        Ok(self.record().await?.and_then(|record| record.chain().map(|chain| chain.tokens.clone())).unwrap_or_default())
    }

    /// Puts these tokens in place of whatever there is: a sign-in, or an import. Beats every grant in flight; in the store when
    /// this returns `Ok`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no refresh token among them, or the access token cannot be sent in a header;
    /// [`ErrorKind::Store`] if they could not be saved: nothing has changed then, unless the kind is *unknown*.
    pub async fn set_tokens(&self, tokens: Tokens) -> Result<(), Error> {
        self.check()?;
        let tokens = tokens.trimmed();
        if tokens.refresh.is_none() {
            return Err(self.error(
                ErrorKind::InvalidInput,
                "these tokens hold no refresh token, so they could not be kept: to drop a visitor's tokens, forget it",
            ));
        }
        let texts =
            [tokens.access.as_ref().map(|token| &token.value), tokens.refresh.as_ref().map(|token| &token.value)];
        for text in texts.into_iter().flatten() {
            if text.to_header().is_none() {
                return Err(
                    self.error(ErrorKind::InvalidInput, "a token among these holds characters that no token has")
                );
            }
            if text.expose().len() > LONGEST_TOKEN {
                return Err(
                    self.error(ErrorKind::InvalidInput, "a token among these is longer than 8 KiB, which none is")
                );
            }
        }
        self.driver.change(&self.entry, Intent::Set(tokens)).await.map(drop)
    }

    /// Whether these are a signed-in member's tokens. Mints nothing.
    ///
    /// # Errors
    /// As [`tokens`](Self::tokens).
    pub async fn logged_in(&self) -> Result<bool, Error> {
        Ok(self.tokens().await?.role() == Role::Member)
    }

    /// Forgets this visitor: its tokens are gone at once, and no late renewal brings them back. The next need for a token mints
    /// a new visitor.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if that could not be saved: nothing has changed then, unless the kind is *unknown*.
    pub async fn forget(&self) -> Result<(), Error> {
        self.check()?;
        self.driver.change(&self.entry, Intent::Forget).await.map(drop)
    }

    /// Forgets this visitor for good: nothing is ever minted under its key again, as long as the policy keeps tombstones. For a
    /// session id that was replaced, so that a request still under way with the old one cannot bring it back to life.
    ///
    /// # Errors
    /// As [`forget`](Self::forget). A call that needs a token of a retired visitor gets [`ErrorKind::Retired`].
    pub async fn retire(&self) -> Result<(), Error> {
        self.check()?;
        self.driver.change(&self.entry, Intent::Retire).await.map(drop)
    }

    /// [Retires](Self::retire) this visitor if it has no tokens, nobody is about to mint them, and it is not retired already; whether
    /// that was so.
    ///
    /// # Errors
    /// As [`forget`](Self::forget).
    pub async fn retire_unused(&self) -> Result<bool, Error> {
        self.check()?;
        self.driver.change(&self.entry, Intent::RetireUnused).await
    }

    /// Whether an access token of this visitor is in memory, whatever it is worth. Then, as far as this process knows, it is neither
    /// forgotten nor retired.
    #[inline]
    pub fn is_in_memory(&self) -> bool {
        self.entry.has_token()
    }

    /// Since when this visitor is [retired](Self::retire), if it is: from memory, or else from the store.
    ///
    /// # Errors
    /// As [`tokens`](Self::tokens).
    pub async fn retired(&self) -> Result<Option<Timestamp>, Error> {
        if self.is_in_memory() {
            return Ok(None);
        }
        Ok(self.record().await?.and_then(|record| record.retired()))
    }

    /// What is known of this visitor, read from the store.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store fails.
    pub async fn status(&self) -> Result<Status, Error> {
        self.check()?;
        let stored = self.stored().await?;
        let now = self.driver.clock.now();
        let held = self.entry.held();
        let saved = held.as_ref().is_none_or(|held| held.etag.is_some());
        // What was saved while the store was being asked is newer than its answer.
        let is_newer = |held: &Held| stored.as_ref().is_some_and(|stored| newer(&held.record, stored, now.wall));
        let own = held.filter(|held| held.etag.is_none() || is_newer(held)).map(|held| held.record);
        let record = own.or(stored).unwrap_or_default();
        let chain = record.chain();
        let schedule = chain.map_or(crate::protocol::schedule::Schedule::NONE, |chain| {
            crate::protocol::schedule::Schedule::of(chain, &self.driver.policy, self.entry.spread())
        });
        let trouble = record.trouble.as_ref();
        Ok(Status {
            visitor: self.entry.id(),
            exists: record.version().is_some(),
            forgotten: record.is_tombstone(),
            role: chain.map_or(Role::None, |chain| chain.role()),
            expires_at: chain.and_then(|chain| chain.tokens.access.as_ref()).map(|token| token.expires_at),
            usable: schedule.is_usable(now.wall),
            due: chain.is_some() && schedule.is_due(now.wall),
            renewable: chain.is_some_and(|chain| chain.candidate().is_some()),
            generation: chain.map_or(0, |chain| chain.generation),
            epoch: record.epoch,
            claimed: record.claim.is_some(),
            alternates: chain.map_or(0, |chain| chain.alternates.len()),
            last_error: trouble.map(|trouble| trouble.message.clone()).or_else(|| {
                let refused = chain.is_some_and(|chain| chain.refused && chain.candidate().is_none());
                refused.then(|| "every refresh token was refused".to_owned())
            }),
            paused_for: trouble.map(|t| t.until.since(now.wall).min(t.pause)).filter(|left| *left > Duration::ZERO),
            saved,
        })
    }

    /// State of type `T` kept in memory beside this visitor: one per visitor and type, made by `Default` at first use, gone with
    /// the process. For layers built on this one.
    pub fn attachment<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.entry.attachment()
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, message).with_visitor(self.entry.id())
    }

    fn check(&self) -> Result<(), Error> {
        if *self.entry.hash() == self.driver.nobody {
            return Err(self.error(
                ErrorKind::InvalidInput,
                "the visitor key is empty: give each visitor a key of its own, or \"default\" where there is one only",
            ));
        }
        Ok(())
    }

    /// A token from memory that serves this goal, if there is one. Starts a renewal beside it if that is due.
    #[inline(always)]
    fn present(&self, goal: &Goal) -> Option<Token> {
        let token = self.entry.token().filter(|token| !goal.rejects(token.header()))?;
        let now = self.driver.clock.wall();
        // Not handed on, so that a token that is served at once stays where it is.
        if token.snapshot().calm().holds_at(now) { Some(token) } else { self.attend(goal, now) }
    }

    /// The same, where there may be more to do than to serve a token.
    #[cold]
    fn attend(&self, goal: &Goal, now: Timestamp) -> Option<Token> {
        let token = self.entry.token().filter(|token| !goal.rejects(token.header()))?;
        let (policy, snapshot) = (&*self.driver.policy, token.snapshot());
        let outline = snapshot.outline();
        let schedule = snapshot.schedule(&outline, policy, self.entry.spread());
        if !schedule.is_usable(now) {
            return None;
        }
        if schedule.is_due(now) {
            self.renew_meanwhile();
        }
        if snapshot.wants_a_look(now, policy.look_after) {
            snapshot.needs_no_look(now, &schedule, policy.look_after);
            // Whether another instance signed this visitor in or out, where nobody would have told.
            if !self.driver.elsewhere.covers(outline.seen.monotonic) {
                self.driver.look(&self.entry);
            }
        }
        Some(token)
    }

    #[cold]
    fn renew_meanwhile(&self) {
        if !self.entry.is_quiet(self.driver.clock.monotonic()) {
            // The present token serves; why no better one is being fetched shows when it no longer does.
            let _ = self.driver.board(&self.entry, Goal::Renew);
        }
    }

    fn late(&self) -> Error {
        self.error(
            ErrorKind::Busy,
            "no token in time: another holder's grant, or our own, is still under way; the visitor is kept, try again",
        )
    }

    /// What [`obtain`](Self::obtain) gives: apart, and behind a pointer, so that whoever has a token at hand does not carry it.
    #[cold]
    fn obtained(&self, goal: Goal) -> Obtained<'_> {
        Box::pin(self.obtain(goal))
    }

    /// Waits for a flight, and for another where the first one's end is not what this caller needs.
    async fn obtain(&self, goal: Goal) -> Result<Authorization, Error> {
        self.check()?;
        let until = self.driver.clock.monotonic().saturating_add(self.driver.policy.wait);
        let mut lost = None;
        let mut vanished = 0;
        let mut first = true;
        let mut waiting = None;
        // For a token to serve, `Serving` did a moment ago.
        let mut looked = goal == Goal::Serve;
        loop {
            if !mem::take(&mut looked)
                && let Some(token) = self.present(&goal)
            {
                if waiting.is_none() {
                    self.driver.meters.hit();
                }
                return Ok(Authorization { token, lost });
            }
            if self.driver.clock.monotonic() > until {
                return Err(self.late());
            }
            waiting.get_or_insert_with(|| self.driver.meters.wait());
            let Boarded { waiting: mut flight, joined } = self.driver.board(&self.entry, goal.clone())?;
            // A flight that was under way before this call may bring the very token that was rejected; a later one tells that
            // there is no better.
            let stale = joined.is_some() && first;
            // What it had brought by then was of no use: if the machine slept since, it is an old token.
            let known = if stale { self.entry.term() } else { None };
            first = false;
            let end = loop {
                if let Some(end) = flight.end() {
                    break end.clone();
                }
                if let Some(token) = self.present(&goal) {
                    return Ok(Authorization { token, lost });
                }
                if flight.news(until).await == Heard::Nothing {
                    // One that was published this very moment is not told yet.
                    let token = self.present(&goal);
                    return token.map(|token| Authorization { token, lost }).ok_or_else(|| self.late());
                }
            };
            match end {
                Some(Ok(landing)) => {
                    lost = landing.lost.or(lost);
                    // Even if its life is too short to be called usable.
                    let newest = || if landing.granted { self.entry.token() } else { None };
                    let new = || newest().filter(|token| known.is_none() || token.term() != known);
                    let good = |token: &Token| !stale || !goal.rejects(token.header());
                    if let Some(token) = self.present(&goal).or_else(new).filter(good) {
                        return Ok(Authorization { token, lost });
                    }
                }
                // Somebody's wish to renew came to nothing, on a flight that this caller joined: no answer to its own.
                Some(Err(error))
                    if joined.is_some() && goal == Goal::Serve && error.kind() == ErrorKind::InvalidInput => {}
                Some(Err(_)) if joined == Some(Joined::Aside) => {}
                Some(Err(error)) => {
                    return match self.present(&goal) {
                        Some(token) => Ok(Authorization { token, lost }),
                        None => Err(error),
                    };
                }
                // Its runtime was dropped, or its store or endpoint panicked: on ours it may go better.
                None => {
                    vanished += 1;
                    if vanished > 3 {
                        return Err(half_way().with_visitor(self.entry.id()));
                    }
                }
            }
        }
    }

    /// The record as this process knows it, or else as the store does.
    async fn record(&self) -> Result<Option<Record>, Error> {
        self.check()?;
        match self.entry.held() {
            Some(held) => Ok(Some(held.record)),
            None => self.stored().await,
        }
    }

    async fn stored(&self) -> Result<Option<Record>, Error> {
        runtime()?;
        let Some(stored) =
            self.driver.load(&self.entry).await.map_err(|e| Error::from(e).with_visitor(self.entry.id()))?
        else {
            return Ok(None);
        };
        let record = decode(&stored.bytes).map_err(|error| Error::from(error).with_visitor(self.entry.id()))?;
        let held = Held { record: record.clone(), etag: Some(stored.etag), seen: self.driver.clock.now() };
        self.entry.discover(&held, &self.driver.policy);
        self.driver.settle(&self.entry);
        Ok(Some(record))
    }
}
