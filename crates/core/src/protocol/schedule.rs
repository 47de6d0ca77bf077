//! When a token is due, and until when it is usable: two thresholds, never one.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::policy::Policy;
use crate::record::Chain;

/// How much further than its whole lifetime a token may seem to lie ahead before the clock that wrote it, or ours, must be
/// wrong.
const SLACK: Duration = Duration::from_secs(5 * 60);

/// The thresholds of one access token: until when it is usable, and how many milliseconds before that the others lie. What would lie
/// more than 49 days before lies so much before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    usable_until: Timestamp,
    due_before: u32,
    plausible_before: u32,
}

/// What a schedule is made of: when an access token ends, for how long it lives, and how often its identity was renewed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) ends: Timestamp,
    pub(crate) lifetime: Duration,
    pub(crate) generation: u64,
}

impl Term {
    /// That of this chain's access token.
    pub(crate) fn of(chain: &Chain) -> Option<Self> {
        let ends = chain.tokens.access.as_ref()?.expires_at;
        Some(Self { ends, lifetime: chain.lifetime, generation: chain.generation })
    }

    /// Its thresholds, as [`Schedule::of`] finds them.
    pub(crate) fn schedule(&self, policy: &Policy, spread: u64) -> Schedule {
        let most = self.lifetime / 8;
        let jitter = fraction(policy.jitter.min(most), spread, self.generation);
        let unusable = policy.unusable.min(most);
        Schedule {
            usable_until: self.ends - unusable,
            // A policy's lead is no shorter than what is unusable.
            due_before: millis(policy.lead.min(most).saturating_add(jitter).saturating_sub(unusable)).min(ALWAYS - 1),
            plausible_before: millis(self.lifetime.saturating_add(SLACK).saturating_sub(unusable)),
        }
    }
}

/// Due whatever the time is.
const ALWAYS: u32 = u32::MAX;

impl Schedule {
    /// No token: never usable, always due.
    pub const NONE: Self =
        Self { usable_until: Timestamp::from_millis(i64::MIN), due_before: ALWAYS, plausible_before: 0 };

    /// The thresholds of this chain's access token. `spread` is the visitor's own number: the same on every instance and at
    /// every check.
    pub fn of(chain: &Chain, policy: &Policy, spread: u64) -> Self {
        Term::of(chain).map_or(Self::NONE, |term| term.schedule(policy, spread))
    }

