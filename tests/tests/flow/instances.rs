//! Several instances on one store: claims, takeovers, races, and a store that forgets.

use wix_visitor_core::{ErrorKind, EventKind, GrantError, GrantFailure, Policy, Role, StoreErrorKind};
use wix_visitor_testkit::{Plan, Rotation, StoreFault, StoreOperation, TestClock};
use wix_visitor_tests::instance::{Instance, drain, hours, secs};

#[tokio::test(start_paused = true)]
async fn parallel_first_calls_on_many_instances_make_one_visitor() {
    let site = Instance::new(Rotation::Same);
    site.endpoint.set_latency(secs(2));
    let instances: Vec<_> = (0..20).map(|_| site.another()).collect();
    let calls: Vec<_> = instances.iter().map(Instance::ask).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_visitor_on_many_instances_is_renewed_once() {
    for rotation in [Rotation::Same, Rotation::Strict] {
        let site = Instance::new(rotation);
        let instances: Vec<_> = (0..20).map(|_| site.another()).collect();
        for instance in &instances {
            assert_eq!(instance.who().await.unwrap(), 1);
        }
        site.expire().await;
        site.endpoint.set_latency(secs(2));
        let calls: Vec<_> = instances.iter().map(Instance::ask).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), 1);
        }
        assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 1), "{rotation:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_a_holder_that_died_is_taken_over_after_a_lease_and_not_before() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.expire().await;
    let dead = site.another();
    dead.store
        .decide(|operation, number| (operation == StoreOperation::Swap && number > 1).then_some(StoreFault::Hang));
    dead.endpoint.plan(Plan::Hang);
    let call = dead.ask();
    tokio::time::sleep(secs(1)).await;
    call.abort();
    let start = tokio::time::Instant::now();
    assert_eq!(site.who().await.unwrap(), identity);
    let waited = start.elapsed();
    assert!((secs(14)..secs(17)).contains(&waited), "{waited:?}");
    assert_eq!(site.endpoint.renewals(), 1);
}

#[tokio::test(start_paused = true)]
async fn c1_an_endpoint_slower_than_the_lease_is_never_asked_by_two_at_once() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.expire().await;
    let other = site.another();
    site.endpoint.set_latency(secs(60));
    let (first, second) = (site.ask(), other.ask());
    for _ in 0..60 {
        assert!(site.endpoint.in_flight() <= 1);
        tokio::time::sleep(secs(1)).await;
    }
    for call in [first, second] {
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Busy), "{error}");
    }
    site.endpoint.set_latency(secs(1));
    tokio::time::sleep(secs(90)).await;
    assert_eq!((site.who().await.unwrap(), other.who().await.unwrap()), (identity, identity));
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn c3_a_wait_that_runs_out_is_an_error_or_a_usable_token_and_never_a_grant() {
    let mut policy = Policy::default();
    policy.wait = secs(5);
    let site = Instance::with_policy(Rotation::Same, policy);
    let identity = site.who().await.unwrap();
    let (late, usable) = (site.another(), site.another());
    site.expire().await;
    assert_eq!((usable.who().await.unwrap(), site.who().await.unwrap()), (identity, identity));
    // A renewal that was not needed, and takes its time.
    site.endpoint.set_latency(secs(9));
    let visitor = site.visitor();
    let holder = tokio::spawn(async move { visitor.renew().await });
    tokio::time::sleep(secs(1)).await;
    let before = site.endpoint.in_flight();
    let rejected = late.visitor().tokens().await.unwrap().access.unwrap().value;
    let waiting = late.visitor().renew_if(rejected.expose()).await.unwrap_err();
    assert_eq!(waiting.kind(), ErrorKind::Busy);
    assert_eq!(usable.who().await.unwrap(), identity, "who has a usable token does not wait");
    assert_eq!((before, site.endpoint.in_flight()), (1, 1));
    assert_eq!(holder.await.unwrap().unwrap_err().kind(), ErrorKind::Busy, "its own wait is no longer");
    tokio::time::sleep(secs(10)).await;
    assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn c5_a_store_that_is_down_is_known_in_the_time_of_one_operation_and_is_no_busy_lock() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    site.expire().await;
    for fault in [StoreFault::Hang, StoreFault::Fail(StoreErrorKind::Unavailable)] {
        let other = site.another();
        other.store.decide(move |_, _| Some(fault.clone()));
        let start = tokio::time::Instant::now();
        let error = other.who().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(start.elapsed() <= site.visitors.policy().save, "{:?}", start.elapsed());
    }
    assert_eq!(site.endpoint.renewals(), 0);
}

