//! What is promised holds for the very code that decides. The release binary explores more.

use wix_visitor_proof::campaign::{Extent, failures, run, singles};
use wix_visitor_proof::model::{Behaviour, Call, Config, Fault, Start};

#[track_caller]
fn holds(configs: &[Config]) {
    assert!(!configs.is_empty());
    assert_eq!(failures(&run(configs, |_, _| {}), Extent::Full), [""; 0]);
}

fn everywhere(config: impl Fn(Behaviour) -> Config) -> Vec<Config> {
    Behaviour::ALL.into_iter().map(config).collect()
}

#[test]
fn no_single_fault_costs_more_or_less_than_is_said() {
    let with = |faults: Vec<Fault>| everywhere(|behaviour| Config::new(behaviour, &faults));
    holds(&singles().into_iter().flat_map(with).collect::<Vec<_>>());
}

#[test]
fn a_new_visitor_is_lost_by_a_failover_at_every_endpoint_and_by_nothing_else_that_spares_another() {
    let with = |faults: Vec<Fault>| everywhere(|behaviour| Config::new(behaviour, &faults).from(Start::Absent));
    holds(&singles().into_iter().flat_map(with).collect::<Vec<_>>());
}

#[test]
fn a_new_visitor_that_no_store_has_is_lost_with_the_one_process_that_has_it() {
    for fault in [Fault::Crash, Fault::Pause] {
        holds(&everywhere(|behaviour| Config::new(behaviour, &[Fault::Transient, fault]).from(Start::Absent)));
    }
}

#[test]
fn three_instances_renew_with_one_grant_and_mint_once() {
    holds(&everywhere(|behaviour| Config::new(behaviour, &[]).among(3)));
    holds(&everywhere(|behaviour| Config::new(behaviour, &[]).among(3).from(Start::Absent)));
}

#[test]
fn two_callers_of_one_instance_or_of_two_are_served_by_one_grant() {
    use Call::{Reject, Renew, Serve};
    for rounds in [[Serve, Serve, Serve], [Serve, Reject, Serve], [Serve, Renew, Serve]] {
        for instances in [1, 2] {
            let config = |behaviour| Config::new(behaviour, &[Fault::Call]).among(instances).over(&rounds);
            holds(&everywhere(config));
        }
    }
}

#[test]
fn a_crash_after_a_401_is_survived_where_a_grace_lets_the_last_token_be_redeemed_again() {
    use Call::{Reject, Serve};
    holds(&everywhere(|behaviour| Config::new(behaviour, &[Fault::Crash]).over(&[Serve, Reject, Serve])));
}

#[test]
fn a_failed_grant_on_a_store_that_went_back_two_writes_loses_nobody() {
    for fault in [Fault::Transient, Fault::RequestLost, Fault::ReplyLost] {
        holds(&everywhere(|behaviour| Config::new(behaviour, &[fault, Fault::FailoverTwo])));
    }
}
