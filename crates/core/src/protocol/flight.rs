//! One flight: the steps that bring a visitor a token, as a state machine.
//!
//! The driver performs an [`Action`], and answers with an [`Input`]. Every decision is here, and none is anywhere else.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::clock::Now;
use crate::endpoint::{Grant, GrantError, GrantFailure, GrantReply};
use crate::error::{Error, ErrorKind, StoreError};
use crate::events::{EventKind, LossReason, VisitorLost};
use crate::policy::{OnRefused, Policy};
use crate::protocol::elapsed;
use crate::protocol::outcome;
use crate::protocol::reconcile::{Held, Reconciled, reconcile};
use crate::protocol::schedule::Schedule;
use crate::protocol::watch::Watch;
use crate::record::{Chain, Lineage, Nonce, Record, Standing, Version};
use crate::secret::Secret;
use crate::store::Etag;
use crate::tokens::Role;

/// What a flight is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// That what this process holds is in the store.
    Save,
    /// That what this process holds is what the store shows, whoever wrote it.
    Look,
    /// A token that is not due, while the present one still serves. Never mints.
    Renew,
    /// A token that is usable: somebody waits for it. Mints where there is none.
    Serve,
    /// A usable token other than this one, which was rejected.
    Replace(Secret),
}

impl Goal {
    /// Whether this header is what is to be replaced.
    #[inline]
    pub fn rejects(&self, header: &HeaderValue) -> bool {
        matches!(self, Self::Replace(rejected) if header.as_bytes() == rejected.expose().as_bytes())
    }
}

/// A version of the record, as the store showed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Its name.
    pub etag: Etag,
    /// The record.
    pub record: Record,
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Swap {
    /// What has to stand there.
    pub expected: Option<Etag>,
    /// The new version.
    pub new: Seen,
    /// Holds tokens that nobody else has: worth trying again while the save budget lasts.
    pub precious: bool,
    /// Takes the claim, and with it the right to ask the endpoint.
    pub claims: bool,
}

/// What the driver does next.
#[derive(Clone, Debug)]
pub enum Action {
    /// Load the record; answer [`Input::Loaded`] or [`Input::StoreFailed`].
    Load,
    /// Swap; answer [`Input::Swapped`], [`Input::Conflict`] or [`Input::StoreFailed`].
    Swap(Box<Swap>),
    /// Send a grant, now, and give up on it after `timeout`; answer [`Input::Granted`].
    Grant {
        /// What to ask.
        grant: Grant,
        /// The most it may take.
        timeout: Duration,
    },
    /// Pause; answer [`Input::Woke`].
    Sleep(Duration),
    /// The flight is over.
    Done(Result<Landing, Error>),
}

/// What the driver learned.
#[derive(Clone, Debug)]
pub enum Input {
    /// Take off.
    Start,
    /// This is what stands there.
    Loaded(Option<Seen>),
    /// The swap took place.
    Swapped,
    /// It did not: this stands there.
    Conflict(Option<Seen>),
    /// The store failed.
    StoreFailed(StoreError),
    /// This process may not ask the endpoint just now: the claim was not tried for, or the grant was not sent.
    Barred(Error),
    /// The endpoint's answer.
    Granted(Result<GrantReply, GrantError>),
    /// The pause is over.
    Woke,
}

/// How a flight ended well.
#[derive(Clone, Debug, Default)]
pub struct Landing {
    /// What is held now came from the endpoint by this flight: it serves those who waited, however short-lived it is.
    pub granted: bool,
    /// It met the loss of a visitor.
    pub lost: Option<Arc<VisitorLost>>,
}

/// One step's result.
#[derive(Clone, Debug)]
pub struct Step {
    /// What this process holds has changed: publish [`Flight::held`].
    pub publish: bool,
    /// What to report.
    pub events: Vec<EventKind>,
    /// What to do.
    pub action: Action,
}

#[derive(Clone, Debug)]
enum Phase {
    Start,
    Loading,
    Waiting,
    /// Writing a record of ours that the store does not show, or joining an alternate to one of others.
    PuttingBack(Swap),
    Claiming {
        swap: Swap,
        since: Now,
        tries: u32,
        /// What it is for.
        grant: Grant,
    },
    Granting {
        claim: Seen,
        grant: Grant,
    },
    Committing(Swap),
    Releasing {
        swap: Swap,
        result: Result<(), Error>,
    },
    Done,
}

