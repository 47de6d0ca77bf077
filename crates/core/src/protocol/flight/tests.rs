//! What a flight decides, told step by step.

use std::hash::DefaultHasher;

use super::*;
use crate::clock::Timestamp;
use crate::error::StoreErrorKind;
use crate::protocol::testing::{at, chain, forgotten, held, record, saved, secs, unsaved, with_alternates};
use crate::record::{Doubt, Trouble};
use crate::tokens::RefreshToken;

/// Moments in the life of the token that [`record`] holds: new, due but usable, over.
const FRESH: u64 = 1_000;
const DUE: u64 = 14_000;
const ENDED: u64 = 14_400;

/// The version that [`saved`] knows, and one that somebody else wrote.
const MINE: Etag = Etag::from_bits(77);
const THEIRS: Etag = Etag::from_bits(99);

/// A flight, its clock, and what it has told.
struct Journey {
    flight: Flight,
    now: Now,
    drawn: u128,
    events: Vec<EventKind>,
    published: bool,
}

impl Journey {
    fn new(goal: Goal, held: impl Into<Option<Held>>, second: u64) -> Self {
        Self::under(Policy::default(), goal, held, second)
    }

    fn under(policy: Policy, goal: Goal, held: impl Into<Option<Held>>, second: u64) -> Self {
        let flight = Flight::new(Arc::new(policy), 0, goal, held.into(), Watch::default());
        Self { flight, now: at(second), drawn: 0, events: Vec::new(), published: false }
    }

    /// The next flight of this process, from this saved record.
    fn next(&self, goal: Goal, record: Record) -> Self {
        let policy = Arc::clone(&self.flight.policy);
        let flight = Flight::new(policy, 0, goal, Some(saved(record, 0)), self.flight.watch().clone());
        Self { flight, now: self.now, drawn: 1 << 100, events: Vec::new(), published: false }
    }

    fn step(&mut self, input: Input) -> Action {
        let drawn = &mut self.drawn;
        let step = self.flight.next(input, self.now, &mut || {
            *drawn += 1;
            *drawn
        });
        self.events.extend(step.events);
        self.published = step.publish;
        step.action
    }

    fn loads(&mut self, input: Input) {
        let action = self.step(input);
        assert!(matches!(action, Action::Load), "no load, but {action:?}");
    }

    fn writes(&mut self, input: Input) -> Swap {
        match self.step(input) {
            Action::Swap(swap) => *swap,
            other => panic!("no write, but {other:?}"),
        }
    }

    fn asks(&mut self, input: Input) -> (Grant, Duration) {
        match self.step(input) {
            Action::Grant { grant, timeout } => (grant, timeout),
            other => panic!("no grant, but {other:?}"),
        }
    }

    fn sleeps(&mut self, input: Input) -> Duration {
        match self.step(input) {
            Action::Sleep(pause) => pause,
            other => panic!("no pause, but {other:?}"),
        }
    }

    fn lands(&mut self, input: Input) -> Landing {
        match self.step(input) {
            Action::Done(Ok(landing)) => landing,
            other => panic!("no landing, but {other:?}"),
        }
    }

    fn fails(&mut self, input: Input) -> Error {
        match self.step(input) {
            Action::Done(Err(error)) => error,
            other => panic!("no error, but {other:?}"),
        }
    }

    /// The names of the events since they were last asked for.
    fn told(&mut self) -> Vec<String> {
        let name = |event: EventKind| format!("{event:?}").split(['(', ' ']).next().unwrap().to_owned();
        self.events.drain(..).map(name).collect()
    }

    /// Lets this much pass on both clocks.
    fn wait(&mut self, time: Duration) {
        self.now = Now { wall: self.now.wall + time, monotonic: self.now.monotonic + time };
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.flight.fingerprint(&mut hasher);
        hasher.finish()
    }
}

/// A renewal up to its grant, and the claim that it holds.
fn asking(goal: Goal, record: Record, second: u64) -> (Journey, Swap) {
    let mut journey = Journey::new(goal, saved(record, 0), second);
    let claim = journey.writes(Input::Start);
    assert!(matches!(journey.asks(Input::Swapped), (Grant::Refresh(_), _)));
    (journey, claim)
}

/// A mint where nothing stands, up to its grant.
fn minting() -> Journey {
    let mut journey = Journey::new(Goal::Serve, None, FRESH);
    journey.loads(Input::Start);
    journey.writes(Input::Loaded(None));
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Anonymous);
    journey
}

fn shows(record: Record) -> Input {
    Input::Loaded(Some(Seen { etag: THEIRS, record }))
}

fn conflict(record: Record) -> Input {
    Input::Conflict(Some(Seen { etag: THEIRS, record }))
}

fn down() -> Input {
    Input::StoreFailed(StoreError::new(StoreErrorKind::Unavailable, "test", "it is down"))
}

fn barred() -> Input {
    Input::Barred(Error::new(ErrorKind::Unavailable, "later"))
}

fn failed(failure: GrantFailure) -> Input {
    Input::Granted(Err(GrantError::new(failure, "busy").with_status(400).with_request_id(Some("r1".to_owned()))))
}