    /// Whether the token may be sent.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        now < self.usable_until
    }

    /// Whether it is time to renew. So it is, too, when the expiry lies further ahead than the token lives: then one of the
    /// clocks is wrong, and a token dated by the present one is worth more.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.due_at() || now < self.before(self.plausible_before)
    }

    /// When the token is due.
    pub fn due_at(&self) -> Timestamp {
        if self.due_before == ALWAYS { Timestamp::from_millis(i64::MIN) } else { self.before(self.due_before) }
    }

    /// Until when there is nothing to do but to send the token: that very moment, if there is something already.
    pub fn attended_at(&self, now: Timestamp) -> Timestamp {
        // What is no longer usable has long been due.
        if self.is_due(now) { now } else { self.due_at() }
    }

    /// The same token, due at once.
    #[must_use]
    pub fn due_now(self) -> Self {
        Self { due_before: ALWAYS, ..self }
    }

    fn before(&self, millis: u32) -> Timestamp {
        Timestamp::from_millis(self.usable_until.as_millis().saturating_sub(millis.into()))
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// A share of `most` that is a hash of visitor and generation.
fn fraction(most: Duration, spread: u64, generation: u64) -> Duration {
    // One round of splitmix64: well spread, and the same everywhere.
    let mut x = spread.wrapping_add(generation.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(x % most.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{chain, secs};

    #[test]
    fn the_thresholds_of_a_four_hour_token_are_the_policys() {
        let chain = chain(1, 0, secs(14_400), secs(14_400));
        let schedule = Schedule::of(&chain, &Policy { jitter: Duration::ZERO, ..Policy::default() }, 9);
        let at = Timestamp::from_secs;
        assert!(schedule.is_usable(at(14_339)) && !schedule.is_usable(at(14_340)));
        assert!(!schedule.is_due(at(12_599)) && schedule.is_due(at(12_600)));
    }

    #[test]
    fn there_is_nothing_to_do_until_it_is_due_and_always_something_then() {
        let chain = chain(1, 0, secs(14_400), secs(14_400));
        let schedule = Schedule::of(&chain, &Policy { jitter: Duration::ZERO, ..Policy::default() }, 9);
        let at = Timestamp::from_secs;
        assert_eq!(schedule.attended_at(at(0)), at(12_600));
        for something in [-301, 12_600, 14_340, 20_000] {
            assert_eq!(schedule.attended_at(at(something)), at(something));
        }
        assert_eq!(schedule.due_now().attended_at(at(0)), at(0));
        assert_eq!(Schedule::NONE.attended_at(at(7)), at(7));
    }

    #[test]
    fn a_short_token_is_neither_due_at_once_nor_sent_past_its_end() {
        let chain = chain(1, 0, secs(8), secs(8));
        let schedule = Schedule::of(&chain, &Policy::default(), 9);
        let at = Timestamp::from_millis;
        assert!(!schedule.is_due(at(5_900)), "lead and jitter are an eighth each at most");
        assert!(schedule.is_usable(at(6_999)) && !schedule.is_usable(at(7_000)));
    }

    #[test]
    fn an_expiry_beyond_the_tokens_lifetime_is_usable_but_due() {
        let chain = chain(1, 0, Timestamp::from_secs(1_767_225_600), secs(14_400));
        let schedule = Schedule::of(&chain, &Policy::default(), 9);
        assert!(schedule.is_usable(Timestamp::default()) && schedule.is_due(Timestamp::default()));
    }

    #[test]
    fn b8_the_same_visitor_is_always_due_at_the_same_moment_and_a_fleet_is_spread_evenly() {
        let policy = Policy::default();
        let chain = chain(1, 4, secs(14_400), secs(14_400));
        let mut buckets = [0u32; 30];
        for visitor in 0..100_000u64 {
            let due = Schedule::of(&chain, &policy, visitor).due_at();
            assert_eq!(due, Schedule::of(&chain, &policy, visitor).due_at());
            let before = Timestamp::from_secs(12_600).since(due).as_secs();
            buckets[usize::try_from(before / 60).unwrap().min(29)] += 1;
        }
        let (least, most) = (buckets.iter().min().unwrap(), buckets.iter().max().unwrap());
        assert!(*least > 3_000 && *most < 3_700, "{buckets:?}");
    }

    #[test]
    fn an_expiry_five_minutes_further_off_than_the_token_lives_is_plausible_and_no_further() {
        let chain = chain(1, 0, secs(14_400), secs(14_400));
        let schedule = Schedule::of(&chain, &Policy::default(), 9);
        assert!(!schedule.is_due(Timestamp::from_secs(-300)) && schedule.is_due(Timestamp::from_millis(-300_001)));
    }

    #[test]
    fn of_a_token_that_lives_for_years_the_last_weeks_count() {
        let year = 365 * 24 * 3600;
        let chain = chain(1, 0, secs(10 * year), secs(10 * year));
        let policy = Policy { lead: secs(2 * year), jitter: Duration::ZERO, ..Policy::default() };
        let schedule = Schedule::of(&chain, &policy, 9);
        let before = |days: u64| Timestamp::from_secs(i64::try_from(10 * year - days * 24 * 3600).unwrap());
        let due = schedule.due_at();
        assert!(due > before(50) && due < before(49) && schedule.is_due(due) && schedule.is_usable(due));
        assert!(schedule.due_now().due_at() < due);
    }

    #[test]
    fn what_is_due_now_is_as_usable_as_before_and_no_token_is_due_and_never_usable() {
        let mut chain = chain(1, 0, secs(14_400), secs(14_400));
        let at = Timestamp::from_secs;
        let schedule = Schedule::of(&chain, &Policy::default(), 9);
        let due = schedule.due_now();
        assert!(
            !schedule.is_due(at(0)) && due.is_due(at(0)) && due.is_usable(at(14_339)) && !due.is_usable(at(14_340))
        );
        chain.tokens.access = None;
        let none = Schedule::of(&chain, &Policy::default(), 9);
        assert!(none.is_due(at(0)) && !none.is_usable(at(0)) && none == Schedule::NONE);
    }

    #[test]
    fn the_jitter_is_splitmix64_so_that_two_releases_agree_on_it() {
        let most = Duration::from_millis(u64::MAX - 1);
        let drawn: Vec<u128> = (0..3).map(|generation| fraction(most, 0, generation).as_millis()).collect();
        assert_eq!(drawn, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f], "from the seed 0");
        assert_eq!(fraction(Duration::from_millis(9), 0, 2).as_millis(), 0x06c4_5d18_8009_454f % 10);
    }
}
