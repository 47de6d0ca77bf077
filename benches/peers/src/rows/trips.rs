//! `trips`: how often the store is asked, for a hit, for a renewal of what is in memory, and for somebody who waits for it.

use tokio::task::JoinSet;
use wix_visitor_core::Visitors;
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::{FakeEndpoint, FaultyStore};

use crate::{
    Result,
    rounds::{Measured, Role, Rounds},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    site::{client_id, runtime},
};

const HIT: &str = "for a hit";
const RENEWAL: &str = "for a warm renewal";
const WAITERS: &str = "for 100 who wait for it";

pub(crate) fn row() -> Row {
    Row {
        id: "trips",
        work: "store round trips",
        unit: Unit::Count,
        goals: vec![
            Goal(Of::Counted(HIT), Bound::Equal(0.0)),
            Goal(Of::Counted(RENEWAL), Bound::Equal(2.0)),
            Goal(Of::Counted(WAITERS), Bound::Equal(0.0)),
        ],
        run: Box::new(run),
    }
}

fn run(_: &Rounds) -> Result<Outcome> {
    let [hit, renewal, waiters] = runtime()?.block_on(trips())?;
    Ok(Outcome {
        sides: vec![
            Measured::counted(Role::Ours, "wix-visitor", hit + renewal + waiters),
            Measured::counted(Role::Limit, "claim and commit", 2.0),
        ],
        counted: vec![(HIT, hit), (RENEWAL, renewal), (WAITERS, waiters)],
        ..Outcome::default()
    })
}

async fn trips() -> Result<[f64; 3]> {
    let (endpoint, store) = (FakeEndpoint::default(), FaultyStore::new(MemoryStore::default()));
    let trips = || (store.loads() + store.swaps()) as f64;
    let site = Visitors::builder(client_id()?, endpoint.clone(), store.clone()).build()?;
    let visitor = site.visitor("default");
    visitor.authorization().await?;

    let before = trips();
    visitor.authorization().await?;
    let hit = trips() - before;

    let before = trips();
    visitor.renew().await?;
    let renewal = trips() - before;

    // One of them renews, and the others wait for it.
    let before = trips();
    endpoint.close();
    let mut calls = JoinSet::new();
    for _ in 0..101 {
        let visitor = visitor.clone();
        calls.spawn(async move { visitor.renew().await });
    }
    endpoint.arrived().await;
    endpoint.open();
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok([hit, renewal, trips() - before - renewal])
}