fn reply(access: Option<&str>, refresh: Option<&str>, expires_in: u64) -> Input {
    Input::Granted(Ok(GrantReply {
        access_token: access.map(Into::into),
        refresh_token: refresh.map(Into::into),
        expires_in: Some(secs(expires_in)),
        request_id: None,
    }))
}

/// What another instance's renewal made of [`record`], good for four more hours.
fn renewed(generation: u64) -> Record {
    Record { standing: Standing::Held(chain(1, generation, secs(28_800), secs(14_400))), ..Record::default() }
}

fn retired() -> Record {
    Record { standing: Standing::Retired(Lineage(5), Timestamp::default()), epoch: 1, ..Record::default() }
}

fn with(mut record: Record, change: impl FnOnce(&mut Chain)) -> Record {
    let Standing::Held(chain) = &mut record.standing else { panic!("nothing to change") };
    change(chain);
    record
}

/// Tokens of this role, all of them refused.
fn refused(role: Role) -> Record {
    with(record(1, 3), |chain| {
        chain.tokens.refresh = Some(RefreshToken::new("refresh-1-3", role));
        chain.refused = true;
    })
}

fn troubled(until: u64, pause: u64) -> Record {
    let trouble = Trouble {
        failures: 2,
        pause: secs(pause),
        until: Timestamp::default() + secs(until),
        kind: ErrorKind::Misconfigured,
        message: "no such client".to_owned(),
    };
    Record { trouble: Some(trouble), ..record(1, 3) }
}

/// Two doubtful answers over more than five minutes, up to just before this moment.
fn doubted(record: Record, second: u64) -> Record {
    let (since, last) = (Timestamp::default() + secs(second - 400), Timestamp::default() + secs(second - 100));
    with(record, |chain| chain.doubt = Some(Doubt { count: 2, since, last }))
}

// What is wanted, and whether the store has to be asked first.

#[test]
fn only_the_very_token_that_was_rejected_is_to_be_replaced() {
    let header = HeaderValue::from_static("access-1-3");
    assert!(Goal::Replace("access-1-3".into()).rejects(&header));
    assert!(!Goal::Replace("access-1-2".into()).rejects(&header) && !Goal::Serve.rejects(&header));
}

#[test]
fn a_renewal_from_a_warm_snapshot_is_a_claim_a_grant_and_a_commit() {
    let mut journey = Journey::new(Goal::Renew, saved(record(1, 3), 0), DUE);
    assert_eq!(journey.flight.goal(), &Goal::Renew);
    let claim = journey.writes(Input::Start);
    assert_eq!((claim.expected, claim.claims, claim.precious), (Some(MINE), true, false));
    assert_eq!(claim.new.record, record(1, 3).claimed(claim.new.record.claim));
    assert!(claim.new.record.claim.is_some());
    assert_eq!(journey.asks(Input::Swapped), (Grant::Refresh("refresh-1-3".into()), secs(10)));

    let commit = journey.writes(reply(Some("new"), Some("rotated"), 14_400));
    assert_eq!((commit.expected, commit.claims, commit.precious), (Some(claim.new.etag), false, true));
    assert_eq!((held(&commit.new.record).generation, commit.new.record.claim), (4, None));
    assert!(journey.published, "before the commit");
    let landing = journey.lands(Input::Swapped);
    assert!(landing.granted && landing.lost.is_none() && journey.published);
    assert_eq!(journey.flight.held().map(|held| held.etag), Some(Some(commit.new.etag)));
    assert_eq!(journey.told(), ["Renewed"]);
}

#[test]
fn a_snapshot_is_claimed_unseen_only_where_nothing_but_a_claim_can_be_its_end() {
    let claimed = record(1, 3).claimed(Some(Nonce(9)));
    for (goal, held, second) in [
        (Goal::Serve, None, ENDED),
        (Goal::Serve, Some(unsaved(record(1, 3), 0)), ENDED),
        (Goal::Serve, Some(saved(claimed.clone(), 0)), ENDED),
        (Goal::Serve, Some(saved(claimed, 0)), FRESH),
        (Goal::Serve, Some(saved(troubled(ENDED, 1), 0)), ENDED),
        (Goal::Look, Some(saved(record(1, 3), 0)), ENDED),
        // An error, and nothing at all, are told after a look only.
        (Goal::Replace("any".into()), Some(saved(forgotten(5, 1), 0)), ENDED),
        (Goal::Renew, Some(saved(forgotten(5, 1), 0)), ENDED),
    ] {
        Journey::new(goal, held, second).loads(Input::Start);
    }
    let landing = Journey::new(Goal::Serve, saved(record(1, 3), 0), FRESH).lands(Input::Start);
    assert!(!landing.granted, "it served as it was");
    Journey::new(Goal::Save, saved(forgotten(5, 1), 0), ENDED).lands(Input::Start);
}

#[test]
fn a_token_is_renewed_when_due_and_replaced_only_by_a_usable_one() {
    let starts = |goal: Goal, second| Journey::new(goal, saved(record(1, 3), 0), second).step(Input::Start);
    let asks = |goal, second| matches!(starts(goal, second), Action::Swap(swap) if swap.claims);
    let stays = |goal, second| matches!(starts(goal, second), Action::Done(Ok(_)));
    let (same, other) = (Goal::Replace("access-1-3".into()), Goal::Replace("access-1-2".into()));
    assert!(stays(Goal::Renew, FRESH) && asks(Goal::Renew, DUE) && asks(Goal::Serve, DUE) && asks(Goal::Serve, ENDED));
    assert!(asks(same, FRESH) && stays(other.clone(), FRESH) && stays(other.clone(), DUE) && asks(other, ENDED));
}