#[tokio::test(start_paused = true)]
async fn c2_c6_c7_a_late_holder_changes_nothing_and_its_token_is_kept_aside() {
    // Paused past its lease with a reply in hand, while another instance renewed.
    let site = Instance::new(Rotation::New);
    let identity = site.who().await.unwrap();
    site.expire().await;
    let late = site.another();
    late.store.decide(|operation, number| {
        (operation == StoreOperation::Swap && number > 1).then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    assert_eq!(late.who().await.unwrap(), identity);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(site.who().await.unwrap(), identity, "taken over after a lease");
    let winner = site.refresh_token().await;
    late.store.heal();
    tokio::time::sleep(secs(10)).await;
    let reader = site.another();
    assert_eq!(reader.refresh_token().await, winner, "the newer token stays");
    let status = reader.visitor().status().await.unwrap();
    assert_eq!((status.alternates, status.generation), (2, 1), "the loser's token and the spent one");
    assert_eq!(late.who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_followed_by_the_alternates_and_nobody_is_lost() {
    let site = Instance::new(Rotation::New);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.who().await.unwrap();
    site.expire().await;
    // The main token dies for a reason of the endpoint's own; the one before it is still good.
    site.endpoint.plan(Plan::Fail(GrantError::new(GrantFailure::Refused, "invalid_grant")));
    let authorization = site.visitor().authorization().await.unwrap();
    assert_eq!(site.identity(&authorization), identity);
    assert!(authorization.lost().is_none());
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn c8_a_refusal_deletes_nothing_that_somebody_else_has_renewed_meanwhile() {
    let site = Instance::new(Rotation::Strict);
    let identity = site.who().await.unwrap();
    site.expire().await;
    let slow = site.another();
    slow.endpoint.close();
    let call = slow.ask();
    slow.endpoint.arrived().await;
    // Meanwhile the application brings newer tokens of another instance.
    let (member, tokens) = site.sign_in(wix_visitor_core::Role::Member);
    site.visitor().set_tokens(tokens).await.unwrap();
    site.endpoint.revoke(identity);
    site.endpoint.open();
    assert_eq!(call.await.unwrap().unwrap(), member, "the refused instance adopts what stands");
    assert_eq!(site.another().who().await.unwrap(), member);
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_everything_gets_the_visitor_back_from_memory() {
    let site = Instance::new(Rotation::Single);
    let identity = site.who().await.unwrap();
    // A failover to an empty replica: the same instance, its snapshot, and a store that shows nothing.
    let bare = wix_visitor_memory::MemoryStore::new();
    let moved = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let store = Switching {
        before: std::sync::Arc::new(wix_visitor_memory::MemoryStore::new()),
        after: std::sync::Arc::new(bare),
        moved: moved.clone(),
    };
    let visitors = wix_visitor_core::Visitors::builder(
        wix_visitor_tests::instance::client_id(),
        site.endpoint.clone(),
        store.clone(),
    )
    .clock(site.clock.clone())
    .build()
    .unwrap();
    let visitor = visitors.visitor(&*site.key);
    let first = site.endpoint.identity(visitor.authorization().await.unwrap());
    moved.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(hours(5)).await;
    assert_eq!(site.endpoint.identity(visitor.authorization().await.unwrap()), first);
    let again =
        wix_visitor_core::Visitors::builder(wix_visitor_tests::instance::client_id(), site.endpoint.clone(), store)
            .clock(site.clock.clone())
            .build()
            .unwrap();
    let back = again.visitor(&*site.key).authorization().await.unwrap();
    assert_eq!(site.endpoint.identity(&back), first, "and it is in the store");
    assert_ne!(first, Some(identity));
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_its_store_lost_too_long_ago_is_reported_by_event_and_result() {
    use wix_visitor_core::LossReason;
    for (days, lost) in [(14, false), (16, true)] {
        let site = Instance::new(Rotation::Same);
        let moved = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let store = Switching { before: Default::default(), after: Default::default(), moved: moved.clone() };
        let visitors =
            wix_visitor_core::Visitors::builder(wix_visitor_tests::instance::client_id(), site.endpoint.clone(), store)
                .clock(site.clock.clone())
                .build()
                .unwrap();
        let mut events = visitors.events();
        let visitor = visitors.visitor(&*site.key);
        let first = visitor.authorization().await.unwrap();
        moved.store(true, std::sync::atomic::Ordering::SeqCst);
        tokio::time::sleep(hours(days * 24)).await;
        let next = visitor.authorization().await.unwrap();
        assert_eq!(site.identity(&next) != site.identity(&first), lost, "after {days} days");
        assert_eq!(next.lost().map(|lost| lost.reason), lost.then_some(LossReason::Superseded));
        let told = drain(&mut events).iter().filter(|event| matches!(event, EventKind::VisitorLost(_))).count();
        assert_eq!(told, usize::from(lost));
    }
}

#[derive(Clone, Debug)]
struct Switching {
    before: std::sync::Arc<wix_visitor_memory::MemoryStore>,
    after: std::sync::Arc<wix_visitor_memory::MemoryStore>,
    moved: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Switching {
    fn now(&self) -> &wix_visitor_memory::MemoryStore {
        if self.moved.load(std::sync::atomic::Ordering::SeqCst) { &self.after } else { &self.before }
    }
}

#[wix_visitor_core::async_trait]
impl wix_visitor_core::TokenStore for Switching {
    async fn load(
        &self,
        key: &wix_visitor_core::StoreKey,
    ) -> Result<Option<wix_visitor_core::Stored>, wix_visitor_core::StoreError> {
        self.now().load(key).await
    }

    async fn compare_exchange(
        &self,
        key: &wix_visitor_core::StoreKey,
        expected: Option<&wix_visitor_core::Etag>,
        new: &wix_visitor_core::Stored,
        keep: std::time::Duration,
    ) -> Result<wix_visitor_core::Exchange, wix_visitor_core::StoreError> {
        self.now().compare_exchange(key, expected, new, keep).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_any_write_changes_nothing() {
    for lost in 1..=2 {
        for rotation in [Rotation::Same, Rotation::Single] {
            let site = Instance::new(rotation);
            let identity = site.who().await.unwrap();
            site.expire().await;
            let swaps = site.store.swaps();
            site.store.decide(move |operation, number| {
                (operation == StoreOperation::Swap && number == swaps + lost).then_some(StoreFault::LoseAnswer)
            });
            let start = tokio::time::Instant::now();
            assert_eq!(site.who().await.unwrap(), identity);
            assert!(start.elapsed() < secs(1));
            assert_eq!(site.another().who().await.unwrap(), identity);
            assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 1), "answer {lost} lost, {rotation:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_once_at_a_commit_or_a_sign_in_is_asked_again_at_once() {
    let site = Instance::new(Rotation::Single);
    let identity = site.who().await.unwrap();
    site.expire().await;
    let mut events = site.visitors.events();
    let swaps = site.store.swaps();
    site.store.decide(move |operation, number| {
        (operation == StoreOperation::Swap && number == swaps + 2)
            .then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    assert_eq!(site.who().await.unwrap(), identity);
    site.visitors.shutdown().await.unwrap();
    assert!(drain(&mut events).iter().all(|event| !matches!(event, EventKind::SavePending(_))));
    let (member, tokens) = site.sign_in(wix_visitor_core::Role::Member);
    let other = site.another();
    other.store.plan_swap(StoreFault::Fail(StoreErrorKind::Unavailable));
    other.visitor().set_tokens(tokens).await.unwrap();
    assert_eq!(site.another().who().await.unwrap(), member);
}

#[tokio::test(start_paused = true)]
async fn events_tell_the_story() {
    let site = Instance::new(Rotation::New);
    let mut events = site.visitors.events();
    site.who().await.unwrap();
    for _ in 0..4 {
        site.expire().await;
        site.who().await.unwrap();
    }
    let other = site.another();
    let mut others = other.visitors.events();
    other.who().await.unwrap();
    let told: Vec<_> = drain(&mut events).iter().map(name).collect();
    assert_eq!(told, ["minted", "renewed", "renewed", "renewed", "dropped", "renewed", "dropped"]);
    assert_eq!(drain(&mut others).iter().map(name).collect::<Vec<_>>(), ["adopted"]);
}

fn name(event: &EventKind) -> &'static str {
    match event {
        EventKind::Minted => "minted",
        EventKind::Renewed { .. } => "renewed",
        EventKind::Adopted => "adopted",
        EventKind::AlternateDropped => "dropped",
        _ => "other",
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_told_of_an_end_hears_of_the_new_beginning_elsewhere() {
    use wix_visitor_core::{OnRefused, Policy};
    let mut fails = Policy::default();
    fails.on_refused = OnRefused::Fail;
    for (role, policy, kind) in [
        (Role::Member, Policy::default(), ErrorKind::MemberSessionEnded),
        (Role::Visitor, fails, ErrorKind::VisitorLost),
    ] {
        let site = Instance::with_policy(Rotation::Same, policy);
        let (first, tokens) = site.sign_in(role);
        site.visitor().set_tokens(tokens).await.unwrap();
        site.expire().await;
        site.endpoint.revoke(first);
        for _ in 0..2 {
            assert_eq!(site.who().await.unwrap_err().kind(), kind);
        }
        let other = site.another();
        let (second, tokens) = other.sign_in(role);
        other.visitor().set_tokens(tokens).await.unwrap();
        assert_eq!(site.who().await.unwrap(), second);
        assert_eq!(site.endpoint.grants(), 1, "the refusal was asked for once");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_out_a_pause_is_served_by_the_renewal_of_another() {
    let site = Instance::new(Rotation::Single);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.endpoint.plan(Plan::Fail(GrantError::new(GrantFailure::Transient, "busy").with_retry_after(Some(secs(200)))));
    site.who().await.unwrap_err();
    // Somebody whose clock is ahead tries sooner.
    let ahead = site.another_with(TestClock::default());
    ahead.clock.set(site.now() + secs(260));
    assert_eq!(ahead.who().await.unwrap(), identity);
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.endpoint.renewals(), 1);
}
