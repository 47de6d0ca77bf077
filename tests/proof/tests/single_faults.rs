//! The table of single faults holds for the very code that decides, in every interleaving of two instances.

use wix_visitor_proof::model::{Behaviour, Config, Fault, Finding, Rule, explore};
use wix_visitor_proof::table::{SINGLE_FAULTS, explore_row};

#[test]
fn no_single_fault_costs_more_than_is_said() {
    for row in SINGLE_FAULTS {
        for (cell, expected) in explore_row(row).into_iter().zip(row.expected) {
            assert_eq!(cell.verdict, expected, "{}", row.name());
            assert!(cell.breaches.is_empty(), "{}: {:?}", row.name(), cell.breaches);
        }
    }
}

#[test]
fn without_claims_a_renewal_takes_more_than_one_grant_and_the_model_sees_it() {
    let mut config = Config::new(Behaviour::ALL[0], &[]);
    assert!(!explore(&config, 4_000_000).has(Finding::ManyGrants));
    config.without = Some(Rule::Claim);
    assert!(explore(&config, 4_000_000).has(Finding::ManyGrants));
}

#[test]
fn without_tombstones_the_forgotten_come_back_and_the_model_sees_it() {
    let mut config = Config::new(Behaviour::ALL[0], &[Fault::Forget]);
    assert!(!explore(&config, 4_000_000).has(Finding::Returned));
    config.without = Some(Rule::Tombstone);
    assert!(explore(&config, 4_000_000).has(Finding::Returned));
}
