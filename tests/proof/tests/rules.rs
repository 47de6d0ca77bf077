//! Each rule earns its place: without it, something named gets worse.

use wix_visitor_proof::model::Rule;
use wix_visitor_proof::rules::cases;

#[track_caller]
fn earns_its_place(rule: Rule) {
    let Some(case) = cases().into_iter().find(|case| case.rule == rule) else { panic!("{rule:?} has no case") };
    assert!(!case.worse.is_empty());
    let compared = case.compare();
    assert!(!compared.with.cut && !compared.without.cut);
    assert_eq!(case.failures(&compared), [""; 0]);
}

#[test]
fn without_claims_a_renewal_takes_more_than_one_grant() {
    earns_its_place(Rule::Claim);
}

#[test]
fn without_the_watch_over_a_whole_lease_a_claim_is_taken_from_a_live_holder() {
    earns_its_place(Rule::Watch);
}

#[test]
fn without_nonces_the_next_claim_is_taken_for_the_last_and_two_mint() {
    earns_its_place(Rule::Nonce);
}

#[test]
fn without_the_deadline_a_grant_is_sent_on_a_claim_that_ran_out() {
    earns_its_place(Rule::Deadline);
}

#[test]
fn without_the_guard_for_sleep_a_grant_is_sent_on_a_claim_that_ran_out() {
    earns_its_place(Rule::SleepGuard);
}

#[test]
fn without_the_claim_kept_after_unknown_the_next_grant_meets_the_late_one() {
    earns_its_place(Rule::KeptClaim);
}

#[test]
fn without_the_re_read_on_refusal_a_newer_record_is_overwritten() {
    earns_its_place(Rule::ReRead);
}

#[test]
fn without_alternates_a_visitor_is_lost() {
    earns_its_place(Rule::Alternates);
}

#[test]
fn without_put_back_a_visitor_is_lost() {
    earns_its_place(Rule::PutBack);
}

#[test]
fn without_replaces_a_visitor_is_lost() {
    earns_its_place(Rule::Replaces);
}

#[test]
fn without_lineages_two_identities_are_mixed() {
    earns_its_place(Rule::Lineage);
}

#[test]
fn without_epochs_a_sign_in_is_lost() {
    earns_its_place(Rule::Epoch);
}

#[test]
fn without_tombstones_the_forgotten_come_back() {
    earns_its_place(Rule::Tombstone);
}
