//! Moving between stores that are in use, ended at random moments: nobody is lost, wherever from and wherever to.
//!
//! The same a hundred times on each route: `cargo xtask prove migrate`.

use wix_visitor_tests::migration::{Extent, Kind, SHARED, campaign, findings, table};

/// What a store in memory makes different is the same wherever to.
const IN_MEMORY: [(Kind, Kind); 2] = [(Kind::Memory, Kind::Sqlite), (Kind::File, Kind::Memory)];

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn killed_again_and_again_a_move_brings_everybody_over() {
    wix_visitor_tests::trace::to_stderr();
    let extent = Extent { kills: 2, visitors: 30, at_first: 30, seed: 7 };
    let tallies = campaign(SHARED.into_iter().chain(IN_MEMORY), extent, |_, _| ()).await;
    eprintln!("{}", table(&tallies));
    let findings = findings(&tallies);
    assert!(findings.is_empty(), "{findings}");
    for (name, tally) in &tallies {
        assert!(tally.kills >= extent.kills && tally.renewed > 30, "{name}: {tally:?}");
    }
}
