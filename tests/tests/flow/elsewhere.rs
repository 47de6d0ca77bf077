//! What other instances do to a visitor that is in use here.

use wix_visitor_core::{Policy, Role, StoreErrorKind};
use wix_visitor_testkit::Rotation;
use wix_visitor_tests::announcing::Announcing;
use wix_visitor_tests::instance::{Instance, hours, secs};

/// Two instances that both hold the visitor, and listen where their store lets them.
async fn two(store: Option<&Announcing>) -> (Instance, Instance) {
    let here = match store {
        Some(store) => Instance::with_store(store.clone(), Rotation::Same, Policy::default()),
        None => Instance::new(Rotation::Same),
    };
    let there = here.another();
    assert_eq!((here.who().await.unwrap(), there.who().await.unwrap()), (1, 1));
    tokio::time::sleep(secs(2)).await;
    (here, there)
}

#[tokio::test(start_paused = true)]
async fn c10_a_sign_in_a_sign_out_and_a_forget_elsewhere_are_seen_within_a_second() {
    let (here, there) = two(Some(&Announcing::default())).await;
    let (member, tokens) = here.sign_in(Role::Member);
    here.visitor().set_tokens(tokens).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(there.who().await.unwrap(), member);
    there.visitor().forget().await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert!(!here.visitor().logged_in().await.unwrap());
    assert_ne!(here.who().await.unwrap(), member);
}

#[tokio::test(start_paused = true)]
async fn c10_where_nobody_tells_a_visitor_in_use_is_looked_up_every_few_seconds() {
    let (here, there) = two(None).await;
    let (member, tokens) = here.sign_in(Role::Member);
    here.visitor().set_tokens(tokens).await.unwrap();
    let mut seen_after = None;
    for second in 0..20 {
        if there.who().await.unwrap() == member {
            seen_after = Some(second);
            break;
        }
        tokio::time::sleep(secs(1)).await;
    }
    assert!(seen_after.is_some_and(|seconds| (1..=6).contains(&seconds)), "{seen_after:?}");
}

#[tokio::test(start_paused = true)]
async fn c10_what_happened_while_nobody_listened_is_seen_as_without_announcements() {
    let store = Announcing::default();
    let (here, there) = two(Some(&store)).await;
    store.cut();
    tokio::task::yield_now().await;
    let (member, tokens) = here.sign_in(Role::Member);
    here.visitor().set_tokens(tokens).await.unwrap();
    let mut seen = false;
    for _ in 0..7 {
        seen |= there.who().await.unwrap() == member;
        tokio::time::sleep(secs(1)).await;
    }
    assert!(seen);
    assert_eq!(store.listeners(), 2, "both have come back");
}

