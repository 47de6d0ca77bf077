//! Whatever befalls Redis: who has a usable token is served, nobody becomes another, nothing hangs, and all goes on by itself.
//!
//! The same a hundred times: `cargo xtask prove failover`.

use std::sync::Arc;

use tokio::task::JoinSet;
use wix_visitor_tests::redis::faults::{Fault, Tally, alone, clustered, report, rounds, sentinels};
use wix_visitor_tests::redis::{Cluster, SentinelGroup};

const TIMES: u32 = 3;

async fn befalls(fault: &dyn Fault) -> (String, Tally) {
    (fault.name().to_owned(), rounds(fault, TIMES, |_| ()).await)
}

fn all_hold(tallies: &[(String, Tally)]) {
    eprintln!("{}{}", report::table(tallies), report::failures(tallies));
    let findings = report::findings(tallies);
    assert!(findings.is_empty(), "{findings}");
    for (name, tally) in tallies {
        assert_eq!((tally.rounds, tally.recoveries.len()), (TIMES, TIMES as usize), "{name}");
        assert!(tally.asked > 100 && tally.renewed > 10, "{name}: there was nobody to be harmed");
    }
}

/// Each has a server of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn one_server() {
    let mut faults = JoinSet::new();
    for harm in alone::Harm::ALL {
        faults.spawn(async move { befalls(&alone::Alone::start(harm).await).await });
    }
    let tallies = faults.join_all().await;
    all_hold(&tallies);
    // The outages were outages.
    for (name, tally) in &tallies {
        let harmed = !tally.failed.is_empty();
        assert!(harmed || name.contains("again and again"), "{name}: nobody noticed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn c11_a_group_with_sentinels() {
    let group = Arc::new(SentinelGroup::start().await);
    let mut tallies = Vec::new();
    for harm in sentinels::Harm::ALL {
        tallies.push(befalls(&sentinels::Watched::new(&group, harm)).await);
    }
    all_hold(&tallies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn c11_a_cluster() {
    let cluster = Arc::new(Cluster::start().await);
    let mut tallies = Vec::new();
    for harm in clustered::Harm::ALL {
        tallies.push(befalls(&clustered::Clustered::new(&cluster, harm)).await);
    }
    all_hold(&tallies);
}
