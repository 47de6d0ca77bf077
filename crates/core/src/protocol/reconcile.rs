//! What to do when a process holds a record that the store does not show.

use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::policy::Policy;
use crate::protocol::elapsed;
use crate::record::{Record, Standing};
use crate::store::Etag;

/// How young a minted record must be for the one it replaced to come back over it.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// What one process holds of a visitor's record: its snapshot, which is its outbox too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The record. Without a claim of this process, once a flight is over.
    pub record: Record,
    /// The version that the store is known to have had; `None` while it has not been saved.
    pub etag: Option<Etag>,
    /// When the store was last seen to hold it, or when it came to be, if unsaved.
    pub seen: Now,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// What the store shows is what counts.
    Adopt,
    /// Write this record, made of ours, over what the store shows.
    Put {
        /// What to write.
        record: Record,
        /// How many alternates found no room in it.
        dropped: usize,
    },
    /// What the store shows counts, and our refresh token joins its alternates: write this record.
    Join {
        /// What to write.
        record: Record,
        /// How many alternates found no room in it.
        dropped: usize,
    },
}

/// Compares what this process holds with what the store shows.
///
/// | the store shows | then |
/// | --- | --- |
/// | nothing, or an empty record | put ours, unless the store was last seen to hold it too long ago |
/// | an older record, claimed or not | put ours; same lineage: keep its refresh token as an alternate |
/// | anything else | adopt it; same lineage and our refresh token not in it: ours joins the alternates, unless ours was saved and is of a lower generation |
pub fn reconcile(mine: &Held, theirs: Option<&Record>, now: Now, policy: &Policy) -> Reconciled {
    let Some(my_version) = mine.record.version() else { return Reconciled::Adopt };
    let saved = mine.etag.is_some();
    let bare = Record { claim: None, trouble: None, ..mine.record.clone() };
    let Some((theirs, their_version)) = theirs.and_then(|record| Some((record, record.version()?))) else {
        let too_old = saved && elapsed(mine.seen, now) > policy.put_back;
        return if too_old { Reconciled::Adopt } else { Reconciled::Put { record: bare, dropped: 0 } };
    };
    let same_lineage = my_version.lineage == their_version.lineage;
    if newer(&mine.record, theirs, now.wall) {
        let mut record = bare;
        let mut dropped = 0;
        if let (true, Standing::Held(chain), Some(older)) = (same_lineage, &mut record.standing, theirs.chain()) {
            dropped = chain.keep_aside(older.refresh_tokens());
        }
        return Reconciled::Put { record, dropped };
    }
    if same_lineage
        && !(saved && my_version.generation < their_version.generation)
        && let (Some(ours), Standing::Held(chain)) = (mine.record.chain(), &theirs.standing)
    {
        let main = ours.tokens.refresh.as_ref().filter(|token| !ours.refused && !chain.knows(&token.value));
        if main.is_some() {
            let mut joined = chain.clone();
            let dropped = joined.keep_aside(ours.refresh_tokens().into_iter().take(1));
            if joined.alternates != chain.alternates {
                let record = Record { standing: Standing::Held(joined), ..theirs.clone() };
                return Reconciled::Join { record, dropped };
            }
        }
    }
    Reconciled::Adopt
}