#[test]
fn nothing_is_minted_in_the_background_nor_over_what_was_retired_nor_to_replace_what_is_not_there() {
    let ends = |goal: Goal, record: Record| {
        let mut journey = Journey::new(goal, None, ENDED);
        journey.loads(Input::Start);
        match journey.step(shows(record)) {
            Action::Done(result) => result.err().map(|error| error.kind()),
            other => panic!("no end, but {other:?}"),
        }
    };
    let replace = || Goal::Replace("any".into());
    assert_eq!(ends(Goal::Serve, retired()), Some(ErrorKind::Retired));
    assert_eq!(ends(replace(), retired()), Some(ErrorKind::Retired));
    assert_eq!(ends(replace(), forgotten(5, 1)), Some(ErrorKind::InvalidInput));
    for goal in [Goal::Renew, Goal::Save, Goal::Look] {
        assert_eq!(ends(goal, forgotten(5, 1)), None);
    }
    assert_eq!(ends(Goal::Renew, refused(Role::Visitor)), None);
    assert_eq!(ends(Goal::Renew, refused(Role::Member)), Some(ErrorKind::MemberSessionEnded));
    assert_eq!(ends(Goal::Serve, refused(Role::Member)), Some(ErrorKind::MemberSessionEnded));
    assert_eq!(ends(Goal::Serve, refused(Role::None)), Some(ErrorKind::VisitorLost), "it may be a member's");
}

#[test]
fn a_mint_over_a_tombstone_is_nobodys_loss() {
    let mut journey = Journey::new(Goal::Serve, None, ENDED);
    journey.loads(Input::Start);
    let claim = journey.writes(shows(forgotten(5, 1)));
    assert_eq!(claim.expected, Some(THEIRS));
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Anonymous);
    let commit = journey.writes(reply(Some("new"), Some("refresh"), 14_400));
    assert!(!journey.published, "of two mints only one may ever be used");
    assert_eq!((commit.new.record.epoch, held(&commit.new.record).replaces), (1, forgotten(5, 1).version()));
    let landing = journey.lands(Input::Swapped);
    assert!(landing.granted && landing.lost.is_none());
    assert_eq!(journey.told(), ["Adopted", "Minted"]);
}

#[test]
fn a_visitor_whose_every_token_was_refused_is_replaced_and_reported_unless_the_policy_says_no() {
    let mut journey = Journey::new(Goal::Serve, saved(refused(Role::Visitor), 0), ENDED);
    journey.writes(Input::Start);
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Anonymous);
    journey.writes(reply(Some("new"), Some("refresh"), 14_400));
    assert!(journey.told().is_empty(), "not before the new one is there to stay");
    let lost = journey.lands(Input::Swapped).lost.unwrap();
    assert_eq!((lost.reason, lost.role, lost.generation, lost.replaced), (LossReason::Refused, Role::Visitor, 3, true));
    assert_eq!(journey.told(), ["VisitorLost", "Minted"]);

    let policy = Policy { on_refused: OnRefused::Fail, ..Policy::default() };
    let mut journey = Journey::under(policy, Goal::Serve, saved(refused(Role::Visitor), 0), ENDED);
    journey.loads(Input::Start);
    assert_eq!(journey.fails(shows(refused(Role::Visitor))).kind(), ErrorKind::VisitorLost);
}

#[test]
fn a_visitor_who_never_had_a_refresh_token_is_replaced_for_that_reason() {
    let bare = with(record(1, 3), |chain| chain.tokens.refresh = None);
    let mut journey = Journey::new(Goal::Serve, saved(bare, 0), ENDED);
    journey.writes(Input::Start);
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Anonymous);
    journey.writes(reply(Some("new"), Some("refresh"), 14_400));
    let lost = journey.lands(Input::Swapped).lost.unwrap();
    assert_eq!((lost.reason, lost.role, lost.replaced), (LossReason::NoRefreshToken, Role::None, true));
}

// What the store shows.

#[test]
fn a_store_that_cannot_be_read_is_an_error_and_so_is_an_answer_to_no_question() {
    let mut journey = Journey::new(Goal::Serve, None, FRESH);
    journey.loads(Input::Start);
    assert_eq!(journey.fails(down()).kind(), ErrorKind::Store);
    assert_eq!(Journey::new(Goal::Serve, None, FRESH).fails(Input::Woke).kind(), ErrorKind::Unavailable);
}

#[test]
fn what_is_unsaved_goes_into_a_store_that_lacks_it_and_nothing_is_asked_of_the_endpoint() {
    let mut journey = Journey::new(Goal::Save, unsaved(record(1, 3), 0), ENDED);
    journey.loads(Input::Start);
    let put = journey.writes(Input::Loaded(None));
    assert_eq!((put.expected, put.precious, put.claims), (None, false, false));
    assert_eq!(put.new.record, record(1, 3));
    assert!(!journey.lands(Input::Swapped).granted);
    assert_eq!(journey.flight.held().map(|held| held.etag), Some(Some(put.new.etag)));

    let mut journey = Journey::new(Goal::Save, unsaved(record(1, 3), 0), ENDED);
    journey.loads(Input::Start);
    journey.writes(shows(record(1, 2)));
    assert_eq!(journey.fails(down()).kind(), ErrorKind::Store);
    assert!(journey.told().is_empty());
}