/// How soon a claim of another instance is looked at again: at first, and at most.
const POLL_FIRST: Duration = Duration::from_millis(50);
const POLL_MOST: Duration = Duration::from_millis(1_000);
/// How many swaps in a row may conflict before a pause.
const CONFLICTS: u32 = 16;
/// How often a claim is taken anew because the store was too slow for its lease.
const CLAIMS: u32 = 3;

/// One flight.
#[derive(Clone, Debug)]
pub struct Flight {
    policy: Arc<Policy>,
    spread: u64,
    goal: Goal,
    held: Option<Held>,
    watch: Watch,
    phase: Phase,
    /// Refresh tokens that this flight saw refused.
    refused: Vec<Secret>,
    /// The lineage that stood there when the flight took off.
    origin: Option<Lineage>,
    /// The nonce of our own claim.
    own: Option<Nonce>,
    /// The claim that is being tried for is still another holder's.
    breaks: bool,
    /// What the endpoint gave.
    granted: Option<Version>,
    lost: Option<Arc<VisitorLost>>,
    /// Events that wait until the tokens they speak of are there to stay.
    pending: Vec<EventKind>,
    poll: Duration,
    conflicts: u32,
    closing: bool,
}

impl Flight {
    /// A flight towards `goal`, from what this process holds. `spread` is the visitor's number for the jitter.
    pub fn new(policy: Arc<Policy>, spread: u64, goal: Goal, held: Option<Held>, watch: Watch) -> Self {
        let origin = held.as_ref().and_then(|held| held.record.version()).map(|version| version.lineage);
        Self {
            policy,
            spread,
            goal,
            held,
            watch,
            phase: Phase::Start,
            refused: Vec::new(),
            origin,
            own: None,
            breaks: false,
            granted: None,
            lost: None,
            pending: Vec::new(),
            poll: POLL_FIRST,
            conflicts: 0,
            closing: false,
        }
    }

    /// What this process holds now.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// What it is for.
    pub fn goal(&self) -> &Goal {
        &self.goal
    }

    /// What was watched, for the next flight.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Everything that bears on a decision still to come, for checkers that recognise a state they have been in. Left out is what
    /// only says how long to pause, and what is only told.
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        let Self { goal, held, watch, phase, refused, origin, own, granted, closing, .. } = self;
        (goal, held, watch, refused, origin, own, granted, closing).hash(hasher);
        std::mem::discriminant(phase).hash(hasher);
        match phase {
            Phase::Start | Phase::Loading | Phase::Waiting | Phase::Done => {}
            Phase::PuttingBack(swap) | Phase::Committing(swap) => swap.hash(hasher),
            Phase::Claiming { swap, since, tries, grant } => (swap, since, tries, grant).hash(hasher),
            Phase::Granting { claim, grant } => (claim, grant).hash(hasher),
            Phase::Releasing { swap, result } => (swap, result.as_ref().map_err(Error::kind)).hash(hasher),
        }
    }

    /// From now on no grant is sent; a claim is released, a reply under way is kept.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Takes the answer to the last action and says what to do next. `draw` gives 128 fresh random bits a call.
    pub fn next(&mut self, input: Input, now: Now, draw: &mut dyn FnMut() -> u128) -> Step {
        let mut turn = Turn { flight: self, now, draw, publish: false, events: Vec::new() };
        let action = turn.take(input);
        let (publish, events) = (turn.publish, turn.events);
        Step { publish, events, action }
    }
}

/// One step in the making.
struct Turn<'a> {
    flight: &'a mut Flight,
    now: Now,
    draw: &'a mut dyn FnMut() -> u128,
    publish: bool,
    events: Vec<EventKind>,
}

