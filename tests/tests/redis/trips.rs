//! What the flow asks of the store, as the server itself counts it.

use std::cell::Cell;
use std::collections::HashMap;

use wix_visitor_core::{Authorization, Visitors};
use wix_visitor_redis::RedisStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, Rotation};
use wix_visitor_tests::ahead_clock::AheadClock;
use wix_visitor_tests::instance::{client_id, hours};
use wix_visitor_tests::redis::{Server, ServerOptions, until};
use wix_visitor_tests::trace;

/// How many loads and how many swaps the server has carried out. A swap is a script: what that calls is counted too, but a load is no
/// part of one that succeeds.
fn trips(server: &Server) -> (u64, u64) {
    let text: String = server.command(&["INFO", "commandstats"]).unwrap();
    let calls: HashMap<&str, u64> = text
        .lines()
        .filter_map(|line| {
            let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name, numbers.split(',').next()?.parse().ok()?))
        })
        .collect();
    let of = |name: &str| calls.get(name).copied().unwrap_or(0);
    // The script is not known to a server that has just started: it comes once in full.
    (of("getex"), of("evalsha"))
}

#[tokio::test]
async fn a_hit_costs_no_trip_a_renewal_two_and_three_from_cold() {
    trace::to_stderr();
    let server = ServerOptions::default().start().await;
    let clock = AheadClock::default();
    let endpoint = FakeEndpoint::new(Rotation::New);
    let key = secret_key("visitor");
    let before = Cell::new((0, 0));
    // A caller is served before the commit, so what is awaited is waited for; that there is no more shows at the next count.
    let cost = async |loads, swaps, what: &str| {
        let (old, wanted) = (before.get(), (before.get().0 + loads, before.get().1 + swaps));
        until(what, || trips(&server).1 >= wanted.1).await;
        before.set(trips(&server));
        assert_eq!((before.get().0 - old.0, before.get().1 - old.1), (loads, swaps), "{what}");
    };
    let start = async || {
        let store = RedisStore::connect(&server.url()).await.unwrap();
        Visitors::builder(client_id(), endpoint.clone(), store).clock(clock.clone()).build().unwrap()
    };
    let identity = |answer: Authorization| endpoint.identity(&answer).unwrap();

    let here = start().await;
    // Lets the server know the script.
    here.visitor(secret_key("somebody")).authorization().await.unwrap();
    before.set(trips(&server));
    let visitor = here.visitor(&key);
    let first = identity(visitor.authorization().await.unwrap());
    cost(1, 2, "a mint: a load, the claim and the commit").await;

    for _ in 0..10_000 {
        assert_eq!(identity(visitor.authorization().await.unwrap()), first);
    }
    cost(0, 0, "hits").await;

    for _ in 0..3 {
        clock.advance(hours(5));
        assert_eq!(identity(visitor.authorization().await.unwrap()), first);
        cost(0, 2, "a renewal from a warm snapshot: the claim and the commit").await;
    }
    let elsewhere = start().await.visitor(&key);
    assert_eq!(identity(elsewhere.authorization().await.unwrap()), first);
    cost(1, 0, "what another has renewed is loaded once").await;

    clock.advance(hours(5));
    let cold = start().await.visitor(&key);
    assert_eq!(identity(cold.authorization().await.unwrap()), first);
    cost(1, 2, "a renewal from cold: a load, the claim and the commit").await;
    cost(0, 0, "and no more").await;
}