#[test]
fn a_flight_that_has_nothing_and_finds_nothing_ends_with_nothing() {
    for goal in [Goal::Save, Goal::Look, Goal::Renew] {
        let mut journey = Journey::new(goal, None, FRESH);
        journey.loads(Input::Start);
        assert!(!journey.lands(Input::Loaded(None)).granted);
        assert!(journey.flight.held().is_none() && journey.told().is_empty());
    }
}

#[test]
fn a_look_takes_over_what_stands_there_and_asks_for_nothing() {
    let mut journey = Journey::new(Goal::Look, saved(record(1, 3), 0), ENDED);
    journey.loads(Input::Start);
    journey.lands(shows(record(1, 3)));
    assert!(journey.told().is_empty(), "it was there before");
    let mut journey = Journey::new(Goal::Look, saved(record(1, 3), 0), ENDED);
    journey.loads(Input::Start);
    journey.lands(shows(record(1, 4)));
    assert!(journey.published);
    assert_eq!(journey.told(), ["Adopted"]);
    assert_eq!(journey.flight.held().map(|held| (held.etag, held.seen)), Some((Some(THEIRS), at(ENDED))));
}

#[test]
fn a_visitor_that_another_took_the_place_of_is_reported_unless_that_was_meant_or_has_been_said() {
    let replacing = |lineage| {
        let replaced = Version { lineage: Lineage(lineage), generation: 3 };
        with(record(2, 0), |chain| chain.replaces = Some(replaced))
    };
    let signed_in = Record { epoch: 1, ..record(2, 0) };
    for (theirs, lost) in [
        (record(2, 0), true),
        (replacing(7), true),
        (replacing(1), false),
        (signed_in, false),
        (record(1, 4), false),
        (forgotten(5, 1), false),
        (retired(), false),
    ] {
        let mut journey = Journey::new(Goal::Look, saved(record(1, 3), 0), ENDED);
        journey.loads(Input::Start);
        let reported = journey.lands(shows(theirs.clone())).lost;
        assert_eq!(journey.told(), if lost { vec!["Adopted", "VisitorLost"] } else { vec!["Adopted"] });
        let expected =
            VisitorLost { reason: LossReason::Superseded, role: Role::Visitor, generation: 3, replaced: true };
        assert_eq!(reported.as_deref(), lost.then_some(&expected), "{theirs:?}");
    }
}

#[test]
fn a_visitor_that_the_store_lost_too_long_ago_is_reported_as_gone() {
    for nothing in [Input::Loaded(None), shows(Record::default())] {
        let mut journey = Journey::new(Goal::Look, saved(record(1, 3), 0), 16 * 24 * 3600);
        journey.loads(Input::Start);
        let lost = journey.lands(nothing).lost.unwrap();
        assert_eq!((lost.reason, lost.replaced), (LossReason::Superseded, false));
        assert_eq!(journey.told(), ["VisitorLost"], "nothing was taken over");
    }
}

#[test]
fn what_takes_the_place_of_a_tombstone_is_nobodys_loss() {
    let mut journey = Journey::new(Goal::Look, saved(forgotten(5, 1), 0), ENDED);
    journey.loads(Input::Start);
    assert!(journey.lands(shows(Record { epoch: 1, ..record(2, 0) })).lost.is_none());
    assert_eq!(journey.told(), ["Adopted"]);
}

#[test]
fn where_another_identity_stands_by_now_the_caller_is_asked_anew() {
    let mut journey = Journey::new(Goal::Serve, saved(record(1, 3).claimed(Some(Nonce(9))), 0), ENDED);
    journey.loads(Input::Start);
    assert!(!journey.lands(shows(Record { epoch: 1, ..record(2, 0) })).granted);

    // Who held nothing goes on with what is there; and that is whom it is about from then on.
    let mut journey = Journey::new(Goal::Serve, None, ENDED);
    journey.loads(Input::Start);
    assert!(journey.writes(shows(record(2, 0))).claims);
    journey.lands(conflict(Record { epoch: 1, ..record(3, 0) }));
}

#[test]
fn after_sixteen_conflicts_in_a_row_there_is_a_pause_of_chance() {
    let mut journey = Journey::new(Goal::Save, unsaved(record(1, 3), 0), FRESH);
    journey.loads(Input::Start);
    journey.writes(Input::Loaded(None));
    for _ in 0..14 {
        journey.writes(conflict(record(1, 2)));
    }
    journey.drawn = 1_233;
    assert_eq!(journey.sleeps(conflict(record(1, 2))), Duration::from_millis(1_234 % 50));
    journey.loads(Input::Woke);
    journey.writes(shows(record(1, 2)));
}