impl Turn<'_> {
    fn take(&mut self, input: Input) -> Action {
        let phase = std::mem::replace(&mut self.flight.phase, Phase::Done);
        // A conflict that shows the very version we tried to write is a write that took place.
        let input = match (&phase, input) {
            (
                Phase::PuttingBack(swap)
                | Phase::Claiming { swap, .. }
                | Phase::Committing(swap)
                | Phase::Releasing { swap, .. },
                Input::Conflict(Some(seen)),
            ) if seen.etag == swap.new.etag => Input::Swapped,
            (_, input) => input,
        };
        match (phase, input) {
            (Phase::Start, Input::Start) => match &self.flight.held {
                Some(held) if held.etag.is_some() && self.may_go_on(&held.record) => self.consider(),
                _ => self.load(),
            },
            (Phase::Waiting, Input::Woke) => self.load(),
            (Phase::Loading, Input::Loaded(seen)) => self.look(seen),
            (Phase::Loading, Input::StoreFailed(error)) => self.fail(error),

            (Phase::PuttingBack(swap), Input::Swapped) => {
                self.confirm(swap.new);
                self.consider()
            }
            (Phase::PuttingBack(_) | Phase::Claiming { .. } | Phase::Committing(_), Input::Conflict(seen)) => {
                self.look(seen)
            }
            (Phase::PuttingBack(_), Input::StoreFailed(error)) if self.flight.granted.is_some() => self.unsaved(error),
            (Phase::PuttingBack(_) | Phase::Claiming { .. }, Input::StoreFailed(error)) => self.fail(error),

            (Phase::Claiming { .. }, Input::Barred(error)) => self.end(Err(error)),
            (Phase::Claiming { swap, since, tries, grant }, Input::Swapped) => {
                if std::mem::take(&mut self.flight.breaks) {
                    self.events.push(EventKind::ClaimTakenOver);
                }
                self.claimed(swap.new, since, tries, grant)
            }
            (Phase::Granting { claim, grant }, Input::Granted(Ok(reply))) => self.granted(&claim, &grant, &reply),
            (Phase::Granting { claim, grant }, Input::Granted(Err(error))) => self.failed(claim, &grant, &error),
            (Phase::Granting { claim, .. }, Input::Barred(error)) => {
                self.release(Some(claim.etag), claim.record.claimed(None), Err(error))
            }
            // No room for what the grant would bring: it was not sent.
            (Phase::Granting { claim, .. }, Input::StoreFailed(error)) => {
                self.release(Some(claim.etag), claim.record.claimed(None), Err(error.into()))
            }

            (Phase::Committing(swap), Input::Swapped) => {
                self.confirm(swap.new);
                self.land()
            }
            (Phase::Committing(_), Input::StoreFailed(error)) => self.unsaved(error),

            (Phase::Releasing { swap, result }, Input::Swapped) => {
                self.confirm(swap.new);
                self.end(result)
            }
            (Phase::Releasing { swap, result }, Input::Conflict(Some(seen)))
                if seen.record.claim.is_some() && seen.record.claim == self.flight.own =>
            {
                // Somebody joined an alternate to our claimed record: release that one.
                let standing = match (&swap.new.record.standing, seen.record.standing) {
                    (Standing::Held(ours), Standing::Held(mut theirs)) => {
                        theirs.doubt = ours.doubt;
                        self.flight.refused.iter().for_each(|refused| theirs.refuse(refused));
                        Standing::Held(theirs)
                    }
                    (_, theirs) => theirs,
                };
                let record = Record { epoch: seen.record.epoch, standing, ..swap.new.record };
                self.release(Some(seen.etag), record, result)
            }
            (Phase::Releasing { swap, result }, Input::Conflict(seen)) => {
                let expected = seen.as_ref().map(|seen| seen.etag);
                let (record, dropped) = match self.decide(seen.as_ref()) {
                    Reconciled::Adopt => {
                        self.adopt(seen);
                        return if self.goal_met() { self.end(Ok(())) } else { self.end(result) };
                    }
                    // The store went back: what it lost goes there again, with what was learned.
                    Reconciled::Put { record, dropped } => {
                        let Record { claim, trouble, .. } = swap.new.record;
                        (Record { claim, trouble, ..record }, dropped)
                    }
                    Reconciled::Join { record, dropped } => (record, dropped),
                };
                self.drop_alternates(dropped);
                self.release(expected, record, result)
            }
            (Phase::Releasing { result, .. }, Input::StoreFailed(_)) => self.end(result),

            // Answers that no action asked for: the driver's mistake, which must not become a visitor's.
            (_, _) => self.end(Err(Error::new(ErrorKind::Unavailable, "the flow lost its thread; try again"))),
        }
    }

    /// Whether this record, as it was last seen, asks for nothing or for a claim. The claim tells if it is still what stands
    /// there; where it is somebody else's turn, or an error would be told, only a look does.
    fn may_go_on(&self, record: &Record) -> bool {
        let quiet = record.claim.is_none() && record.trouble.is_none() && self.flight.goal != Goal::Look;
        quiet && (self.goal_met() || matches!(self.wanted(record), Ok(Some(_))))
    }

    fn load(&mut self) -> Action {
        self.flight.phase = Phase::Loading;
        Action::Load
    }

    fn swap(&mut self, expected: Option<Etag>, record: Record, precious: bool) -> Swap {
        let etag = Etag::from_bits((self.draw)());
        Swap { expected, new: Seen { etag, record }, precious, claims: false }
    }

    /// The store shows this: whose record counts?
    fn look(&mut self, seen: Option<Seen>) -> Action {
        self.flight.conflicts += 1;
        if self.flight.conflicts.is_multiple_of(CONFLICTS) {
            let millis = u64::try_from((self.draw)() % 50).unwrap_or(0);
            return self.pause(Duration::from_millis(millis));
        }
        let expected = seen.as_ref().map(|seen| seen.etag);
        let (record, dropped) = match self.decide(seen.as_ref()) {
            Reconciled::Adopt => {
                self.adopt(seen);
                return self.consider();
            }
            Reconciled::Put { record, dropped } | Reconciled::Join { record, dropped } => (record, dropped),
        };
        self.drop_alternates(dropped);
        let swap = self.swap(expected, record, self.flight.granted.is_some());
        self.flight.phase = Phase::PuttingBack(swap.clone());
        Action::Swap(Box::new(swap))
    }

    fn decide(&self, seen: Option<&Seen>) -> Reconciled {
        let Some(mine) = &self.flight.held else { return Reconciled::Adopt };
        reconcile(mine, seen.map(|seen| &seen.record), self.now, &self.flight.policy)
    }

    fn adopt(&mut self, seen: Option<Seen>) {
        let superseded = self.superseded(seen.as_ref().map(|seen| &seen.record));
        let before = self.flight.held.as_ref().and_then(|held| held.record.version());
        let held = seen.map(|seen| Held { record: seen.record, etag: Some(seen.etag), seen: self.now });
        let after = held.as_ref().and_then(|held| held.record.version());
        if before != after && after.is_some() {
            self.events.push(EventKind::Adopted);
        }
        // A mint of ours that gave way before it was served was nobody's.
        self.flight.pending.clear();
        self.flight.lost = superseded.map(Arc::new);
        self.events.extend(self.flight.lost.clone().map(EventKind::VisitorLost));
        self.flight.held = held;
        self.publish = true;
    }

    /// Whom this record takes the place of, if that is somebody whom this process has served, and neither the application's
    /// wish nor reported by whoever minted it.
    fn superseded(&self, theirs: Option<&Record>) -> Option<VisitorLost> {
        let held = self.flight.held.as_ref()?;
        let mine = held.record.chain()?;
        let served = !self.flight.pending.iter().any(|event| matches!(event, EventKind::Minted));
        let (lost, replaced) = match theirs.map(|theirs| (theirs, &theirs.standing)) {
            // The store lost it too long ago for it to be put back.
            None | Some((_, Standing::Empty)) => (true, false),
            Some((_, Standing::Forgotten(_) | Standing::Retired(..))) => (false, false),
            Some((theirs, Standing::Held(chain))) => {
                let silent = chain.replaces.is_none_or(|replaced| replaced.lineage != mine.lineage);
                (silent && mine.lineage != chain.lineage && held.record.epoch == theirs.epoch, true)
            }
        };
        (served && lost).then(|| VisitorLost {
            reason: LossReason::Superseded,
            role: mine.role(),
            generation: mine.generation,
            replaced,
        })
    }

    /// A write of ours took place.
    fn confirm(&mut self, written: Seen) {
        let Seen { etag, record } = written;
        self.flight.held = Some(Held { record, etag: Some(etag), seen: self.now });
        self.events.append(&mut self.flight.pending);
        self.publish = true;
    }

    fn drop_alternates(&mut self, dropped: usize) {
        self.events.extend(std::iter::repeat_n(EventKind::AlternateDropped, dropped));
    }

    fn chain(&self) -> Option<&Chain> {
        self.flight.held.as_ref().and_then(|held| held.record.chain())
    }

    fn goal_met(&self) -> bool {
        if self.flight.goal == Goal::Save {
            return self.flight.held.as_ref().is_none_or(|held| held.etag.is_some());
        }
        let Some(chain) = self.chain() else { return false };
        let schedule = Schedule::of(chain, &self.flight.policy, self.flight.spread);
        let usable = schedule.is_usable(self.now.wall);
        match &self.flight.goal {
            Goal::Replace(rejected) => usable && chain.tokens.access.as_ref().is_some_and(|t| t.value != *rejected),
            _ => usable && !schedule.is_due(self.now.wall),
        }
    }

    /// What this process holds is what the store shows: is a grant needed, and may it be asked for?
    fn consider(&mut self) -> Action {
        if self.goal_met() || self.flight.granted.is_some() {
            return self.land();
        }
        let record = self.flight.held.as_ref().map(|held| held.record.clone()).unwrap_or_default();
        let lineage = record.version().map(|version| version.lineage);
        let to_see = matches!(self.flight.goal, Goal::Save | Goal::Look);
        if to_see || (self.flight.origin.is_some() && self.flight.origin != lineage) {
            // Another identity stands there now: whether that still wants a token is the caller's to say.
            return self.land();
        }
        self.flight.origin = lineage;
        if self.flight.closing {
            return self.end(Err(Error::new(ErrorKind::ShuttingDown, "the site was shut down; no grant is sent")));
        }
        if let Some(nonce) = record.claim.filter(|nonce| Some(*nonce) != self.flight.own) {
            let since = self.flight.watch.claim(nonce, self.now.monotonic);
            let watched = self.now.monotonic.saturating_sub(since);
            if watched < self.flight.policy.lease {
                let pause = self.flight.poll.min(self.flight.policy.lease - watched);
                self.flight.poll = (self.flight.poll * 3 / 2).min(POLL_MOST);
                return self.pause(pause);
            }
        }
        if let Some(trouble) = &record.trouble {
            let left = self.flight.watch.pause(trouble.until, trouble.pause, self.now);
            if left > Duration::ZERO {
                let error = outcome::error_from(trouble, left);
                return self.end(Err(error));
            }
        }
        self.claim(record, self.now, 0)
    }

    fn pause(&mut self, pause: Duration) -> Action {
        self.flight.phase = Phase::Waiting;
        Action::Sleep(pause)
    }

    fn waited_for(&self) -> bool {
        matches!(self.flight.goal, Goal::Serve | Goal::Replace(_))
    }

    /// Which grant this record asks for; an error, or nothing at all, where it asks for none.
    fn wanted(&self, record: &Record) -> Result<Option<Grant>, Error> {
        let Some(chain) = record.chain() else {
            return match self.flight.goal {
                Goal::Serve | Goal::Replace(_) if record.retired().is_some() => Err(Error::new(
                    ErrorKind::Retired,
                    "this visitor was retired, by a sign-in or sign-out: nothing is minted under its key any more",
                )),
                Goal::Serve => Ok(Some(Grant::Anonymous)),
                Goal::Replace(_) => Err(Error::new(
                    ErrorKind::InvalidInput,
                    "there is nothing to renew: this visitor has no tokens, or was forgotten; ask for an authorization to \
                     mint new ones",
                )),
                Goal::Renew | Goal::Save | Goal::Look => Ok(None),
            };
        };
        if let Some(refresh) = chain.candidate() {
            return Ok(Some(Grant::Refresh(refresh.clone())));
        }
        match (chain.tokens.refresh.as_ref().map(|token| token.role), self.flight.policy.on_refused) {
            (Some(Role::Member), _) => Err(Error::new(
                ErrorKind::MemberSessionEnded,
                "the member's session has ended: sign in again, or forget it to go on as a new visitor",
            )),
            _ if !self.waited_for() => Ok(None),
            (None | Some(Role::Visitor), OnRefused::Mint) => Ok(Some(Grant::Anonymous)),
            (Some(Role::None), OnRefused::Mint) => Err(Error::new(
                ErrorKind::VisitorLost,
                "the tokens were refused, and nothing says that they were an anonymous visitor's, so they are not replaced: \
                 set tokens, or forget them to go on as a new visitor",
            )),
            (_, OnRefused::Fail) => Err(Error::new(
                ErrorKind::VisitorLost,
                "the visitor's tokens were refused, and the policy is not to replace it: set tokens, or forget it",
            )),
        }
    }

    /// Takes the claim, on the version that this process holds.
    fn claim(&mut self, mut record: Record, since: Now, tries: u32) -> Action {
        if let Standing::Held(chain) = &mut record.standing {
            self.flight.refused.iter().for_each(|refused| chain.refuse(refused));
        }
        let grant = match self.wanted(&record) {
            Ok(Some(grant)) => grant,
            Ok(None) => return self.land(),
            Err(error) => return self.end(Err(error)),
        };
        let expected = self.flight.held.as_ref().and_then(|held| held.etag);
        self.flight.breaks = record.claim.is_some_and(|nonce| Some(nonce) != self.flight.own);
        self.claim_from(expected, record, since, tries, grant)
    }

    fn claim_from(&mut self, expected: Option<Etag>, record: Record, since: Now, tries: u32, grant: Grant) -> Action {
        let nonce = Nonce((self.draw)());
        self.flight.own = Some(nonce);
        self.flight.watch.claim = Some((nonce, since.monotonic));
        let swap = Swap { claims: true, ..self.swap(expected, record.claimed(Some(nonce)), false) };
        self.flight.phase = Phase::Claiming { swap: swap.clone(), since, tries, grant };
        Action::Swap(Box::new(swap))
    }

    /// The claim stands. Is there still time to use it?
    fn claimed(&mut self, claim: Seen, since: Now, tries: u32, wanted: Grant) -> Action {
        let Policy { grant, save, margin, lease, .. } = *self.flight.policy;
        if self.flight.closing {
            let error = Error::new(ErrorKind::ShuttingDown, "the site was shut down; no grant is sent");
            return self.release(Some(claim.etag), claim.record.claimed(None), Err(error));
        }
        let left = lease.saturating_sub(save + margin).saturating_sub(elapsed(since, self.now));
        if left < grant / 2 {
            if tries < CLAIMS {
                return self.claim_from(Some(claim.etag), claim.record, self.now, tries + 1, wanted);
            }
            let error = Error::new(ErrorKind::Busy, "the store is too slow for the lease; no grant was sent");
            return self.release(Some(claim.etag), claim.record.claimed(None), Err(error));
        }
        self.flight.phase = Phase::Granting { claim, grant: wanted.clone() };
        Action::Grant { grant: wanted, timeout: grant.min(left) }
    }

    /// Tokens: keep them first.
    fn granted(&mut self, claim: &Seen, grant: &Grant, reply: &GrantReply) -> Action {
        if reply.is_empty() {
            let error = GrantError::new(GrantFailure::Transient, "the reply held no token")
                .with_request_id(reply.request_id.clone());
            return self.failed(claim.clone(), grant, &error);
        }
        let policy = Arc::clone(&self.flight.policy);
        let settled = match grant {
            Grant::Refresh(used) => {
                let settled = outcome::renewed(&claim.record, used, reply, self.now.wall, &policy);
                let generation = settled.record.chain().map_or(0, |chain| chain.generation);
                self.events.push(EventKind::Renewed { generation });
                self.drop_alternates(settled.dropped);
                // Before the commit: a failed save never takes a good token away.
                self.publish = true;
                settled
            }
            Grant::Anonymous => {
                if let Some(chain) = claim.record.chain() {
                    let reason = if chain.refused { LossReason::Refused } else { LossReason::NoRefreshToken };
                    let lost = VisitorLost { reason, role: chain.role(), generation: chain.generation, replaced: true };
                    let lost = Arc::new(lost);
                    self.flight.lost = Some(Arc::clone(&lost));
                    self.flight.pending.push(EventKind::VisitorLost(lost));
                }
                self.flight.pending.push(EventKind::Minted);
                // After the commit: of two mints only one may ever be used.
                let lineage = Lineage((self.draw)());
                outcome::minted(&claim.record, reply, lineage, self.now.wall, &policy)
            }
        };
        self.flight.granted = settled.record.version();
        self.flight.held = Some(Held { record: settled.record.clone(), etag: None, seen: self.now });
        let swap = self.swap(Some(claim.etag), settled.record, true);
        self.flight.phase = Phase::Committing(swap.clone());
        Action::Swap(Box::new(swap))
    }

    fn failed(&mut self, claim: Seen, grant: &Grant, error: &GrantError) -> Action {
        let policy = Arc::clone(&self.flight.policy);
        let refused = match grant {
            Grant::Anonymous => false,
            Grant::Refresh(_) => match error.failure {
                GrantFailure::Refused => true,
                // In the background nobody is in need of a verdict: who is asks once more before it counts.
                GrantFailure::Doubtful => {
                    self.waited_for() && outcome::is_refusal(&claim.record, self.now.wall, &policy)
                }
                _ => false,
            },
        };
        if let (true, Grant::Refresh(token)) = (refused, grant) {
            return self.refused(claim, token, error);
        }
        let jitter = u64::try_from((self.draw)() & u128::from(u64::MAX)).unwrap_or(0);
        let mut record = outcome::troubled(&claim.record, error, jitter, self.now.wall, &policy);
        let pause = record.trouble.as_ref().map(|trouble| trouble.pause);
        self.flight.watch.rest(pause.unwrap_or_default(), self.now);
        let unanswered = error.failure == GrantFailure::Unknown;
        if unanswered {
            // The request may yet act: the claim runs out by itself, so that the next grant comes after it.
            record.claim = claim.record.claim;
        }
        let claimed =
            self.flight.watch.claim.filter(|_| unanswered).map(|(_, since)| since.saturating_add(policy.lease));
        let claimed = claimed.map(|end| end.saturating_sub(self.now.monotonic));
        let failure = outcome::error_of(error, pause.max(claimed));
        self.events.push(EventKind::RenewalFailed(failure.clone()));
        self.release(Some(claim.etag), record, Err(failure))
    }

    /// A refresh token is dead. The next claim is the re-read too: had the record changed meanwhile, it would conflict.
    fn refused(&mut self, claim: Seen, token: &Secret, error: &GrantError) -> Action {
        self.flight.refused.push(token.clone());
        let mut record = claim.record;
        record.trouble = None;
        let Standing::Held(chain) = &mut record.standing else { return self.land() };
        chain.refuse(token);
        chain.doubt = None;
        let (role, generation) = (chain.role(), chain.generation);
        match self.wanted(&record) {
            Ok(Some(grant)) => self.claim_from(Some(claim.etag), record, self.now, 0, grant),
            Ok(None) => {
                let failure = outcome::error_of(error, None);
                self.events.push(EventKind::RenewalFailed(failure));
                self.release(Some(claim.etag), record.claimed(None), Ok(()))
            }
            Err(ended) => {
                let ended = ended.with_status(error.status).with_request_id(error.request_id.clone());
                self.flight.pending.push(if role == Role::Member {
                    EventKind::MemberSessionEnded
                } else {
                    let reason = LossReason::Refused;
                    EventKind::VisitorLost(Arc::new(VisitorLost { reason, role, generation, replaced: false }))
                });
                self.release(Some(claim.etag), record.claimed(None), Err(ended))
            }
        }
    }

    /// Gives the claim back, with what was learned, in one write.
    fn release(&mut self, expected: Option<Etag>, record: Record, result: Result<(), Error>) -> Action {
        let swap = self.swap(expected, record, false);
        self.flight.phase = Phase::Releasing { swap: swap.clone(), result };
        Action::Swap(Box::new(swap))
    }

    /// The tokens serve from memory; the store has to wait.
    fn unsaved(&mut self, error: StoreError) -> Action {
        self.publish = true;
        let mut events = std::mem::take(&mut self.flight.pending);
        self.events.append(&mut events);
        self.events.push(EventKind::SavePending(error.into()));
        self.land()
    }

    fn fail(&mut self, error: StoreError) -> Action {
        self.end(Err(error.into()))
    }

    /// Ends well, unless the endpoint gave everything but an access token.
    fn land(&mut self) -> Action {
        if self.holds_granted() && self.chain().is_some_and(|chain| chain.tokens.access.is_none()) {
            return self.end(Err(Error::new(
                ErrorKind::Unavailable,
                "the token endpoint's reply held no access token that can be sent; what else it held is kept",
            )));
        }
        self.end(Ok(()))
    }

    fn end(&mut self, result: Result<(), Error>) -> Action {
        self.flight.phase = Phase::Done;
        // What was decided is reported even where the release that would have written it down failed.
        self.events.append(&mut self.flight.pending);
        let landing = Landing { granted: self.holds_granted(), lost: self.flight.lost.clone() };
        Action::Done(result.map(|()| landing))
    }

    /// Whether what is held is what the endpoint gave to this flight.
    fn holds_granted(&self) -> bool {
        let held = self.flight.held.as_ref().and_then(|held| held.record.version());
        held.is_some() && held == self.flight.granted
    }
}

#[cfg(test)]
mod tests;
