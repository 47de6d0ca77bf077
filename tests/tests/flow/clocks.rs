//! Clocks that are wrong, jump, or stand still.

use std::time::Duration;

use wix_visitor_core::{
    ClientId, Grant, GrantError, GrantFailure, GrantReply, Timestamp, TokenEndpoint, Visitors, async_trait,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, Plan, Rotation, TestClock};
use wix_visitor_tests::instance::{Instance, client_id, hours, secs};

const TEN_YEARS: u64 = 10 * 365 * 24;

#[tokio::test(start_paused = true)]
async fn a_clock_in_1970_or_ten_years_ahead_loses_nothing_mints_nothing_and_never_loops() {
    for there in [Timestamp::from_secs(0), Timestamp::from_secs(1_767_225_600) + hours(TEN_YEARS)] {
        let site = Instance::new(Rotation::Single);
        let identity = site.who().await.unwrap();
        let right = site.now();
        for round in 0..3 {
            site.clock.set(there);
            for restart in [false, true] {
                let instance = if restart { site.another() } else { site.clone() };
                let before = site.endpoint.grants();
                for _ in 0..200 {
                    assert_eq!(instance.who().await.unwrap(), identity);
                    tokio::time::sleep(secs(1)).await;
                }
                let grants = site.endpoint.grants() - before;
                assert!(grants <= 2, "{grants} grants in 200 s, round {round}, restart {restart}");
            }
            site.clock.set(right + secs(1_000) * (round + 1));
            for _ in 0..200 {
                assert_eq!(site.who().await.unwrap(), identity);
                tokio::time::sleep(secs(1)).await;
            }
            assert_eq!(site.another().who().await.unwrap(), identity);
        }
        assert_eq!(site.endpoint.mints(), 1);
        assert!(site.endpoint.grants() <= 20, "{} grants", site.endpoint.grants());
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_during_a_grant_harms_nobody() {
    for jump in [hours(48), hours(TEN_YEARS)] {
        for back in [false, true] {
            let site = Instance::new(Rotation::Strict);
            let identity = site.who().await.unwrap();
            site.expire().await;
            site.endpoint.close();
            let call = site.ask();
            site.endpoint.arrived().await;
            if back {
                site.clock.jump_back(jump)
            } else {
                site.clock.jump(jump)
            }
            site.endpoint.open();
            assert_eq!(call.await.unwrap().unwrap(), identity);
            tokio::time::sleep(secs(60)).await;
            assert_eq!(site.who().await.unwrap(), identity);
            assert_eq!(site.another().who().await.unwrap(), identity);
            assert_eq!(site.endpoint.mints(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_between_claim_and_grant_claims_anew() {
    // The monotonic clock stands still in a sleeping machine, so the other one has to give the sleep away.
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.expire().await;
    let swaps = site.store.swaps();
    let clock = site.clock.clone();
    site.store.decide(move |_, number| {
        if number == swaps + 1 {
            clock.jump(secs(20));
        }
        None
    });
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.store.swaps() - swaps, 3, "claim, claim again, commit");
    assert_eq!(site.endpoint.renewals(), 1);
}

fn busy() -> Plan {
    Plan::Fail(GrantError::new(GrantFailure::Transient, "busy"))
}

#[tokio::test(start_paused = true)]
async fn a_pause_written_by_a_clock_far_ahead_holds_up_no_process_that_comes_later() {
    for right in [hours(0), hours(50 * 365 * 24)] {
        let site = Instance::new(Rotation::Same);
        let identity = site.who().await.unwrap();
        site.clock.jump(right);
        site.expire().await;
        site.clock.jump(hours(TEN_YEARS));
        site.endpoint.plan(busy());
        site.who().await.unwrap_err();
        site.clock.jump_back(hours(TEN_YEARS) + right);
        // Each a process of its own, as runs of a command are: none lives as long as a pause.
        assert_eq!(site.another().who().await.unwrap(), identity);
        assert_eq!(site.another().who().await.unwrap(), identity);
        assert_eq!(site.endpoint.mints(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_far_apart_share_no_pause_but_each_process_keeps_to_it() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    site.expire().await;
    site.endpoint.plan_always(Some(busy()));
    let other = site.another_with(TestClock::default());
    other.clock.jump(hours(TEN_YEARS));
    let before = site.endpoint.grants();
    for _ in 0..600 {
        for instance in [&site, &other] {
            instance.who().await.unwrap_err();
        }
        tokio::time::sleep(secs(1)).await;
    }
    // 1, 2, 4 … 60 s: fifteen or so in ten minutes, for each of two clocks.
    let grants = site.endpoint.grants() - before;
    assert!(grants <= 40, "{grants} grants in 600 s");
}

#[tokio::test(start_paused = true)]
async fn c13_who_asks_after_the_machine_slept_between_reply_and_commit_is_not_served_what_ended_meanwhile() {
    let site = Instance::new(Rotation::New);
    let identity = site.who().await.unwrap();
    site.expire().await;
    // The claim gets through, the commit is held.
    site.store.allow(1);
    let first = site.visitor().authorization().await.unwrap();
    site.store.held().await;
    site.clock.jump(hours(5));
    let second = site.visitor();
    let second = tokio::spawn(async move { second.authorization().await });
    tokio::task::yield_now().await;
    site.store.open();
    let second = second.await.unwrap().unwrap();
    assert_eq!(site.identity(&second), identity);
    assert_ne!(first.header(), second.header());
    assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_machine_slept_through_is_over() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.expire().await;
    let busy = GrantError::new(GrantFailure::Transient, "busy").with_retry_after(Some(secs(1800)));
    site.endpoint.plan(Plan::Fail(busy));
    site.who().await.unwrap_err();
    tokio::time::sleep(secs(60)).await;
    site.who().await.unwrap_err();
    // Asleep, only the wall clock goes on.
    site.clock.jump(hours(2));
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.endpoint.mints(), 1);
}

/// An endpoint whose reply is there after a second, for a client that still has to take it off its connection.
#[derive(Debug)]
struct Unhurried(FakeEndpoint);

#[async_trait]
impl TokenEndpoint for Unhurried {
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    async fn grant(&self, client_id: &ClientId, grant: &Grant, timeout: Duration) -> Result<GrantReply, GrantError> {
        let reply = self.0.grant(client_id, grant, timeout).await;
        tokio::time::sleep(secs(1)).await;
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        reply
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_came_while_the_process_stood_still_is_kept() {
    let endpoint = FakeEndpoint::new(Rotation::Strict);
    let visitors = Visitors::builder(client_id(), Unhurried(endpoint.clone()), MemoryStore::new()).build().unwrap();
    let visitor = visitors.visitor(secret_key("visitor"));
    endpoint.close();
    let call = tokio::spawn(async move { visitor.authorization().await.map(|_| visitor) });
    endpoint.arrived().await;
    endpoint.open();
    for _ in 0..5 {
        tokio::task::yield_now().await; // until the grant has acted
    }
    // Past the reply, the deadline and the lease, in one go.
    tokio::time::advance(secs(25)).await;
    let visitor = call.await.unwrap().unwrap();
    visitor.renew().await.unwrap();
    assert_eq!((endpoint.mints(), endpoint.renewals()), (1, 1));
}
