//! What a reply, or a failure, makes of a record.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::endpoint::{GrantError, GrantFailure, GrantReply};
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::protocol::schedule::Schedule;
use crate::record::{Chain, Doubt, Lineage, Record, Spent, Standing, Trouble};
use crate::secret::Secret;
use crate::tokens::{AccessToken, RefreshToken, Role, Tokens, payload};

/// No token lives longer than this, whatever a reply says.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The most that a record keeps of a failure's words, in characters: the claim is given back in the same write, which must find room.
const LONGEST_MESSAGE: usize = 500;

/// How far apart doubtful answers may lie and still count together.
const LONGEST_DOUBT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a reply makes of a record, and how many alternates found no room in it.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The record to commit, without a claim.
    pub record: Record,
    /// How many alternates had to go.
    pub dropped: usize,
}

/// A renewal's reply over the record it was asked for: same lineage, next generation. Nothing that may still be good is
/// thrown away: the old refresh token is kept where the reply holds none, and as an alternate where it does.
pub fn renewed(claimed: &Record, used: &Secret, reply: &GrantReply, now: Timestamp, policy: &Policy) -> Settled {
    let Standing::Held(old) = &claimed.standing else {
        return Settled { record: claimed.claimed(None), dropped: 0 };
    };
    let refresh = reply.refresh_token.clone().filter(|token| !token.is_blank()).unwrap_or_else(|| used.clone());
    let (access, lifetime) = access(reply, now, policy);
    let mut chain = Chain {
        // Nobody counts so far; whoever wrote such a number into the store costs nobody the reply.
        generation: old.generation.saturating_add(1),
        tokens: Tokens::new(access, Some(RefreshToken::new(refresh, old.role()))),
        lifetime,
        refused: false,
        doubt: None,
        alternates: Vec::new(),
        ..old.clone()
    };
    let dropped = chain.keep_aside(old.refresh_tokens());
    let replaced = [Some(used), old.tokens.refresh.as_ref().map(|token| &token.value)];
    replaced.into_iter().flatten().for_each(|token| chain.spend(token));
    Settled { record: committed(claimed, chain, now, policy), dropped }
}

/// A mint's reply over the record it was asked for: a new lineage that notes what it takes the place of.
pub fn minted(claimed: &Record, reply: &GrantReply, lineage: Lineage, now: Timestamp, policy: &Policy) -> Settled {
    let (access, lifetime) = access(reply, now, policy);
    let refresh = reply.refresh_token.clone().map(|token| RefreshToken::new(token, Role::Visitor));
    let chain = Chain {
        lineage,
        generation: 0,
        replaces: claimed.version(),
        began: now,
        tokens: Tokens::new(access, refresh),
        lifetime,
        refused: false,
        alternates: Vec::new(),
        spent: Spent::default(),
        doubt: None,
    };
    Settled { record: committed(claimed, chain, now, policy), dropped: 0 }
}

/// Tokens that are due the moment they arrive, or before the shortest pause is over, count as trouble, so that nobody asks for
/// more of them at once.
fn committed(claimed: &Record, chain: Chain, now: Timestamp, policy: &Policy) -> Record {
    let fruitless = Schedule::of(&chain, &Policy { jitter: Duration::ZERO, ..policy.clone() }, 0)
        .is_due(now + policy.backoff_first);
    let trouble = fruitless.then(|| {
        let message = "the endpoint issues access tokens that have expired, or are about to";
        trouble(claimed, GrantFailure::Transient, message.into(), None, now, policy)
    });
    Record { epoch: claimed.epoch, standing: Standing::Held(chain), claim: None, trouble }
}

/// The access token of a reply and its lifetime. The reply's word and the token's own are cross-checked: the shorter counts,
/// except that a clock which disagrees by more than half the lifetime is not believed.
fn access(reply: &GrantReply, now: Timestamp, policy: &Policy) -> (Option<AccessToken>, Duration) {
    let Some(value) = reply.access_token.clone().filter(|token| token.to_header().is_some()) else {
        return (None, policy.lifetime);
    };
    let claims = payload(&value);
    let told = [reply.expires_in, claims.map(|claims| claims.lifetime())].into_iter().flatten().min();
    let lifetime = told.unwrap_or(policy.lifetime).min(LONGEST);
    let by_reply = now + lifetime;
    let by_token = claims.map(|claims| claims.expires_at).filter(|at| *at > now + lifetime / 2);
    (Some(AccessToken::new(value, by_token.map_or(by_reply, |at| at.min(by_reply)))), lifetime)
}