#[tokio::test(start_paused = true)]
async fn a_visitor_in_use_costs_no_look_where_changes_are_told_and_none_for_ones_own() {
    let store = Announcing::default();
    let (here, _there) = two(Some(&store)).await;
    // What happened before it listened is looked for once.
    tokio::time::sleep(secs(10)).await;
    assert_eq!(here.who().await.unwrap(), 1);
    tokio::time::sleep(secs(1)).await;
    let loads = here.store.loads();
    for _ in 0..300 {
        assert_eq!(here.who().await.unwrap(), 1);
        tokio::time::sleep(secs(10)).await;
    }
    assert_eq!(here.store.loads(), loads, "nothing happened elsewhere");
    let swaps = here.store.swaps();
    here.visitor().renew().await.unwrap();
    tokio::time::sleep(secs(2)).await;
    assert_eq!((here.store.loads(), here.store.swaps()), (loads, swaps + 2), "what is told of is one's own doing");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_elsewhere_costs_one_look() {
    let (here, there) = two(Some(&Announcing::default())).await;
    let loads = there.store.loads();
    here.visitor().renew().await.unwrap();
    tokio::time::sleep(secs(2)).await;
    assert_eq!(there.store.loads(), loads + 1);
    assert_eq!(there.refresh_token().await, here.refresh_token().await);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_claim_of_another_hears_of_its_end() {
    let (here, there) = two(Some(&Announcing::default())).await;
    here.expire().await;
    here.endpoint.set_latency(secs(9));
    let loads = there.store.loads();
    let start = tokio::time::Instant::now();
    let first = here.ask();
    tokio::time::sleep(secs(1)).await;
    let second = there.ask();
    assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (1, 1));
    assert!(start.elapsed() < secs(9) + std::time::Duration::from_millis(50), "{:?}", start.elapsed());
    assert_eq!(here.endpoint.renewals(), 1);
    assert!(there.store.loads() - loads < 20);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_changes_nothing_and_holds_up_nothing() {
    let (here, there) = two(None).await;
    there.store.break_down(StoreErrorKind::Unavailable);
    for _ in 0..20 {
        assert_eq!(there.who().await.unwrap(), 1);
        tokio::time::sleep(secs(1)).await;
    }
    there.store.heal();
    tokio::time::sleep(hours(3)).await;
    assert_eq!(there.who().await.unwrap(), 1);
    tokio::time::sleep(secs(1)).await;
    assert_eq!((here.endpoint.mints(), here.endpoint.renewals()), (1, 0), "looking is not renewing");
    tokio::time::sleep(secs(20 * 60)).await;
    assert_eq!(there.who().await.unwrap(), 1);
    tokio::time::sleep(secs(20 * 60)).await;
    assert_eq!(there.who().await.unwrap(), 1);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(here.endpoint.renewals(), 1, "nor does it keep from renewing");
}

#[tokio::test(start_paused = true)]
async fn a_look_finds_what_a_failover_took_and_puts_it_back() {
    let store = Announcing::silent();
    let (here, there) = two(Some(&store)).await;
    store.lose_all();
    tokio::time::sleep(secs(6)).await;
    assert_eq!(there.who().await.unwrap(), 1, "in use");
    tokio::time::sleep(secs(1)).await;
    assert_eq!(here.another().who().await.unwrap(), 1, "an instance that knew nothing");
    assert_eq!(here.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_its_last_handle_a_site_stops_listening() {
    let store = Announcing::default();
    let (here, there) = two(Some(&store)).await;
    assert_eq!(store.listeners(), 2);
    drop(here);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(store.listeners(), 1);
    there.visitors.shutdown().await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(store.listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn c10_a_sign_in_or_sign_out_elsewhere_is_seen_while_a_renewal_is_under_way_here() {
    for announced in [true, false] {
        for sign_in in [true, false] {
            let store = announced.then(Announcing::default);
            let (here, there) = two(store.as_ref()).await;
            tokio::time::sleep(hours(4) - secs(600)).await;
            there.endpoint.close();
            // Due, and still usable: the renewal in the background hangs.
            assert_eq!(there.who().await.unwrap(), 1);
            there.endpoint.arrived().await;
            let chosen = if sign_in {
                let (member, tokens) = here.sign_in(Role::Member);
                here.visitor().set_tokens(tokens).await.unwrap();
                Some(member)
            } else {
                here.visitor().forget().await.unwrap();
                None
            };
            let mut seen_after = None;
            for tenth in 0..80 {
                let gone = there.visitor().tokens().await.unwrap() == wix_visitor_core::Tokens::default();
                let now = if gone { None } else { Some(there.who().await.unwrap()) };
                if now == chosen {
                    seen_after = Some(tenth);
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            let most = if announced { 10 } else { 60 };
            assert!(seen_after.is_some_and(|tenths| tenths <= most), "{announced} {sign_in}: {seen_after:?}");
            // What the renewal brings in the end changes nothing of it.
            there.endpoint.open();
            tokio::time::sleep(secs(30)).await;
            for instance in [&here, &there] {
                match chosen {
                    Some(member) => assert_eq!(instance.who().await.unwrap(), member),
                    None => assert_ne!(instance.who().await.unwrap(), 1),
                }
            }
        }
    }
}