/// Whether `mine` takes precedence over `theirs`; neither may be empty. A tie is the store's, that is: theirs.
pub fn newer(mine: &Record, theirs: &Record, now: Timestamp) -> bool {
    let (Some(my), Some(their)) = (mine.version(), theirs.version()) else { return false };
    if my.lineage == their.lineage {
        return my.generation > their.generation;
    }
    if let Some(replaced) = mine.chain().and_then(|chain| chain.replaces)
        && replaced.lineage == their.lineage
    {
        return their.generation <= replaced.generation;
    }
    if let Some(chain) = theirs.chain()
        && let Some(replaced) = chain.replaces.filter(|replaced| replaced.lineage == my.lineage)
    {
        let age = now.since(chain.began).max(chain.began.since(now));
        return my.generation > replaced.generation && age < YOUNG;
    }
    mine.epoch > theirs.epoch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{at, forgotten, held, record, saved, unsaved, with_alternates};
    use crate::record::{Nonce, Version};

    fn decide(mine: &Held, theirs: Option<&Record>) -> Reconciled {
        reconcile(mine, theirs, at(1_000), &Policy::default())
    }

    fn alternates(record: &Record) -> Vec<&str> {
        record.chain().unwrap().alternates.iter().map(|a| a.value.expose()).collect()
    }

    #[test]
    fn a_store_that_lost_the_record_gets_it_back_for_fifteen_days() {
        let mine = saved(record(1, 3), 0);
        assert_eq!(decide(&mine, None), Reconciled::Put { record: record(1, 3), dropped: 0 });
        assert_eq!(decide(&mine, Some(&Record::default().claimed(Some(Nonce(1))))), decide(&mine, None));
        assert_eq!(reconcile(&mine, None, at(15 * 24 * 3600), &Policy::default()), decide(&mine, None));
        let late = at(15 * 24 * 3600 + 1);
        assert_eq!(reconcile(&mine, None, late, &Policy::default()), Reconciled::Adopt);
        let outbox = unsaved(record(1, 3), 0);
        assert!(matches!(reconcile(&outbox, None, late, &Policy::default()), Reconciled::Put { .. }));
    }

    #[test]
    fn an_older_generation_is_overwritten_and_its_token_kept_even_if_claimed() {
        let theirs = record(1, 2).claimed(Some(Nonce(9)));
        let Reconciled::Put { record, .. } = decide(&unsaved(record(1, 3), 0), Some(&theirs)) else { panic!() };
        assert_eq!((record.claim, alternates(&record)), (None, vec!["refresh-1-2"]));
    }

    #[test]
    fn the_loser_of_a_race_keeps_its_token_as_an_alternate() {
        let mut other = record(1, 3);
        if let Standing::Held(chain) = &mut other.standing {
            chain.tokens.refresh.as_mut().unwrap().value = "from-elsewhere".into();
        }
        let Reconciled::Join { record, .. } = decide(&unsaved(record(1, 3), 0), Some(&other)) else { panic!() };
        assert_eq!(alternates(&record), ["refresh-1-3"]);
    }

    #[test]
    fn a_saved_snapshot_that_was_overtaken_leaves_nothing_behind() {
        assert_eq!(decide(&saved(record(1, 3), 0), Some(&record(1, 4))), Reconciled::Adopt);
        assert!(matches!(decide(&unsaved(record(1, 3), 0), Some(&record(1, 4))), Reconciled::Join { .. }));
    }

    #[test]
    fn a_token_never_becomes_an_alternate_of_another_identity() {
        let mut signed_in = record(2, 0);
        signed_in.epoch = 1;
        assert_eq!(decide(&unsaved(record(1, 9), 0), Some(&signed_in)), Reconciled::Adopt);
        let Reconciled::Put { record, .. } = decide(&unsaved(signed_in, 0), Some(&record(1, 9))) else { panic!() };
        assert!(alternates(&record).is_empty());
    }

    #[test]
    fn what_was_forgotten_stays_forgotten() {
        assert_eq!(decide(&unsaved(record(1, 9), 0), Some(&forgotten(5, 1))), Reconciled::Adopt);
        assert!(matches!(decide(&saved(forgotten(5, 1), 0), Some(&record(1, 9))), Reconciled::Put { .. }));
    }

    #[test]
    fn a_mint_replaces_only_what_it_saw_and_gives_way_to_a_later_generation_for_an_hour() {
        let mut minted = record(2, 0);
        if let Standing::Held(chain) = &mut minted.standing {
            chain.replaces = Some(Version { lineage: crate::record::Lineage(1), generation: 4 });
            chain.began = Timestamp::from_secs(900);
        }
        let now = Timestamp::from_secs(1_000);
        assert!(newer(&minted, &record(1, 4), now) && !newer(&minted, &record(1, 5), now));
        assert!(newer(&record(1, 5), &minted, now) && !newer(&record(1, 4), &minted, now));
        assert!(newer(&record(1, 5), &minted, Timestamp::from_secs(900 + 3_599)));
        assert!(!newer(&record(1, 5), &minted, Timestamp::from_secs(900 + 3_600)));
        assert!(!newer(&record(1, 5), &minted, Timestamp::from_secs(900 - 3_600)), "one of the clocks is wrong");
    }

    #[test]
    fn two_first_mints_leave_the_stores_standing() {
        assert_eq!(decide(&unsaved(record(1, 0), 0), Some(&record(2, 0))), Reconciled::Adopt);
    }

    #[test]
    fn alternates_are_merged_newest_first_and_the_overflow_is_counted() {
        let mine = unsaved(with_alternates(record(1, 5), &[("b", 3), ("a", 2)]), 0);
        let Reconciled::Put { record, dropped } = decide(&mine, Some(&record(1, 4))) else { panic!() };
        assert_eq!((alternates(&record), dropped), (vec!["refresh-1-4", "b"], 1));
        assert_eq!(held(&record).generation, 5);
    }

    #[test]
    fn who_took_the_place_of_a_third_is_measured_by_the_epoch_alone() {
        let replacing = |lineage, replaced| {
            let mut minted = record(lineage, 0);
            if let Standing::Held(chain) = &mut minted.standing {
                chain.replaces = Some(Version { lineage: crate::record::Lineage(replaced), generation: 4 });
            }
            minted
        };
        let now = Timestamp::from_secs(1_000);
        assert!(!newer(&replacing(2, 7), &record(1, 4), now) && !newer(&record(1, 5), &replacing(2, 7), now));
        let signed_in = Record { epoch: 1, ..record(3, 0) };
        assert!(newer(&signed_in, &replacing(2, 7), now) && !newer(&replacing(2, 7), &signed_in, now));
        assert!(!newer(&Record::default(), &record(1, 0), now) && !newer(&record(1, 0), &Record::default(), now));
    }

    #[test]
    fn what_is_put_has_neither_claim_nor_trouble_and_nothing_is_nothing_to_put() {
        let trouble = crate::record::Trouble {
            failures: 1,
            pause: Duration::ZERO,
            until: Timestamp::default(),
            kind: crate::error::ErrorKind::Unavailable,
            message: String::new(),
        };
        let mine = Record { trouble: Some(trouble), ..record(1, 3) }.claimed(Some(Nonce(1)));
        assert_eq!(decide(&unsaved(mine, 0), None), Reconciled::Put { record: record(1, 3), dropped: 0 });
        assert_eq!(decide(&saved(Record::default(), 0), None), Reconciled::Adopt);
        assert_eq!(decide(&saved(forgotten(5, 1), 0), Some(&forgotten(5, 1))), Reconciled::Adopt);
    }

    #[test]
    fn of_one_generation_even_a_saved_token_joins_but_none_that_is_known_or_refused_or_finds_no_room() {
        let mut other = record(1, 3);
        let mut refused = with_alternates(record(1, 3), &[("aside", 2)]);
        if let (Standing::Held(other), Standing::Held(refused)) = (&mut other.standing, &mut refused.standing) {
            other.tokens.refresh.as_mut().unwrap().value = "from-elsewhere".into();
            refused.refused = true;
        }
        let Reconciled::Join { record: joined, dropped } = decide(&saved(record(1, 3), 0), Some(&other)) else {
            panic!()
        };
        assert_eq!((alternates(&joined), dropped), (vec!["refresh-1-3"], 0));
        assert_eq!(decide(&saved(record(1, 3), 0), Some(&joined)), Reconciled::Adopt);
        assert_eq!(decide(&unsaved(refused, 0), Some(&other)), Reconciled::Adopt);
        let full = with_alternates(record(1, 5), &[("b", 4), ("a", 4)]);
        assert_eq!(decide(&unsaved(record(1, 3), 0), Some(&full)), Reconciled::Adopt);
    }
}
