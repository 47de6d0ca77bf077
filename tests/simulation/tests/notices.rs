//! The simulation can fail: each rule that is left out, between the flow and its surroundings, is noticed and shrunk.

use std::sync::Arc;

use wix_visitor_simulation::campaign::campaign;
use wix_visitor_simulation::plan::draft::draft;
use wix_visitor_simulation::plan::flaw::Flaw;
use wix_visitor_simulation::plan::shrink::shrink;
use wix_visitor_simulation::plan::{Behaviour, Campaign, MINUTE, Plan};
use wix_visitor_simulation::run::{Scrutiny, run};
use wix_visitor_simulation::verdict::judge::{Breach, Finding};

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
    that_the_forgotten_leave_no_tombstone: Tombstones, Returned | Behind | Lost | NotServed | Unkept;
    that_epochs_do_not_count: Epochs, Lost | Returned | NotServed | Unkept;
    that_a_store_does_not_compare: Comparison, Lost | Returned | NotServed | Unkept;
    that_an_error_makes_a_new_visitor: MintOnError, Lost | NotServed | Unkept;
    that_a_mint_does_not_note_what_it_replaces: Replaces, Lost | NotServed | Unkept;
    that_a_failed_write_is_called_done: FalseSuccess, Lost | Behind | Returned | NotServed | Unkept;
}

/// Claims keep a token from being redeemed twice, and a visitor from being minted twice; nobody is lost by the lack of them.
#[test]
fn that_claims_of_others_are_not_seen_by_what_is_asked_of_the_endpoint() {
    let asked = |flaw| {
        let totals = campaign(Campaign::Ok, 0, 60, flaw, |_, _, _| {});
        let [mints, _, again, refused, _] = totals.asked;
        (mints, again + refused)
    };
    let ((mints, spent), (more_mints, more_spent)) = (asked(None), asked(Some(Flaw::Claims)));
    assert!(more_mints > mints && more_spent > spent * 2, "{mints} -> {more_mints}, {spent} -> {more_spent}");
}

/// What is kept aside counts where faults overlap: it saves some of the visitors that would be lost there.
#[test]
fn that_alternates_are_not_kept_where_faults_overlap() {
    let quick = |plan: &Plan| plan.site.behaviour == Behaviour::Single && plan.site.life <= 20 * MINUTE;
    let lost = |plan: &Plan, flaw| {
        let plan = Plan { flaw, ..plan.clone() };
        !run(&Arc::new(plan), Scrutiny::default()).findings.is_empty()
    };
    let saved = (0..10_000)
        .map(|seed| draft(seed, Campaign::Rest))
        .filter(quick)
        .find(|plan| lost(plan, Some(Flaw::Alternates)) && !lost(plan, None));
    assert!(saved.is_some());
}

#[test]
fn a_failing_seed_is_shrunk_to_little_that_still_fails() {
    // A fault where there should be none, and one between store and flow: another breach, by other steps.
    for (flaw, most) in [(Flaw::MintOnError, 8), (Flaw::FalseSuccess, 12)] {
        let (seed, finding) = noticed(flaw).expect("no seed noticed");
        let plan = broken(flaw, seed);
        let small = shrink(&plan, finding.breach);
        let count = |plan: &Plan| {
            plan.episodes.iter().map(|one| one.calls.len() + one.strikes.len() + one.disturbances.len()).sum::<usize>()
        };
        assert_eq!(small.visitors.iter().filter(|used| **used).count(), 1);
        assert!(count(&small) < count(&plan) && count(&small) <= most, "{flaw:?}: {small:#?}");
        let again = run(&Arc::new(small), Scrutiny { log: true, ..Scrutiny::default() });
        assert!(again.findings.iter().any(|one| one.breach == finding.breach), "{flaw:?}");
        assert!(!again.log.is_empty());
    }
}

#[test]
fn every_breach_counts_though_only_the_first_seeds_are_kept() {
    let totals = campaign(Campaign::Ok, 0, 200, Some(Flaw::MintOnError), |_, _, _| {});
    let failed = totals.runs - totals.clean;
    assert!(failed > 20 && totals.failures.len() == 20, "{failed}");
    assert!(totals.broken.iter().sum::<u64>() >= failed, "{:?}", totals.broken);
}

#[test]
fn a_run_of_nothing_is_no_proof() {
    let command = |seeds: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wix-visitor-simulation"));
        command.args(["--campaign", "ok", "--seeds", seeds]).output().unwrap()
    };
    assert_eq!(command("0").status.code(), Some(2));
    let ran = command("3");
    assert!(ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("3 seeds from 0"));
}