#[test]
fn an_alternate_that_finds_no_room_is_reported() {
    let mine = with_alternates(record(1, 5), &[("b", 3), ("a", 2)]);
    let mut journey = Journey::new(Goal::Save, unsaved(mine, 0), FRESH);
    journey.loads(Input::Start);
    journey.writes(shows(record(1, 4)));
    assert_eq!(journey.told(), ["AlternateDropped"]);
}

#[test]
fn a_conflict_that_shows_ones_own_write_is_a_write_that_took_place() {
    let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
    let claim = journey.writes(Input::Start);
    journey.asks(Input::Conflict(Some(claim.new)));
    let commit = journey.writes(reply(Some("new"), None, 14_400));
    assert!(journey.lands(Input::Conflict(Some(commit.new))).granted);

    let mut journey = Journey::new(Goal::Save, unsaved(record(1, 3), 0), FRESH);
    journey.loads(Input::Start);
    let put = journey.writes(shows(record(1, 2)));
    journey.lands(Input::Conflict(Some(put.new)));

    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    let release = journey.writes(failed(GrantFailure::Transient));
    journey.fails(Input::Conflict(Some(release.new.clone())));
    assert_eq!(journey.flight.held().map(|held| held.etag), Some(Some(release.new.etag)));
}

// Claims.

#[test]
fn a_claim_that_another_won_is_theirs_and_what_they_brought_serves() {
    let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
    journey.writes(Input::Start);
    assert!(!journey.lands(conflict(renewed(4))).granted);
    assert_eq!(journey.told(), ["Adopted"]);

    for (input, kind) in [(down(), ErrorKind::Store), (barred(), ErrorKind::Unavailable)] {
        let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
        journey.writes(Input::Start);
        assert_eq!(journey.fails(input).kind(), kind);
    }
}

#[test]
fn a_claim_is_broken_only_after_a_whole_lease_and_looked_at_less_and_less_often_until_then() {
    let claimed = record(1, 3).claimed(Some(Nonce(9)));
    let mut journey = Journey::new(Goal::Serve, saved(claimed.clone(), 0), ENDED);
    journey.loads(Input::Start);
    let mut pauses = vec![journey.sleeps(shows(claimed.clone())).as_micros()];
    for _ in 0..9 {
        journey.loads(Input::Woke);
        pauses.push(journey.sleeps(shows(claimed.clone())).as_micros());
    }
    assert_eq!(pauses[..4], [50_000, 75_000, 112_500, 168_750]);
    assert_eq!(pauses[8..], [1_000_000, 1_000_000]);

    journey.now.monotonic += secs(15) - Duration::from_millis(10);
    journey.loads(Input::Woke);
    assert_eq!(journey.sleeps(shows(claimed.clone())), Duration::from_millis(10), "no longer than the lease");
    journey.now.monotonic = secs(ENDED + 15);
    // What one flight has watched, the next one need not.
    let mut next = journey.next(Goal::Serve, claimed.clone());
    next.loads(Input::Start);
    journey.loads(Input::Woke);
    for mut journey in [journey, next] {
        let taken = journey.writes(shows(claimed.clone()));
        assert_eq!((taken.expected, taken.claims), (Some(THEIRS), true));
        assert!(journey.told().is_empty());
        journey.asks(Input::Swapped);
        assert_eq!(journey.told(), ["ClaimTakenOver"]);
    }
}

#[test]
fn a_claim_of_ones_own_is_neither_waited_for_nor_reported_as_taken_over() {
    let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
    let claim = journey.writes(Input::Start).new.record.claim;
    // It stood, and somebody else has changed the record since.
    assert!(journey.writes(conflict(record(1, 3).claimed(claim))).claims);
    journey.asks(Input::Swapped);
    assert!(journey.told().is_empty());
}

#[test]
fn a_grant_ends_with_what_is_left_of_the_lease_after_the_save_and_the_margin() {
    for (elapsed, timeout) in [(0, 10), (1, 9), (5, 5)] {
        let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
        journey.writes(Input::Start);
        journey.wait(secs(elapsed));
        assert_eq!(journey.asks(Input::Swapped).1, secs(timeout));
    }
}

#[test]
fn a_claim_that_leaves_less_than_half_a_grant_is_taken_anew_three_times_and_then_given_back() {
    let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
    let mut claim = journey.writes(Input::Start);
    for _ in 0..3 {
        journey.wait(Duration::from_millis(5_001));
        let anew = journey.writes(Input::Swapped);
        assert_eq!((anew.expected, anew.claims), (Some(claim.new.etag), true));
        assert_ne!(anew.new.record.claim, claim.new.record.claim);
        claim = anew;
    }
    journey.wait(Duration::from_millis(5_001));
    let release = journey.writes(Input::Swapped);
    assert_eq!((release.expected, release.claims, release.new.record.claim), (Some(claim.new.etag), false, None));
    assert_eq!(journey.fails(Input::Swapped).kind(), ErrorKind::Busy);
}

#[test]
fn a_flight_that_is_closed_sends_nothing_any_more_and_gives_its_claim_back() {
    let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
    journey.flight.close();
    assert_eq!(journey.fails(Input::Start).kind(), ErrorKind::ShuttingDown);

    let mut journey = Journey::new(Goal::Serve, saved(record(1, 3), 0), ENDED);
    let claim = journey.writes(Input::Start);
    journey.flight.close();
    let release = journey.writes(Input::Swapped);
    assert_eq!((release.expected, release.new.record), (Some(claim.new.etag), record(1, 3)));
    assert_eq!(journey.fails(Input::Swapped).kind(), ErrorKind::ShuttingDown);

    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.flight.close();
    journey.writes(reply(Some("new"), None, 14_400));
    assert!(journey.lands(Input::Swapped).granted, "what the endpoint gave is kept");
}