/// The lifetime of an access token that the application brought, and was not told of.
pub(crate) fn lifetime_of(tokens: &Tokens, now: Timestamp, policy: &Policy) -> Duration {
    let Some(token) = &tokens.access else { return policy.lifetime };
    let told = payload(&token.value).map(|claims| claims.lifetime());
    let left = token.expires_at.since(now);
    let lifetime = told.unwrap_or_else(|| policy.lifetime.max(left));
    lifetime.min(LONGEST)
}

/// A record after a failed grant: who tries next has to wait.
pub fn troubled(claimed: &Record, error: &GrantError, jitter: u64, now: Timestamp, policy: &Policy) -> Record {
    let mut message = error.message.clone();
    if let Some(status) = error.status {
        message.push_str(&format!(" (status {status})"));
    }
    if let Some(id) = &error.request_id {
        message.push_str(&format!(" (request id {id})"));
    }
    let message = message.chars().take(LONGEST_MESSAGE).collect();
    let mut trouble = trouble(claimed, error.failure, message, error.retry_after, now, policy);
    trouble.pause = moved(trouble.pause, jitter, policy);
    trouble.until = now + trouble.pause;
    let mut record = Record { claim: None, trouble: Some(trouble), ..claimed.clone() };
    if error.failure == GrantFailure::Doubtful
        && let Standing::Held(chain) = &mut record.standing
    {
        chain.doubt = Some(doubted(chain.doubt, now));
    }
    record
}

/// A pause by up to a quarter longer, so that the instances of a fleet do not knock together.
pub(super) fn moved(pause: Duration, jitter: u64, policy: &Policy) -> Duration {
    let quarter = u64::try_from(pause.as_millis() / 4).unwrap_or(u64::MAX);
    let pause = pause + Duration::from_millis(jitter % quarter.saturating_add(1));
    pause.min(policy.retry_after_most.max(policy.backoff_most))
}

fn trouble(
    claimed: &Record,
    failure: GrantFailure,
    message: String,
    retry_after: Option<Duration>,
    now: Timestamp,
    policy: &Policy,
) -> Trouble {
    let failures = claimed.trouble.as_ref().map_or(0, |trouble| trouble.failures).saturating_add(1);
    let pause = policy.backoff(failures, retry_after);
    let kind = match failure {
        GrantFailure::Misconfigured => ErrorKind::Misconfigured,
        GrantFailure::Unknown => ErrorKind::OutcomeUnknown,
        _ => ErrorKind::Unavailable,
    };
    Trouble { failures, pause, until: now + pause, kind, message }
}

/// The count of doubtful answers, with one more.
fn doubted(doubt: Option<Doubt>, now: Timestamp) -> Doubt {
    // A clock that was set, back or far ahead, starts the count anew, never ends it early.
    let doubt = doubt.filter(|doubt| doubt.last <= now && now.since(doubt.last) <= LONGEST_DOUBT);
    let (count, since) = doubt.map_or((0, now), |doubt| (doubt.count, doubt.since));
    Doubt { count: count.saturating_add(1), since, last: now }
}

/// Whether one more doubtful answer makes a refusal of it.
pub fn is_refusal(claimed: &Record, now: Timestamp, policy: &Policy) -> bool {
    let doubt = doubted(claimed.chain().and_then(|chain| chain.doubt), now);
    doubt.count >= policy.doubts && now.since(doubt.since) >= policy.doubts_over
}

/// A failed grant as the flow's error.
pub fn error_of(error: &GrantError, retry_in: Option<Duration>) -> Error {
    let kind = match error.failure {
        GrantFailure::Misconfigured => ErrorKind::Misconfigured,
        GrantFailure::Unknown => ErrorKind::OutcomeUnknown,
        _ => ErrorKind::Unavailable,
    };
    let what = match error.failure {
        GrantFailure::Misconfigured => "the token endpoint does not accept this configuration",
        GrantFailure::Unknown => "the token endpoint gave no answer to a grant that was sent",
        GrantFailure::Doubtful => "the token endpoint's answer is not clear; the visitor is kept",
        _ => "the token endpoint is unavailable; the visitor is kept",
    };
    Error::new(kind, format!("{what}: {}", error.message))
        .with_status(error.status)
        .with_request_id(error.request_id.clone())
        .with_retry_in(retry_in)
        .with_source(error.clone())
}

