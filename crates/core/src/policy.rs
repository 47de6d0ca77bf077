//! Every number of the flow, in one place, checked together.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::record::{Record, Standing};

/// What to do once the endpoint has definitively refused every token of a visitor. A member is never replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRefused {
    /// Mint a new visitor, and report the loss by an event and in the result of the call.
    #[default]
    Mint,
    /// Fail with [`ErrorKind::VisitorLost`] until the application sets tokens or forgets the visitor.
    Fail,
}

/// Longer than anything lives, and short enough to reckon with.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The numbers of the flow. The defaults suit Wix; [`check`](Self::check) says what must fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// The most one grant may take. 10 s.
    pub grant: Duration,
    /// The most one store operation may take. 2 s.
    pub save: Duration,
    /// What is kept in hand between the end of the save and the end of the lease. 3 s.
    pub margin: Duration,
    /// For how long a claim must have been watched, unchanged, before another instance breaks it; at least `grant + save +
    /// margin`. 15 s.
    pub lease: Duration,
    /// How long before its expiry a token is due. 30 min; never more than an eighth of the token's lifetime.
    pub lead: Duration,
    /// By how much, at most, a visitor's own hash moves that moment forward, so that a fleet does not renew at once. 30 min;
    /// never more than an eighth of the token's lifetime.
    pub jitter: Duration,
    /// How long before its expiry a token is no longer sent. 60 s; never more than an eighth of the token's lifetime.
    pub unusable: Duration,
    /// For how long a call without a usable token waits, in all. 30 s.
    pub wait: Duration,
    /// How long a store keeps a record after its last write. 365 days.
    pub keep: Duration,
    /// How long a store keeps a tombstone; longer than `put_back`. 30 days.
    pub keep_tombstone: Duration,
    /// For how long after it was last seen in the store a snapshot may be put back into a store that lost it. 15 days.
    pub put_back: Duration,
    /// The first pause after a failed grant; doubled by each further failure. 1 s.
    pub backoff_first: Duration,
    /// The longest pause that we choose ourselves. 60 s.
    pub backoff_most: Duration,
    /// The longest pause that an endpoint's `Retry-After` can ask for. 1 h.
    pub retry_after_most: Duration,
    /// How often a doubtful answer must have come before it counts as a refusal. 3.
    pub doubts: u32,
    /// Over how long it must have come. 5 min.
    pub doubts_over: Duration,
    /// The lifetime assumed where neither the reply nor the token tells. 4 h.
    pub lifetime: Duration,
    /// How old a snapshot in use may get before it is compared with the store in the background, where the store does not
    /// announce changes, or its announcements may have been missed. 5 s.
    pub look_after: Duration,
    /// How many renewals for which nobody waits may be in flight at once, in one process and for one site. 32.
    pub background_in_flight: u32,
    /// How many of them may start in a minute. 1,200. Whoever waits for a token is not counted, and never held up by this.
    pub background_per_minute: u32,
    /// How many visitors may have tokens that are in flight or not in the store yet; beyond that, new grants wait, rather than
    /// that what they bring is lost with the process. 10,000.
    pub unsaved_most: u32,
    /// What to do with a visitor whose every token was refused.
    pub on_refused: OnRefused,
}

impl Default for Policy {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        let secs = Duration::from_secs;
        Self {
            grant: secs(10),
            save: secs(2),
            margin: secs(3),
            lease: secs(15),
            lead: secs(30 * 60),
            jitter: secs(30 * 60),
            unusable: secs(60),
            wait: secs(30),
            keep: secs(365 * DAY),
            keep_tombstone: secs(30 * DAY),
            put_back: secs(15 * DAY),
            backoff_first: secs(1),
            backoff_most: secs(60),
            retry_after_most: secs(60 * 60),
            doubts: 3,
            doubts_over: secs(5 * 60),
            lifetime: secs(4 * 60 * 60),
            look_after: secs(5),
            background_in_flight: 32,
            background_per_minute: 1_200,
            unsaved_most: 10_000,
            on_refused: OnRefused::Mint,
        }
    }
}