#[test]
fn a_grant_that_was_not_sent_gives_the_claim_back() {
    for (input, kind) in [(barred(), ErrorKind::Unavailable), (down(), ErrorKind::Store)] {
        let (mut journey, claim) = asking(Goal::Serve, record(1, 3), ENDED);
        let release = journey.writes(input);
        assert_eq!((release.expected, release.new.record), (Some(claim.new.etag), record(1, 3)));
        assert_eq!(journey.fails(Input::Swapped).kind(), kind);
    }
}

// What the endpoint gave.

#[test]
fn a_mint_that_gives_way_to_another_was_nobodys() {
    let mut journey = minting();
    journey.writes(reply(Some("new"), Some("refresh"), 14_400));
    let landing = journey.lands(conflict(record(2, 0)));
    assert!(!landing.granted && landing.lost.is_none());
    assert_eq!(journey.told(), ["Adopted"]);
}

#[test]
fn tokens_that_cannot_be_saved_serve_all_the_same_and_that_is_told() {
    let mut journey = minting();
    journey.writes(reply(Some("new"), Some("refresh"), 14_400));
    assert!(journey.lands(down()).granted && journey.published);
    assert_eq!(journey.told(), ["Minted", "SavePending"]);
    assert_eq!(journey.flight.held().map(|held| held.etag), Some(None));

    // The store went back, and then away.
    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.writes(reply(Some("new"), None, 14_400));
    let put = journey.writes(conflict(record(1, 2)));
    assert!(put.precious && put.expected == Some(THEIRS));
    assert!(journey.lands(down()).granted);
    assert_eq!(journey.told(), ["Renewed", "SavePending"]);
}

#[test]
fn one_grant_is_enough_for_a_flight_however_short_lived_its_token_is() {
    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.writes(reply(Some("new"), None, 0));
    journey.writes(conflict(record(1, 2)));
    assert!(journey.lands(Input::Swapped).granted);
    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.writes(reply(Some("new"), None, 14_400));
    let join = journey.writes(conflict(record(1, 5)));
    assert!(join.precious && held(&join.new.record).generation == 5);
    assert!(!journey.lands(Input::Swapped).granted, "what is held now is another's");
}

#[test]
fn a_reply_without_an_access_token_is_kept_and_an_error_and_one_without_any_is_a_failure() {
    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    let commit = journey.writes(reply(None, Some("rotated"), 14_400));
    assert!(held(&commit.new.record).knows(&"rotated".into()));
    assert_eq!(journey.fails(Input::Swapped).kind(), ErrorKind::Unavailable);
    assert_eq!(journey.flight.held().map(|held| held.etag), Some(Some(commit.new.etag)));

    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    let release = journey.writes(reply(None, None, 14_400));
    assert_eq!((held(&release.new.record).generation, release.new.record.claim), (3, None));
    assert!(journey.fails(Input::Swapped).message().contains("held no token"));

    let bare = with(record(1, 3), |chain| chain.tokens.access = None);
    Journey::new(Goal::Save, saved(bare, 0), FRESH).lands(Input::Start);
}

// How a grant failed.

#[test]
fn a_failed_grant_gives_the_claim_back_with_a_pause_that_chance_moves() {
    let (mut journey, claim) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.drawn = (7 << 64) + 99;
    let release = journey.writes(failed(GrantFailure::Transient));
    assert_eq!((release.expected, release.claims, release.precious), (Some(claim.new.etag), false, false));
    let trouble = release.new.record.trouble.unwrap();
    assert_eq!((release.new.record.claim, trouble.pause), (None, Duration::from_millis(1_100)));
    assert_eq!(journey.told(), ["RenewalFailed"]);
    let error = journey.fails(Input::Swapped);
    assert_eq!((error.kind(), error.retry_in()), (ErrorKind::Unavailable, Some(Duration::from_millis(1_100))));
    // Whatever the record says of another failure, this process rests.
    let mut next = journey.next(Goal::Serve, troubled(ENDED, 1));
    next.loads(Input::Start);
    assert_eq!(next.fails(shows(troubled(ENDED, 1))).retry_in(), Some(Duration::from_millis(1_100)));
}

#[test]
fn a_grant_without_an_answer_keeps_its_claim_until_the_lease_is_over() {
    let (mut journey, claim) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.wait(secs(10));
    let release = journey.writes(failed(GrantFailure::Unknown));
    assert_eq!(release.new.record.claim, claim.new.record.claim);
    // A store that went back gets the claim too.
    let again = journey.writes(conflict(record(1, 2)));
    assert_eq!(again.new.record.claim, claim.new.record.claim);
    assert!(again.new.record.trouble.is_some());
    let error = journey.fails(Input::Swapped);
    assert_eq!((error.kind(), error.retry_in()), (ErrorKind::OutcomeUnknown, Some(secs(5))));
}