/// Trouble that another flight, or another instance, wrote down.
pub fn error_from(trouble: &Trouble, left: Duration) -> Error {
    Error::new(trouble.kind, format!("grants are paused after failure {}: {}", trouble.failures, trouble.message))
        .with_retry_in(Some(left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{held, record, secs, with_alternates};
    use crate::record::{Alternate, Nonce};
    use base64::Engine as _;

    fn reply(access: &str, refresh: Option<&str>, expires_in: Option<u64>) -> GrantReply {
        GrantReply {
            access_token: Some(access.into()),
            refresh_token: refresh.map(Into::into),
            expires_in: expires_in.map(Duration::from_secs),
            request_id: None,
        }
    }

    /// A token in Wix's form, that says when it was issued and ends.
    fn dated(iat: i64, exp: i64) -> String {
        let payload = format!(r#"{{"iat":{iat},"exp":{exp}}}"#);
        format!("OauthNG.JWS.h.{}.s", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload))
    }

    fn renew(claimed: &Record, used: &str, reply: &GrantReply) -> Record {
        renewed(claimed, &used.into(), reply, Timestamp::from_secs(1_000), &Policy::default()).record
    }

    fn refresh(record: &Record) -> &str {
        held(record).tokens.refresh.as_ref().unwrap().value.expose()
    }

    #[test]
    fn a_reply_without_a_refresh_token_keeps_the_old_one() {
        let claimed = record(1, 3).claimed(Some(Nonce(1)));
        for told in [None, Some(""), Some("refresh-1-3")] {
            let after = renew(&claimed, "refresh-1-3", &reply("new", told, Some(14_400)));
            assert_eq!((refresh(&after), held(&after).generation, after.claim), ("refresh-1-3", 4, None), "{told:?}");
            assert!(held(&after).alternates.is_empty());
        }
    }

    #[test]
    fn a_rotated_refresh_token_is_stored_and_the_spent_one_kept_aside() {
        let after = renew(&record(1, 3), "refresh-1-3", &reply("new", Some("rotated"), Some(14_400)));
        assert_eq!(refresh(&after), "rotated");
        assert_eq!(held(&after).alternates, [Alternate { value: "refresh-1-3".into(), generation: 3 }]);
    }

    #[test]
    fn an_alternate_that_worked_becomes_the_main_token_and_the_refused_one_is_gone() {
        let mut claimed = with_alternates(record(1, 3), &[("aside", 2)]);
        if let Standing::Held(chain) = &mut claimed.standing {
            chain.refuse(&"refresh-1-3".into());
            assert_eq!(chain.candidate().unwrap().expose(), "aside");
        }
        let after = renew(&claimed, "aside", &reply("new", None, Some(14_400)));
        assert_eq!(refresh(&after), "aside");
        assert!(held(&after).alternates.is_empty() && !held(&after).refused);
    }

    #[test]
    fn a_member_stays_a_member_and_a_mint_is_a_visitor() {
        let mut claimed = record(1, 3);
        if let Standing::Held(chain) = &mut claimed.standing {
            chain.tokens.refresh.as_mut().unwrap().role = Role::Member;
        }
        assert_eq!(held(&renew(&claimed, "refresh-1-3", &reply("new", Some("r"), None))).role(), Role::Member);
        let new = minted(&claimed, &reply("a", Some("r"), None), Lineage(5), Timestamp::default(), &Policy::default());
        assert_eq!((held(&new.record).role(), held(&new.record).replaces), (Role::Visitor, claimed.version()));
    }

    #[test]
    fn the_tokens_own_expiry_is_heeded_unless_the_clocks_disagree_wildly() {
        let expiry = |token: String| {
            held(&renew(&record(1, 0), "r", &reply(&token, None, Some(14_400))))
                .tokens
                .access
                .clone()
                .unwrap()
                .expires_at
                .as_secs()
        };
        assert_eq!(expiry("opaque".into()), 1_000 + 14_400);
        assert_eq!(expiry(dated(400, 14_800)), 14_800, "a reply that lay in a cache for ten minutes");
        assert_eq!(expiry(dated(-14_000, 400)), 15_400, "our clock is hours ahead: never a loop");
        assert_eq!(expiry(dated(90_000, 104_400)), 15_400, "our clock is behind");
        assert_eq!(expiry(dated(-6_200, 8_200)), 15_400, "half a lifetime apart is too far");
        assert_eq!(expiry(dated(-6_199, 8_201)), 8_201, "a second less is not");
    }

    #[test]
    fn tokens_that_arrive_expired_are_kept_and_pause_further_grants() {
        let after = renew(&record(1, 0), "r", &reply("new", Some("rotated"), Some(0)));
        assert_eq!(refresh(&after), "rotated");
        let trouble = after.trouble.as_ref().unwrap();
        assert_eq!((trouble.pause, trouble.until), (secs(1), Timestamp::from_secs(1_001)));
        let again = renew(&after, "r", &reply("new", Some("rotated"), Some(0)));
        assert_eq!(again.trouble.as_ref().unwrap().pause, secs(2));
        assert!(renew(&again, "r", &reply("new", None, Some(14_400))).trouble.is_none());
    }

    #[test]
    fn a_doubtful_answer_counts_as_a_refusal_only_after_three_over_five_minutes() {
        let policy = Policy::default();
        let doubtful = GrantError::new(GrantFailure::Doubtful, "odd");
        let mut record = record(1, 0);
        for (second, refusal) in [(0, false), (200, false), (299, false), (301, true)] {
            let now = Timestamp::from_secs(second);
            assert_eq!(is_refusal(&record, now, &policy), refusal, "at {second}");
            record = troubled(&record, &doubtful, 0, now, &policy);
        }
        assert!(!is_refusal(&record, Timestamp::from_secs(-1_000), &policy), "a clock set back proves nothing");
        assert!(!is_refusal(&record, Timestamp::from_secs(10_000_000), &policy), "nor does one set far ahead");
    }

    #[test]
    fn no_pause_is_longer_than_the_longest_whatever_the_jitter_adds() {
        let policy = Policy::default();
        let asked = GrantError::new(GrantFailure::Transient, "busy").with_retry_after(Some(secs(1_000_000)));
        for jitter in [0, 7, u64::MAX] {
            let trouble = troubled(&record(1, 0), &asked, jitter, Timestamp::default(), &policy).trouble.unwrap();
            assert_eq!((trouble.pause, trouble.until), (secs(3600), Timestamp::from_secs(3600)));
        }
    }

    #[test]
    fn a_renewal_takes_over_nothing_of_the_last_grant_but_the_tokens_that_may_still_be_good() {
        let mut claimed = with_alternates(record(1, 3), &[("joined", 3)]);
        if let Standing::Held(chain) = &mut claimed.standing {
            chain.doubt = Some(doubted(None, Timestamp::default()));
        }
        let after = renew(&claimed, "refresh-1-3", &reply("new", Some("rotated"), Some(7_200)));
        let chain = held(&after);
        assert_eq!((chain.lifetime, chain.doubt), (secs(7_200), None));
        let aside: Vec<&str> = chain.alternates.iter().map(|alternate| alternate.value.expose()).collect();
        assert_eq!(aside, ["refresh-1-3", "joined"], "of one generation the main one comes first");
    }

    #[test]
    fn a_renewal_of_what_holds_no_tokens_changes_nothing() {
        let claimed = Record::default().claimed(Some(Nonce(1)));
        assert_eq!(renew(&claimed, "r", &reply("new", None, None)), Record::default());
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_none_and_no_token_lives_longer_than_ten_years() {
        let lives = |reply: GrantReply| {
            let after = renew(&record(1, 0), "r", &reply);
            (held(&after).tokens.access.is_some(), held(&after).lifetime)
        };
        let policy = Policy::default();
        assert_eq!(lives(reply("two\r\nlines", None, Some(7_200))), (false, policy.lifetime));
        assert_eq!(lives(GrantReply { access_token: None, ..reply("", None, Some(7_200)) }), (false, policy.lifetime));
        assert_eq!(lives(reply("opaque", None, None)), (true, policy.lifetime));
        let longest = secs(315_360_000);
        assert_eq!(lives(reply("opaque", None, Some(longest.as_secs() + 1))), (true, longest));
    }

    #[test]
    fn a_token_of_more_than_a_seconds_use_is_no_trouble_whatever_the_jitter() {
        for generation in 0..20 {
            let short = GrantReply { expires_in: Some(Duration::from_millis(1_200)), ..reply("new", None, None) };
            assert!(renew(&record(1, generation), "r", &short).trouble.is_none(), "at {generation}");
        }
    }

    #[test]
    fn the_lifetime_of_tokens_that_the_application_brings_is_theirs_or_the_longer_of_what_is_left_and_the_usual() {
        let lifetime = |value: &str, ends: i64| {
            let tokens = Tokens::new(Some(AccessToken::new(value, Timestamp::from_secs(ends))), None);
            lifetime_of(&tokens, Timestamp::from_secs(1_000), &Policy::default()).as_secs()
        };
        assert_eq!((lifetime("opaque", 2_000), lifetime("opaque", 21_000)), (14_400, 20_000));
        assert_eq!(lifetime(&dated(0, 7_200), 7_200), 7_200);
        assert_eq!(lifetime("opaque", 1_000_000_000), 315_360_000);
        let none = lifetime_of(&Tokens::default(), Timestamp::default(), &Policy::default());
        assert_eq!(none, Policy::default().lifetime);
    }

    #[test]
    fn each_kind_of_failure_is_told_as_such_now_and_later() {
        let told = |failure| {
            let error = GrantError::new(failure, "busy").with_status(418).with_request_id(Some("r1".to_owned()));
            let claimed = record(1, 0).claimed(Some(Nonce(1)));
            let after = troubled(&claimed, &error, 0, Timestamp::default(), &Policy::default());
            assert_eq!(after.claim, None);
            let trouble = after.trouble.unwrap();
            assert_eq!(trouble.message, "busy (status 418) (request id r1)");
            let (now, later) = (error_of(&error, Some(secs(3))), error_from(&trouble, secs(2)));
            assert_eq!((now.kind(), now.status(), now.retry_in()), (later.kind(), Some(418), Some(secs(3))));
            assert_eq!(later.retry_in(), Some(secs(2)));
            assert!(later.message().contains("after failure 1: busy"), "{later}");
            (now.kind(), now.message().split([',', ';', ':']).next().unwrap().to_owned())
        };
        for (failure, kind, what) in [
            (
                GrantFailure::Misconfigured,
                ErrorKind::Misconfigured,
                "the token endpoint does not accept this configuration",
            ),
            (
                GrantFailure::Unknown,
                ErrorKind::OutcomeUnknown,
                "the token endpoint gave no answer to a grant that was sent",
            ),
            (GrantFailure::Doubtful, ErrorKind::Unavailable, "the token endpoint's answer is not clear"),
            (GrantFailure::Transient, ErrorKind::Unavailable, "the token endpoint is unavailable"),
        ] {
            assert_eq!(told(failure), (kind, what.to_owned()));
        }
    }

    #[test]
    fn a_doubtful_answer_to_a_mint_casts_doubt_on_nobody() {
        let doubtful = GrantError::new(GrantFailure::Doubtful, "odd");
        let after = troubled(&Record::default(), &doubtful, 0, Timestamp::default(), &Policy::default());
        assert_eq!(after.standing, Standing::Empty);
    }

    #[test]
    fn doubtful_answers_count_together_for_a_day() {
        let first = Some(Doubt { count: 2, since: Timestamp::default(), last: Timestamp::from_secs(400) });
        let count = |millis| doubted(first, Timestamp::from_millis(millis)).count;
        assert_eq!((count(86_800_000), count(86_800_001)), (3, 1));
    }

    #[test]
    fn a_pause_is_moved_by_up_to_a_quarter() {
        let moved = |jitter| moved(secs(1), jitter, &Policy::default()).as_millis();
        assert_eq!((moved(0), moved(250), moved(251), moved(252)), (1_000, 1_250, 1_000, 1_001));
    }
}
