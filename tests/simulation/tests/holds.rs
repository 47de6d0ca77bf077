//! What the simulation shows on a few seeds at every test; `cargo xtask prove simulate` runs a million.

use std::sync::Arc;

use wix_visitor_proof::promise::Cause;
use wix_visitor_simulation::campaign::campaign;
use wix_visitor_simulation::outage::outage;
use wix_visitor_simulation::plan::draft::draft;
use wix_visitor_simulation::plan::fault::Fault;
use wix_visitor_simulation::plan::{Behaviour, Campaign, HOUR, Plan};
use wix_visitor_simulation::run::{Scrutiny, run};
use wix_visitor_simulation::verdict::totals::{Totals, Why};

/// Optimised, ten times as many.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 3_000 };

#[test]
fn no_visitor_is_lost_by_the_faults_that_may_meet() {
    let totals = campaign(Campaign::Ok, 0, SEEDS, None, |_, _, _| {});
    assert!(totals.failures.is_empty(), "{:#?}", totals.failures);
    assert_eq!((totals.runs, totals.clean), (SEEDS, SEEDS));
    assert!(totals.is_sound() && totals.judged == totals.to_judge, "{} of {}", totals.judged, totals.to_judge);
    assert!(totals.traced > 0 && totals.told[3] > 1_000, "nothing was searched for secrets: {:?}", totals.told);
    for fault in Fault::ALL {
        assert!(totals.injected[fault as usize] > 0, "no seed met this: {}", fault.name());
    }
}

#[test]
fn faults_that_may_not_meet_lose_visitors_and_the_simulation_sees_it() {
    let totals = campaign(Campaign::Rest, 0, SEEDS / 3, None, |_, _, _| {});
    let reasons = totals.reasons();
    let of = |cause| reasons.get(&Why::Table(cause)).copied().unwrap_or_default();
    assert!(of(Cause::OnlyReply)[Behaviour::Single as usize] > 0);
    let others = reasons.iter().filter(|(why, _)| **why != Why::Table(Cause::FirstRecord));
    assert!(
        others.clone().all(|(why, lost)| lost[Behaviour::Static as usize] == 0 || *why == Why::Deed),
        "{reasons:?}"
    );
    assert!(totals.is_sound(), "{reasons:?}");
    let mixed = totals.failures.iter().flat_map(|failure| &failure.findings);
    let mixed: Vec<_> = mixed.filter(|f| f.breach == wix_visitor_simulation::verdict::judge::Breach::Mixed).collect();
    assert!(mixed.is_empty(), "whatever is lost, nothing is mixed: {mixed:?}");
}

#[test]
fn a_failover_that_takes_a_first_record_loses_the_visitor_even_where_tokens_are_never_replaced() {
    let fails_over = |plan: &Plan| plan.episodes.iter().flat_map(|one| &one.strikes).any(|one| one.fault.is_failover());
    let plans = (0..100_000).map(|seed| draft(seed, Campaign::Rest));
    let mut plans = plans.filter(|plan| plan.site.behaviour == Behaviour::Static && fails_over(plan));
    let mut lost = Totals::default();
    while lost.clean == lost.runs {
        let plan = Arc::new(plans.next().expect("no seed lost anybody"));
        lost.add(&plan, run(&plan, Scrutiny::default()), false);
    }
    assert!(lost.reasons().contains_key(&Why::Table(Cause::FirstRecord)), "{:?}", lost.reasons());
}

#[test]
fn a_seed_is_the_same_again_to_the_last_step() {
    for campaign in [Campaign::Ok, Campaign::Rest] {
        for seed in 0..if cfg!(debug_assertions) { 25 } else { 1_000 } {
            let once = run(&Arc::new(draft(seed, campaign)), Scrutiny::default());
            let again = run(&Arc::new(draft(seed, campaign)), Scrutiny { search: true, ..Scrutiny::default() });
            assert_eq!(once.trace, again.trace, "seed {seed} of campaign {}", campaign.name());
        }
    }
}

#[test]
fn a_dead_endpoint_loses_nobody_and_is_left_alone() {
    let visitors = if cfg!(debug_assertions) { 100 } else { 3_000 };
    let outage = outage(visitors, 6 * HOUR, 1);
    assert!(outage.holds(), "{outage:?}");
    assert!(outage.grants > 0 && outage.grants < outage.calls, "{outage:?}");
}