#[test]
fn a_mint_that_is_refused_is_a_failure_like_any_other() {
    let mut journey = minting();
    let release = journey.writes(failed(GrantFailure::Refused));
    assert_eq!(release.new.record.standing, Standing::Empty);
    assert!(release.new.record.trouble.is_some() && release.new.record.claim.is_none());
    assert_eq!(journey.fails(Input::Swapped).kind(), ErrorKind::Unavailable);
}

#[test]
fn doubt_becomes_a_refusal_only_where_somebody_waits() {
    let (mut journey, _) = asking(Goal::Serve, doubted(record(1, 3), ENDED), ENDED);
    assert!(journey.writes(failed(GrantFailure::Doubtful)).claims);
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Anonymous);

    let (mut journey, _) = asking(Goal::Renew, doubted(record(1, 3), DUE), DUE);
    let release = journey.writes(failed(GrantFailure::Doubtful));
    assert_eq!((release.claims, held(&release.new.record).doubt.map(|doubt| doubt.count)), (false, Some(3)));

    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    let release = journey.writes(failed(GrantFailure::Doubtful));
    assert_eq!((release.claims, held(&release.new.record).doubt.map(|doubt| doubt.count)), (false, Some(1)));
}

#[test]
fn a_refused_token_is_followed_by_the_alternates_and_then_by_a_mint_under_one_claim_after_the_other() {
    let two = doubted(with_alternates(troubled(ENDED, 1), &[("aside", 2)]), ENDED);
    let mut journey = Journey::new(Goal::Serve, None, ENDED);
    journey.loads(Input::Start);
    journey.writes(shows(two));
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Refresh("refresh-1-3".into()));
    let second = journey.writes(failed(GrantFailure::Refused));
    assert!(second.claims && second.new.record.trouble.is_none() && held(&second.new.record).doubt.is_none());
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Refresh("aside".into()));
    let third = journey.writes(failed(GrantFailure::Refused));
    assert_eq!((third.expected, third.claims), (Some(second.new.etag), true));
    // Meanwhile somebody wrote the same tokens anew: what was refused is not redeemed again.
    journey.writes(conflict(with_alternates(record(1, 3), &[("aside", 2)])));
    assert_eq!(journey.asks(Input::Swapped).0, Grant::Anonymous);
    journey.writes(reply(Some("new"), Some("refresh"), 14_400));
    assert_eq!(journey.lands(Input::Swapped).lost.unwrap().reason, LossReason::Refused);
}

#[test]
fn a_token_that_is_refused_in_the_background_is_noted_and_the_rest_left_to_who_needs_it() {
    let (mut journey, claim) = asking(Goal::Renew, record(1, 3), DUE);
    let release = journey.writes(failed(GrantFailure::Refused));
    assert_eq!((release.expected, release.claims, release.new.record.claim), (Some(claim.new.etag), false, None));
    assert!(held(&release.new.record).refused);
    assert_eq!(journey.told(), ["RenewalFailed"]);
    journey.lands(Input::Swapped);
    assert!(journey.told().is_empty());
}

#[test]
fn a_member_who_is_refused_is_told_so_and_a_visitor_is_lost_where_the_policy_says_no() {
    let member = with(record(1, 3), |chain| {
        chain.tokens.refresh = Some(RefreshToken::new("refresh-1-3", Role::Member));
    });
    let (mut journey, _) = asking(Goal::Serve, member, ENDED);
    let release = journey.writes(failed(GrantFailure::Refused));
    assert!(!release.claims && release.new.record.claim.is_none() && journey.told().is_empty());
    let error = journey.fails(Input::Swapped);
    assert_eq!(
        (error.kind(), error.status(), error.request_id()),
        (ErrorKind::MemberSessionEnded, Some(400), Some("r1"))
    );
    assert_eq!(journey.told(), ["MemberSessionEnded"]);

    let policy = Policy { on_refused: OnRefused::Fail, ..Policy::default() };
    let mut journey = Journey::under(policy, Goal::Serve, saved(record(1, 3), 0), ENDED);
    journey.writes(Input::Start);
    journey.asks(Input::Swapped);
    journey.writes(failed(GrantFailure::Refused));
    // Told even where the release that would have written it down fails.
    assert_eq!(journey.fails(down()).kind(), ErrorKind::VisitorLost);
    let Some(EventKind::VisitorLost(lost)) = journey.events.pop() else { panic!("nothing told") };
    assert_eq!((lost.reason, lost.generation, lost.replaced), (LossReason::Refused, 3, false));
}

// A claim that is given back while others write.

#[test]
fn a_failed_grant_on_a_store_that_went_back_puts_the_newer_tokens_there_again() {
    let (mut journey, _) = asking(Goal::Serve, with_alternates(record(1, 3), &[("b", 1), ("a", 0)]), ENDED);
    journey.writes(failed(GrantFailure::Transient));
    journey.told();
    let swap = journey.writes(conflict(record(1, 2).claimed(Some(Nonce(9)))));
    let chain = held(&swap.new.record);
    assert_eq!((swap.expected, chain.generation, chain.alternates.len()), (Some(THEIRS), 3, 2));
    assert_eq!(
        (swap.new.record.claim, swap.new.record.trouble.as_ref().map(|trouble| trouble.failures)),
        (None, Some(1))
    );
    assert_eq!(journey.told(), ["AlternateDropped"]);
    let swap = journey.writes(Input::Conflict(None));
    assert_eq!(swap.expected, None);
    journey.fails(Input::Swapped);
    assert_eq!(journey.flight.held().map(|held| held.etag), Some(Some(swap.new.etag)));
}