/// How long a record without tokens is kept: longer than any claim or pause in it, and there is nothing else to lose.
const KEEP_EMPTY: Duration = Duration::from_secs(24 * 60 * 60);

impl Policy {
    /// How long a store has to keep this record.
    pub(crate) fn keep_for(&self, record: &Record) -> Duration {
        match record.standing {
            // A mint that is under way, or has failed.
            Standing::Empty => KEEP_EMPTY.min(self.keep),
            Standing::Forgotten(_) | Standing::Retired(..) => self.keep_tombstone,
            Standing::Held(_) => self.keep,
        }
    }

    /// Whether the numbers fit together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`], naming the rule that does not hold.
    pub fn check(&self) -> Result<(), Error> {
        let all = [
            self.grant,
            self.save,
            self.margin,
            self.lease,
            self.lead,
            self.jitter,
            self.unusable,
            self.wait,
            self.keep,
            self.keep_tombstone,
            self.put_back,
            self.backoff_first,
            self.backoff_most,
            self.retry_after_most,
            self.doubts_over,
            self.lifetime,
            self.look_after,
        ];
        if all.iter().any(|duration| *duration > LONGEST) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "this policy cannot work: no duration may be above 100 years",
            ));
        }
        let rules = [
            (self.grant > Duration::ZERO && self.save > Duration::ZERO, "grant and save must be above zero"),
            (
                self.lease >= self.grant + self.save + self.margin,
                "lease must be at least grant + save + margin, or two holders could redeem one token",
            ),
            (self.wait >= self.save, "wait must be at least save"),
            (self.unusable <= self.lead, "unusable must be at most lead, or a token would lapse before it is renewed"),
            (
                self.put_back < self.keep_tombstone,
                "put_back must be below keep_tombstone, or the forgotten could return",
            ),
            (self.keep >= self.keep_tombstone, "keep must be at least keep_tombstone"),
            (
                Duration::ZERO < self.backoff_first && self.backoff_first <= self.backoff_most,
                "backoff_first must be above zero and at most backoff_most",
            ),
            (self.doubts >= 1, "doubts must be at least 1"),
            (self.lifetime >= Duration::from_secs(60), "lifetime must be at least a minute"),
            (self.look_after > Duration::ZERO, "look_after must be above zero"),
            (
                self.background_in_flight >= 1 && self.background_per_minute >= 1 && self.unsaved_most >= 1,
                "background_in_flight, background_per_minute and unsaved_most must be at least 1",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(Error::new(ErrorKind::InvalidInput, format!("this policy cannot work: {rule}"))),
        }
    }

    /// The pause after the `failures`-th failure in a row (from 1), before jitter.
    pub(crate) fn backoff(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let doubled =
            self.backoff_first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let own = doubled.min(self.backoff_most);
        retry_after.map_or(own, |asked| own.max(asked.min(self.retry_after_most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_together() {
        Policy::default().check().unwrap();
    }

    #[test]
    fn a_lease_shorter_than_the_work_is_refused() {
        let policy = Policy { lease: Duration::from_secs(14), ..Policy::default() };
        assert!(policy.check().unwrap_err().to_string().contains("lease"));
    }

    #[test]
    fn a_duration_without_end_is_refused_and_never_a_panic() {
        let changes: [fn(&mut Policy); 6] = [
            |policy| policy.grant = Duration::MAX,
            |policy| policy.margin = Duration::MAX,
            |policy| policy.lease = Duration::MAX,
            |policy| policy.keep = Duration::MAX,
            |policy| (policy.backoff_first, policy.backoff_most) = (Duration::MAX, Duration::MAX),
            |policy| policy.retry_after_most = Duration::MAX,
        ];
        for change in changes {
            let mut policy = Policy::default();
            change(&mut policy);
            assert!(policy.check().unwrap_err().to_string().contains("100 years"), "{policy:?}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound_and_honours_the_endpoint() {
        let policy = Policy::default();
        let pauses: Vec<u64> = (1..9).map(|n| policy.backoff(n, None).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.backoff(1, Some(Duration::from_secs(120))).as_secs(), 120);
        assert_eq!(policy.backoff(40, Some(Duration::MAX)), policy.retry_after_most);
    }
}
