//! The simulation can fail: each rule that is left out, between the flow and its surroundings, is noticed and shrunk.

use std::sync::Arc;

use wix_visitor_simulation::draft::draft;
use wix_visitor_simulation::flaw::Flaw;
use wix_visitor_simulation::judge::{Breach, Finding};
use wix_visitor_simulation::plan::{Campaign, Plan};
use wix_visitor_simulation::run::{Scrutiny, run};
use wix_visitor_simulation::shrink::shrink;

fn broken(flaw: Flaw, seed: u64) -> Arc<Plan> {
    Arc::new(Plan { flaw: Some(flaw), ..draft(seed, Campaign::Ok) })
}

/// The first seed that notices.
fn noticed(flaw: Flaw) -> Option<(u64, Finding)> {
    let small = |seed: &u64| draft(*seed, Campaign::Ok).nodes.len() <= 4;
    (0..6_000).filter(small).find_map(|seed| {
        let outcome = run(&broken(flaw, seed), Scrutiny::default());
        Some((seed, outcome.findings.into_iter().next()?))
    })
}

macro_rules! notices {
    ($($name:ident: $flaw:ident, $($breach:ident)|+;)*) => {$(
        #[test]
        fn $name() {
            let (seed, finding) = noticed(Flaw::$flaw).expect("no seed noticed");
            assert!(matches!(finding.breach, $(Breach::$breach)|+), "seed {seed}: {finding:?}");
        }
    )*};
}

notices! {
    that_claims_of_others_are_not_seen: Claims, Lost | NotServed | Unkept;
    that_alternates_are_not_kept: Alternates, Lost | NotServed | Unkept;
    that_the_forgotten_leave_no_tombstone: Tombstones, Returned | Lost | NotServed | Unkept;
    that_epochs_do_not_count: Epochs, Lost | Returned | NotServed | Unkept;
    that_a_store_does_not_compare: Comparison, Lost | Returned | NotServed | Unkept;
    that_an_error_makes_a_new_visitor: MintOnError, Lost | NotServed | Unkept;
    that_a_mint_does_not_note_what_it_replaces: Replaces, Lost | NotServed | Unkept;
    that_a_failed_write_is_called_done: FalseSuccess, Lost | Returned | NotServed | Unkept;
}

#[test]
fn a_failing_seed_is_shrunk_to_little_that_still_fails() {
    let (seed, finding) = noticed(Flaw::MintOnError).expect("no seed noticed");
    let plan = broken(Flaw::MintOnError, seed);
    let small = shrink(&plan, finding.breach);
    let count = |plan: &Plan| {
        plan.episodes.iter().map(|one| one.calls.len() + one.strikes.len() + one.disturbances.len()).sum::<usize>()
    };
    assert_eq!(small.visitors.iter().filter(|used| **used).count(), 1);
    assert!(count(&small) < count(&plan) && count(&small) <= 8, "{small:#?}");
    let again = run(&Arc::new(small), Scrutiny { log: true, ..Scrutiny::default() });
    assert!(again.findings.iter().any(|one| one.breach == finding.breach));
    assert!(!again.log.is_empty());
}