#[test]
fn what_somebody_added_to_a_claimed_record_stays_when_the_claim_is_given_back() {
    let (mut journey, claim) = asking(Goal::Serve, record(1, 3), ENDED);
    let release = journey.writes(failed(GrantFailure::Doubtful));
    let joined = with_alternates(Record { epoch: 4, ..claim.new.record }, &[("joined", 3)]);
    let again = journey.writes(conflict(joined.clone()));
    let chain = held(&again.new.record);
    assert_eq!((again.expected, again.new.record.epoch, again.new.record.claim), (Some(THEIRS), 4, None));
    assert_eq!((&chain.alternates, chain.doubt), (&held(&joined).alternates, held(&release.new.record).doubt));
    assert_eq!(again.new.record.trouble, release.new.record.trouble);
    assert_eq!(journey.fails(Input::Swapped).kind(), ErrorKind::Unavailable);

    // And what was refused stays refused.
    let (mut journey, claim) = asking(Goal::Renew, record(1, 3), DUE);
    journey.writes(failed(GrantFailure::Refused));
    let joined = with_alternates(claim.new.record, &[("joined", 3)]);
    let again = journey.writes(conflict(joined));
    assert!(held(&again.new.record).refused && held(&again.new.record).knows(&"joined".into()));

    let mut journey = minting();
    let release = journey.writes(failed(GrantFailure::Transient));
    let claimed = Record { epoch: 2, ..Record::default() }.claimed(journey.flight.own);
    let again = journey.writes(conflict(claimed));
    assert_eq!(again.new.record, Record { epoch: 2, ..release.new.record });
}

#[test]
fn a_claim_that_others_have_gone_past_needs_no_release() {
    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.writes(failed(GrantFailure::Transient));
    journey.lands(conflict(renewed(4)));
    for theirs in [record(1, 3), record(1, 3).claimed(Some(Nonce(9)))] {
        let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
        journey.writes(failed(GrantFailure::Transient));
        assert_eq!(journey.fails(conflict(theirs)).kind(), ErrorKind::Unavailable);
        assert_eq!(journey.flight.held().map(|held| held.etag), Some(Some(THEIRS)));
    }
    // Another's tokens of the same generation: ours joins them.
    let theirs = with(record(1, 3), |chain| chain.tokens.refresh = Some(RefreshToken::new("other", Role::Visitor)));
    let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
    journey.writes(failed(GrantFailure::Transient));
    let join = journey.writes(conflict(theirs));
    assert!(held(&join.new.record).knows(&"other".into()) && held(&join.new.record).knows(&"refresh-1-3".into()));
    assert_eq!((join.expected, join.new.record.trouble), (Some(THEIRS), None));
    assert_eq!(journey.fails(down()).kind(), ErrorKind::Unavailable, "the grant's failure, not the release's");
}

// Pauses.

#[test]
fn a_pause_that_another_wrote_down_is_kept_and_told_until_it_is_over() {
    let mut journey = Journey::new(Goal::Serve, None, ENDED);
    journey.loads(Input::Start);
    let error = journey.fails(shows(troubled(ENDED + 20, 30)));
    assert_eq!((error.kind(), error.retry_in()), (ErrorKind::Misconfigured, Some(secs(20))));
    assert!(error.message().contains("failure 2") && error.message().contains("no such client"));
    let mut journey = Journey::new(Goal::Serve, None, ENDED + 20);
    journey.loads(Input::Start);
    assert!(journey.writes(shows(troubled(ENDED + 20, 30))).claims);
}

#[test]
fn a_fingerprint_tells_each_step_from_the_one_before_and_is_the_same_for_the_same_past() {
    let past = || {
        let mut prints = Vec::new();
        let claimed = record(1, 3).claimed(Some(Nonce(9)));
        let mut journey = Journey::new(Goal::Serve, saved(claimed.clone(), 0), ENDED);
        prints.push(journey.fingerprint());
        for (input, second) in [
            (Input::Start, ENDED),
            (shows(claimed.clone()), ENDED),
            (Input::Woke, ENDED + 15),
            (shows(claimed), ENDED + 15),
            (Input::Swapped, ENDED + 15),
            (reply(Some("new"), None, 0), ENDED + 15),
            (conflict(record(1, 2)), ENDED + 15),
            (Input::Swapped, ENDED + 15),
        ] {
            journey.now = at(second);
            journey.step(input);
            prints.push(journey.fingerprint());
        }
        let (mut journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
        for failure in [GrantFailure::Transient, GrantFailure::Unknown] {
            journey.writes(failed(failure));
            prints.push(journey.fingerprint());
            (journey, _) = asking(Goal::Serve, record(1, 3), ENDED);
        }
        prints
    };
    let prints = past();
    assert_eq!(prints, past());
    assert!(prints.windows(2).all(|pair| pair[0] != pair[1]), "{prints:?}");
}
