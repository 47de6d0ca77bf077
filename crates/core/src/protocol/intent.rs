//! What *set tokens* and *forget* write: over whatever stands, claim or not, with the next epoch.

use crate::clock::Timestamp;
use crate::policy::Policy;
use crate::protocol::outcome::lifetime_of;
use crate::record::{Chain, Lineage, Record, Spent, Standing};
use crate::tokens::Tokens;

/// What the application wants.
#[derive(Clone, Debug)]
pub enum Intent {
    /// These tokens, from now on.
    Set(Tokens),
    /// No tokens, and none of the old ones ever again.
    Forget,
    /// The same, and nobody new in their place.
    Retire,
    /// That, where nobody is, nobody is about to be, and nobody has done it before.
    RetireUnused,
}

/// Whether this may be done over what stands there and what this process holds.
pub fn permitted(intent: &Intent, standing: Option<&Record>, held: Option<&Record>) -> bool {
    let used = |record: &Record| record.chain().is_some() || record.claim.is_some() || record.retired().is_some();
    !matches!(intent, Intent::RetireUnused) || !standing.into_iter().chain(held).any(used)
}

/// The record that says so. Its epoch is above that of the store and of this process, whichever is higher, so that no flight
/// and no rolled-back store wins over it.
pub fn intended(
    intent: &Intent,
    standing: Option<&Record>,
    held: Option<&Record>,
    lineage: Lineage,
    now: Timestamp,
    policy: &Policy,
) -> Record {
    let epoch = standing.into_iter().chain(held).map(|record| record.epoch).max().unwrap_or(0).saturating_add(1);
    let retired = standing.into_iter().chain(held).find_map(Record::retired);
    let standing = match (intent, retired) {
        (Intent::Forget, None) => Standing::Forgotten(lineage),
        (Intent::Forget | Intent::Retire | Intent::RetireUnused, since) => {
            Standing::Retired(lineage, since.unwrap_or(now))
        }
        (Intent::Set(tokens), _) => Standing::Held(Chain {
            lineage,
            generation: 0,
            replaces: None,
            began: now,
            tokens: tokens.clone(),
            lifetime: lifetime_of(tokens, now, policy),
            refused: false,
            alternates: Vec::new(),
            spent: Spent::default(),
            doubt: None,
        }),
    };
    Record { epoch, standing, claim: None, trouble: None }
}

/// Whether this record came of what the application wrote under this lineage: it is that, a later version of it, or a mint that
/// took the place of its tombstone.
pub fn stems_from(record: &Record, lineage: Lineage) -> bool {
    let replaces = record.chain().and_then(|chain| chain.replaces);
    record.version().into_iter().chain(replaces).any(|version| version.lineage == lineage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{forgotten, record};

    #[test]
    fn an_intent_is_above_all_that_the_store_and_the_process_know_and_takes_no_old_token_along() {
        let intend = |intent, standing: Option<&Record>, held: Option<&Record>| {
            intended(&intent, standing, held, Lineage(9), Timestamp::default(), &Policy::default())
        };
        let (older, newer) = (forgotten(5, 3), Record { epoch: 7, ..record(1, 4) });
        for (standing, held) in [(Some(&older), Some(&newer)), (Some(&newer), Some(&older)), (Some(&newer), None)] {
            assert_eq!(intend(Intent::Forget, standing, held).epoch, 8);
        }
        let signed_in = intend(Intent::Set(record(2, 0).chain().unwrap().tokens.clone()), Some(&newer), None);
        let chain = signed_in.chain().unwrap();
        assert_eq!((chain.lineage, chain.generation, chain.alternates.len()), (Lineage(9), 0, 0));
        assert_eq!(intend(Intent::Forget, None, None).epoch, 1);
    }

    #[test]
    fn what_is_retired_stays_so_whoever_forgets_it_once_more_and_only_tokens_take_its_place() {
        let intend = |intent: &Intent, standing: &Record| {
            intended(intent, Some(standing), None, Lineage(9), Timestamp::from_secs(50), &Policy::default())
        };
        let retired = Record { standing: Standing::Retired(Lineage(3), Timestamp::from_secs(10)), ..Record::default() };
        for intent in [Intent::Forget, Intent::Retire] {
            assert_eq!(intend(&intent, &retired).retired(), Some(Timestamp::from_secs(10)));
        }
        assert_eq!(intend(&Intent::Retire, &record(1, 4)).retired(), Some(Timestamp::from_secs(50)));
        let tokens = record(2, 0).chain().unwrap().tokens.clone();
        assert_eq!(intend(&Intent::Set(tokens), &retired).retired(), None);
    }

    #[test]
    fn only_what_nobody_uses_or_is_about_to_use_is_unused() {
        let unused = |standing: Option<&Record>| permitted(&Intent::RetireUnused, standing, None);
        assert!(unused(None) && unused(Some(&forgotten(5, 3))) && unused(Some(&Record::default())));
        let about_to = Record::default().claimed(Some(crate::record::Nonce(1)));
        assert!(!unused(Some(&about_to)) && !unused(Some(&record(1, 0))));
        assert!(!permitted(&Intent::RetireUnused, None, Some(&record(1, 0))), "minted, and not in the store yet");
        let retired = Record { standing: Standing::Retired(Lineage(3), Timestamp::default()), ..Record::default() };
        assert!(!unused(Some(&retired)), "of two who do it at once, one has done it");
        assert!(permitted(&Intent::Retire, Some(&record(1, 0)), None));
    }

    #[test]
    fn what_stems_from_an_intent_is_it_and_its_renewals_and_a_mint_over_its_tombstone() {
        let mut minted = record(2, 0);
        if let Standing::Held(chain) = &mut minted.standing {
            chain.replaces = forgotten(9, 1).version();
        }
        for stemming in [record(9, 0), record(9, 4), forgotten(9, 1), minted.clone()] {
            assert!(stems_from(&stemming, Lineage(9)), "{stemming:?}");
        }
        for other in [record(1, 0), forgotten(5, 1), Record::default()] {
            assert!(!stems_from(&other, Lineage(9)), "{other:?}");
        }
        assert!(!stems_from(&minted, Lineage(1)));
    }
}
