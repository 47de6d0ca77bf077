//! Moving between stores that are in use, ended at random moments: nobody is lost, wherever from and wherever to.
//!
//! The same a hundred times on each route: `cargo xtask prove migrate`.

use wix_visitor_tests::migration::{Extent, IN_MEMORY, SHARED, campaign, findings, table};

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn killed_again_and_again_a_move_brings_everybody_over() {
    let extent = Extent { kills: 2, visitors: 30, at_first: 30, seed: 7 };
    let tallies = campaign(SHARED.into_iter().chain(IN_MEMORY), extent, |_, _| ()).await;
    eprintln!("{}", table(&tallies));
    let findings = findings(&tallies);
    assert!(findings.is_empty(), "{findings}");
    for (name, tally) in &tallies {
        assert!(tally.kills >= extent.kills && tally.renewed > 30, "{name}: {tally:?}");
    }
}
