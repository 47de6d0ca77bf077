//! Prints how long ten thousand callers wait for one grant, as a table.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "its output is what it is for")]

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wix_visitor_core::{Visitor, Visitors};
use wix_visitor_redis::RedisStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, Rotation};
use wix_visitor_tests::ahead_clock::AheadClock;
use wix_visitor_tests::instance::{client_id, hours};
use wix_visitor_tests::redis::ServerOptions;

const CALLERS: usize = 10_000;
const ENDPOINT: Duration = Duration::from_millis(200);
const ROUNDS: usize = 9;
/// Of the endpoint's own time, for those who wait in the instance that asks; in another one for the longest pause between two looks
/// besides.
const HERE: f64 = 1.2;
const LOOK: Duration = Duration::from_millis(1_000);

/// How long it takes until the last of so many callers is served.
async fn herd(visitor: &Visitor) -> Duration {
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLERS {
        let visitor = visitor.clone();
        calls.spawn(async move { visitor.authorization().await.expect("a token") });
    }
    calls.join_all().await;
    start.elapsed()
}

#[tokio::main]
async fn main() {
    let server = ServerOptions::default().start().await;
    let (clock, endpoint) = (AheadClock::default(), FakeEndpoint::new(Rotation::New));
    endpoint.set_latency(ENDPOINT);
    let mut instances = Vec::new();
    let key = secret_key("visitor");
    for _ in 0..2 {
        let store = RedisStore::connect(&server.url()).await.expect("a server");
        let site =
            Visitors::builder(client_id(), endpoint.clone(), store).clock(clock.clone()).build().expect("a site");
        let visitor = site.visitor(&key);
        visitor.authorization().await.expect("a token");
        instances.push((site, visitor));
    }
    // They begin to listen a second after their first use.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        clock.advance(hours(5));
        let renewals = endpoint.renewals();
        let (first, second) = (&instances[0].1, &instances[1].1);
        let waiting = async {
            // Until the claim stands.
            while endpoint.renewals() == renewals && !first.status().await.expect("a status").claimed {
                tokio::task::yield_now().await;
            }
            herd(second).await
        };
        let (took, waited) = tokio::join!(herd(first), waiting);
        here.push(took);
        there.push(waited);
        assert_eq!(endpoint.renewals(), renewals + 1, "one grant for both");
    }
    here.sort_unstable();
    there.sort_unstable();
    let (here, there) = (here[ROUNDS / 2], there[ROUNDS / 2]);
    let times = |time: Duration| time.as_secs_f64() / ENDPOINT.as_secs_f64();
    let verdict = |holds: bool| if holds { "pass" } else { "FAIL" };
    let most = HERE + times(LOOK);
    println!("| {CALLERS} callers, served | to the endpoint's own time | at most | |\n| --- | --- | --- | --- |");
    println!("| in the instance that asks | {:.2} | {HERE} | {} |", times(here), verdict(times(here) <= HERE));
    println!("| in another one, on Redis | {:.2} | {most} | {} |", times(there), verdict(times(there) <= most));
    for (site, _) in instances {
        site.shutdown().await.expect("all is saved");
    }
}
