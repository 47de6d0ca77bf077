//! Rows B1 to B11: races inside one process.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use wix_visitor_core::{
    Error, ErrorKind, Etag, Exchange, GrantError, GrantFailure, Policy, Role, StoreError, StoreKey, Stored, TokenStore,
    Visitors,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, Plan, Rotation, TestClock};
use wix_visitor_tests::instance::{Instance, client_id, hours, secs};

fn transient() -> Plan {
    Plan::Fail(GrantError::new(GrantFailure::Transient, "as planned"))
}

async fn herd(site: &Instance, callers: usize) -> Vec<Result<u64, Error>> {
    let calls: Vec<_> = (0..callers).map(|_| site.ask()).collect();
    let mut answers = Vec::with_capacity(callers);
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn b1_ten_thousand_callers_of_an_expired_token_make_one_grant() {
    let site = Instance::new(Rotation::Strict);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.endpoint.set_latency(secs(1));
    let answers = herd(&site, 10_000).await;
    assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() == identity));
    assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn b1_ten_thousand_first_calls_make_one_visitor() {
    let site = Instance::new(Rotation::Same);
    site.endpoint.set_latency(secs(1));
    let answers = herd(&site, 10_000).await;
    assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() == 1));
    assert_eq!(site.endpoint.grants(), 1);
}

#[tokio::test(start_paused = true)]
async fn b2_a_failing_endpoint_gets_one_grant_from_ten_thousand_and_none_before_the_pause_ends() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    site.expire().await;
    site.endpoint.set_latency(secs(1));
    site.endpoint.plan_always(Some(Plan::Fail(
        GrantError::new(GrantFailure::Transient, "busy").with_retry_after(Some(secs(20))),
    )));
    let answers = herd(&site, 10_000).await;
    let first = answers[0].as_ref().unwrap_err().to_string();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().to_string() == first));
    assert_eq!(site.endpoint.grants(), 2);
    for _ in 0..19 {
        tokio::time::sleep(secs(1)).await;
        let error = herd(&site, 100).await.remove(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_in().is_some());
        assert_eq!(site.another().who().await.unwrap_err().kind(), ErrorKind::Unavailable, "the pause is shared");
    }
    assert_eq!(site.endpoint.grants(), 2, "a grant before the pause ended");
    tokio::time::sleep(secs(7)).await;
    herd(&site, 100).await;
    assert_eq!(site.endpoint.grants(), 3);
}

#[tokio::test(start_paused = true)]
async fn b3_a_leader_that_goes_away_leaves_its_followers_served_by_one_grant() {
    let site = Instance::new(Rotation::Single);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.endpoint.close();
    let leader = site.ask();
    site.endpoint.arrived().await;
    let followers = tokio::spawn({
        let site = site.clone();
        async move { herd(&site, 100).await }
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    leader.abort();
    site.endpoint.open();
    assert!(followers.await.unwrap().into_iter().all(|answer| answer.unwrap() == identity));
    assert_eq!(site.endpoint.renewals(), 1);
}

#[tokio::test(start_paused = true)]
async fn b4_a_failed_renewal_never_hides_a_token_that_is_still_usable() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.endpoint.plan_always(Some(transient()));
    tokio::time::sleep(hours(4) - secs(90)).await; // 30 s left before it is no longer sent
    for answer in herd(&site, 1_000).await {
        assert_eq!(answer.unwrap(), identity);
    }
    tokio::time::sleep(secs(20)).await;
    assert_eq!(site.who().await.unwrap(), identity);
    assert!(site.endpoint.grants() >= 2, "it was tried");
}

#[tokio::test(start_paused = true)]
async fn b5_nobody_with_a_usable_token_waits_for_its_renewal() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    tokio::time::sleep(hours(4) - secs(120)).await;
    site.endpoint.close();
    let before = tokio::time::Instant::now();
    let loads = site.store.loads();
    for _ in 0..100 {
        site.who().await.unwrap();
    }
    assert_eq!((before.elapsed(), site.store.loads()), (Duration::ZERO, loads));
    site.endpoint.arrived().await;
    site.endpoint.open();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(site.endpoint.renewals(), 1, "and it was renewed meanwhile");
}

#[tokio::test(start_paused = true)]
async fn b5_nobody_waits_for_the_save_of_a_renewal_either() {
    let site = Instance::new(Rotation::Single);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.store.allow(1); // the claim; the commit is held
    let start = tokio::time::Instant::now();
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(start.elapsed(), Duration::ZERO);
    site.store.open();
    site.visitors.shutdown().await.unwrap();
    assert_eq!(site.another().who().await.unwrap(), identity);
    assert_eq!(site.endpoint.renewals(), 1);
}

#[tokio::test(start_paused = true)]
async fn b6_a_flight_that_ends_never_takes_a_later_one_with_it() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    for _ in 0..5 {
        site.expire().await;
        site.endpoint.close();
        let call = site.ask();
        site.endpoint.arrived().await;
        let more = tokio::spawn({
            let site = site.clone();
            async move { herd(&site, 10).await }
        });
        tokio::time::sleep(secs(1)).await;
        site.endpoint.open();
        call.await.unwrap().unwrap();
        assert!(more.await.unwrap().iter().all(Result::is_ok));
    }
    assert_eq!(site.endpoint.renewals(), 5);
}

#[tokio::test(start_paused = true)]
async fn b7_a_rejected_token_is_renewed_once_and_never_handed_back() {
    let site = Instance::new(Rotation::Same);
    let rejected = site.visitor().authorization().await.unwrap();
    site.endpoint.set_latency(secs(1));
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (visitor, rejected) = (site.visitor(), rejected.clone());
            tokio::spawn(async move { visitor.renew_if(&rejected).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_ne!(call.await.unwrap().header(), rejected.header());
    }
    assert_eq!(site.endpoint.renewals(), 1);
    let current = site.visitor().renew_if(&rejected).await.unwrap();
    assert_eq!(site.endpoint.renewals(), 1, "it is no longer the current one");
    site.visitor().renew_if(&current).await.unwrap();
    assert_eq!(site.endpoint.renewals(), 2);
}

#[tokio::test(start_paused = true)]
async fn b7_a_token_rejected_while_the_flight_that_brought_it_ends_is_renewed_too() {
    let site = Instance::new(Rotation::Single);
    let old = site.visitor().authorization().await.unwrap();
    site.endpoint.close();
    let first = tokio::spawn({
        let visitor = site.visitor();
        async move { visitor.renew_if(old).await }
    });
    site.endpoint.arrived().await;
    site.store.allow(0);
    site.endpoint.open();
    // Served before the commit, and rejected at once.
    let fresh = first.await.unwrap().unwrap();
    let again = tokio::spawn({
        let (visitor, fresh) = (site.visitor(), fresh.clone());
        async move { visitor.renew_if(fresh).await }
    });
    tokio::task::yield_now().await;
    site.store.open();
    let better = again.await.unwrap().unwrap();
    assert_ne!(better.header(), fresh.header());
    assert_eq!(site.endpoint.renewals(), 2);
}

#[tokio::test(start_paused = true)]
async fn b7_an_endpoint_that_has_no_better_token_is_asked_once() {
    let site = Instance::new(Rotation::Same);
    let old = site.visitor().authorization().await.unwrap();
    let mut reply = wix_visitor_core::GrantReply::default();
    reply.access_token = Some(wix_visitor_core::Secret::new(old.header().to_str().unwrap()));
    reply.expires_in = Some(hours(4));
    site.endpoint.plan_renewals(Some(Plan::Reply(reply)));
    let same = site.visitor().renew_if(&old).await.unwrap();
    assert_eq!(same.header(), old.header());
    assert_eq!(site.endpoint.renewals(), 1);
}

#[tokio::test(start_paused = true)]
async fn b7_a_token_rejected_here_and_renewed_elsewhere_is_adopted() {
    let site = Instance::new(Rotation::Strict);
    let rejected = site.visitor().authorization().await.unwrap();
    let other = site.another();
    other.visitor().renew_if(&rejected).await.unwrap();
    let adopted = site.visitor().renew_if(&rejected).await.unwrap();
    assert_ne!(adopted.header(), rejected.header());
    assert_eq!(site.endpoint.renewals(), 1);
}

#[tokio::test(start_paused = true)]
async fn b9_tokens_without_a_later_expiry_never_make_a_hot_loop() {
    for lifetime in [Some(Duration::ZERO), Some(Duration::from_millis(1)), Some(secs(1))] {
        let site = Instance::new(Rotation::Same);
        site.endpoint.set_expires_in(lifetime);
        site.who().await.expect("whoever met the grant is served what it brought");
        let start = tokio::time::Instant::now();
        for _ in 0..1_000 {
            let _ = site.who().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let per_second = site.endpoint.grants() as f64 / start.elapsed().as_secs_f64();
        assert!(per_second < 1.3, "{lifetime:?}: {per_second} grants a second");
        assert_eq!(site.endpoint.mints(), 1, "{lifetime:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn b9_a_lifetime_that_is_not_told_is_taken_to_be_wixs() {
    let site = Instance::new(Rotation::Same);
    site.endpoint.set_expires_in(None);
    site.who().await.unwrap();
    tokio::time::sleep(hours(2)).await;
    site.who().await.unwrap();
    assert_eq!(site.endpoint.grants(), 1);
}

#[tokio::test(start_paused = true)]
async fn b10_a_hung_endpoint_holds_nobody_for_longer_than_the_wait() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.endpoint.plan(Plan::Hang);
    let start = tokio::time::Instant::now();
    assert!(herd(&site, 100).await.iter().all(Result::is_err));
    assert!(start.elapsed() < secs(11), "{:?}", start.elapsed());
    assert_eq!(site.who().await.unwrap(), identity, "the next caller gets on");
    assert!(start.elapsed() < secs(30), "{:?}", start.elapsed());
}

fn who_waits_for_five_seconds() -> Instance {
    let mut policy = Policy::default();
    policy.wait = secs(5);
    let site = Instance::with_policy(Rotation::Same, policy);
    site.endpoint.close();
    site
}

#[tokio::test(start_paused = true)]
async fn b10_each_caller_waits_for_as_long_as_it_may_whenever_it_boards_the_flight() {
    let site = who_waits_for_five_seconds();
    let start = tokio::time::Instant::now();
    let calls: Vec<_> = [0, 500, 999, 1000, 1001, 3000]
        .map(|millis| {
            let site = site.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                let error = site.who().await.unwrap_err();
                (error.kind(), start.elapsed().as_millis(), u128::from(millis) + 5000)
            })
        })
        .into();
    for call in calls {
        let (kind, end, expected) = call.await.unwrap();
        assert_eq!(kind, ErrorKind::Busy);
        // To the millisecond that timers are exact to.
        assert!((expected..=expected + 2).contains(&end), "{end} instead of {expected}");
    }
    assert_eq!(site.endpoint.in_flight(), 1, "and the flight goes on");
}

#[test]
fn b10_who_waits_for_a_flight_whose_runtime_stands_still_keeps_the_time_by_itself() {
    let ours = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let theirs = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = ours.block_on(async { who_waits_for_five_seconds() });
    theirs.block_on(async {
        let leader = site.clone();
        tokio::spawn(async move { leader.who().await });
        site.endpoint.arrived().await;
    });
    let error = ours.block_on(async {
        let call = tokio::spawn(async move { site.who().await });
        tokio::time::timeout(secs(6), call).await.unwrap().unwrap().unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Busy);
}

#[tokio::test(start_paused = true)]
async fn b10_a_hung_store_holds_nobody_either() {
    let site = Instance::new(Rotation::Same);
    site.store.decide(|_, _| Some(wix_visitor_testkit::StoreFault::Hang));
    let start = tokio::time::Instant::now();
    assert_eq!(site.who().await.unwrap_err().kind(), ErrorKind::Store);
    assert!(start.elapsed() <= secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn b11_sites_and_visitors_never_cross_even_with_equal_keys() {
    let store = MemoryStore::new();
    let key = secret_key("shared");
    let site = |issuer: &str, client: &str| {
        let endpoint = FakeEndpoint::issued_by(issuer);
        let client = wix_visitor_core::ClientId::new(client).unwrap();
        let visitors =
            Visitors::builder(client, endpoint.clone(), store.clone()).clock(TestClock::default()).build().unwrap();
        (visitors, endpoint)
    };
    let sites = [site("https://a.test", "aa"), site("https://a.test", "ab"), site("https://b.test", "aa")];
    for (visitors, endpoint) in &sites {
        let authorization = visitors.visitor(&key).authorization().await.unwrap();
        assert!(endpoint.identity(&authorization).is_some(), "a token of its own endpoint");
        let other = visitors.visitor(secret_key("other")).authorization().await.unwrap();
        assert_ne!(endpoint.identity(&authorization), endpoint.identity(&other));
        assert_eq!(endpoint.mints(), 2);
    }
}

#[test]
fn a_runtime_that_is_dropped_fails_its_flight_and_callers_elsewhere_go_on() {
    let ours = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let theirs = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = ours.block_on(async { Instance::new(Rotation::Same) });
    let visitor = site.visitor();
    site.endpoint.close();
    theirs.block_on(async {
        let call = tokio::spawn(async move { visitor.authorization().await });
        site.endpoint.arrived().await;
        call.abort();
    });
    let waiter = site.clone();
    ours.block_on(async move {
        let call = tokio::spawn(async move { waiter.who().await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(std::thread::spawn(move || drop(theirs)).join());
        site.endpoint.open();
        // The dropped flight's claim stands in the store; it is broken after a lease.
        assert_eq!(call.await.unwrap().unwrap(), 1);
    });
}

type Call = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// A call that goes on the moment it is woken, on the very thread that wakes it.
struct AtOnce {
    call: Mutex<Call>,
    answer: Mutex<Option<Result<u64, Error>>>,
    runtime: tokio::runtime::Handle,
}

impl AtOnce {
    fn poll(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let _runtime = self.runtime.enter();
        let mut answer = self.answer.lock().unwrap();
        if answer.is_none()
            && let Poll::Ready(done) = self.call.lock().unwrap().as_mut().poll(&mut Context::from_waker(&waker))
        {
            *answer = Some(done);
        }
    }
}

impl Wake for AtOnce {
    fn wake(self: Arc<Self>) {
        self.poll();
    }
}

#[test]
fn who_hears_that_a_flights_runtime_was_dropped_never_boards_that_flight_again() {
    let ours = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let theirs = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = ours.block_on(async { Instance::new(Rotation::Same) });
    site.endpoint.close();
    theirs.block_on(async {
        let leader = site.clone();
        tokio::spawn(async move { leader.who().await });
        site.endpoint.arrived().await;
    });
    let waiter = site.clone();
    let call = Arc::new(AtOnce {
        call: Mutex::new(Box::pin(async move { waiter.who().await })),
        answer: Mutex::default(),
        runtime: ours.handle().clone(),
    });
    call.poll();
    drop(theirs);
    let early = call.answer.lock().unwrap().take();
    assert!(early.is_none(), "{early:?}");
    site.endpoint.open();
    assert_eq!(ours.block_on(site.who()).unwrap(), 1, "a flight of its own took off");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = runtime.block_on(async { Instance::new(Rotation::Same) });
    drop(runtime);
    let visitor = &site.visitor();
    type Call<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;
    let calls: [Call<'_>; 8] = [
        Box::pin(async { visitor.authorization().await.map(drop) }),
        Box::pin(async { visitor.renew().await.map(drop) }),
        Box::pin(async { visitor.renew_if("rejected").await.map(drop) }),
        Box::pin(async { visitor.tokens().await.map(drop) }),
        Box::pin(async { visitor.status().await.map(drop) }),
        Box::pin(async { visitor.set_tokens(site.sign_in(Role::Member).1).await }),
        Box::pin(async { visitor.forget().await }),
        Box::pin(async { site.visitors.shutdown().await }),
    ];
    let mut cx = Context::from_waker(Waker::noop());
    for (number, mut call) in calls.into_iter().enumerate() {
        match call.as_mut().poll(&mut cx) {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime, "call {number}"),
            other => panic!("call {number}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_called_by_its_name() {
    #[derive(Debug)]
    struct Panicking;
    #[wix_visitor_core::async_trait]
    impl TokenStore for Panicking {
        async fn load(&self, _: &StoreKey) -> Result<Option<Stored>, StoreError> {
            panic!("as planned")
        }
        async fn compare_exchange(
            &self,
            _: &StoreKey,
            _: Option<&Etag>,
            _: &Stored,
            _: Duration,
        ) -> Result<Exchange, StoreError> {
            panic!("as planned")
        }
    }
    let endpoint = FakeEndpoint::new(Rotation::Same);
    let visitors = Visitors::builder(client_id(), endpoint.clone(), Panicking).build().unwrap();
    let visitor = visitors.visitor(secret_key("visitor"));
    assert_eq!(visitor.authorization().await.unwrap_err().kind(), ErrorKind::Panicked);
    assert_eq!(visitor.forget().await.unwrap_err().kind(), ErrorKind::Panicked);
    assert_eq!(endpoint.grants(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_saves_what_was_sent_and_sends_nothing_more() {
    let site = Instance::new(Rotation::Single);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.endpoint.set_latency(secs(5));
    let call = site.ask();
    tokio::time::sleep(secs(1)).await;
    call.abort(); // as main does when it returns
    site.visitors.shutdown().await.unwrap();
    assert_eq!(site.endpoint.renewals(), 1);
    assert_eq!(site.who().await.unwrap(), identity, "what is in memory still serves");
    site.expire().await;
    assert_eq!(site.who().await.unwrap_err().kind(), ErrorKind::ShuttingDown);
    let next = site.another();
    assert_eq!(next.who().await.unwrap(), identity);
    assert_eq!(next.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_back_a_claim_that_was_not_used() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    site.expire().await;
    site.store.allow(0);
    let call = site.ask();
    site.store.held().await;
    let closing = tokio::spawn({
        let site = site.clone();
        async move { site.visitors.shutdown().await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.store.open();
    closing.await.unwrap().unwrap();
    assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::ShuttingDown);
    let start = tokio::time::Instant::now();
    site.another().who().await.unwrap();
    assert_eq!((start.elapsed(), site.endpoint.renewals()), (Duration::ZERO, 1), "nobody waits for a lease");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_the_claim_of_somebody_else() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    site.expire().await;
    let other = site.another();
    other.endpoint.close();
    let holding = other.ask();
    other.endpoint.arrived().await;
    let waiting = site.ask();
    tokio::time::sleep(secs(5)).await;
    let start = tokio::time::Instant::now();
    site.visitors.shutdown().await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::ShuttingDown);
    other.endpoint.open();
    holding.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_not_asked_again_by_every_caller_of_a_usable_token() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    tokio::time::sleep(hours(4) - secs(600)).await;
    site.store.break_down(wix_visitor_core::StoreErrorKind::Unavailable);
    let before = site.store.loads() + site.store.swaps();
    for _ in 0..1_000 {
        assert_eq!(site.who().await.unwrap(), identity);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = site.store.loads() + site.store.swaps() - before;
    assert!((5..=25).contains(&asked), "{asked} operations in 50 s");
}

/// The visitors of the same site, in another instance with room for so many bytes of them.
fn with_memory(site: &Instance, bytes: usize) -> Visitors {
    Visitors::builder(wix_visitor_tests::instance::client_id(), site.endpoint.clone(), site.store.clone())
        .clock(site.clock.clone())
        .snapshot_bytes(bytes)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_but_never_by_what_is_in_use_or_not_saved() {
    let site = Instance::new(Rotation::Single);
    let visitors = with_memory(&site, 1);
    let (kept, unsaved) = (secret_key("kept"), secret_key("unsaved"));
    let in_use = visitors.visitor(&kept);
    let first = in_use.authorization().await.unwrap();
    site.store.decide(|operation, number| {
        (operation == wix_visitor_testkit::StoreOperation::Swap && number > 3)
            .then_some(wix_visitor_testkit::StoreFault::Fail(wix_visitor_core::StoreErrorKind::Unavailable))
    });
    let pending = visitors.visitor(&unsaved).authorization().await.unwrap();
    for _ in 0..1_000 {
        visitors.visitor(secret_key("passing"));
    }
    assert_eq!(visitors.visitor(&unsaved).authorization().await.unwrap().header(), pending.header());
    assert_eq!(visitors.visitor(&kept).authorization().await.unwrap().header(), first.header());
    site.store.heal();
    visitors.shutdown().await.unwrap();
    assert_eq!(site.endpoint.mints(), 2);
}

#[test]
fn what_a_dropped_runtime_left_unsaved_is_saved_from_the_next() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (first, second) = (runtime(), runtime());
    let site = second.block_on(async { Instance::new(Rotation::Single) });
    let swaps = |site: &Instance| site.store.swaps();
    let identity = second.block_on(async {
        let identity = site.who().await.unwrap();
        site.expire().await;
        identity
    });
    let before = swaps(&site);
    site.store.decide(move |operation, number| {
        (operation == wix_visitor_testkit::StoreOperation::Swap && number > before + 1)
            .then_some(wix_visitor_testkit::StoreFault::Fail(wix_visitor_core::StoreErrorKind::Misconfigured))
    });
    first.block_on(async { site.who().await.unwrap() });
    drop(first); // and the saver with it
    site.store.heal();
    second.block_on(async {
        tokio::time::sleep(secs(10)).await;
        assert_eq!(site.who().await.unwrap(), identity);
        tokio::time::sleep(secs(1)).await;
        assert_eq!(site.another().who().await.unwrap(), identity);
        assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 1));
    });
}

#[tokio::test(start_paused = true)]
async fn a_member_in_a_herd_is_told_together_and_only_once_to_the_endpoint() {
    let site = Instance::new(Rotation::Same);
    let (member, tokens) = site.sign_in(Role::Member);
    site.visitor().set_tokens(tokens).await.unwrap();
    site.expire().await;
    site.endpoint.revoke(member);
    for answer in herd(&site, 1_000).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::MemberSessionEnded);
    }
    assert_eq!(site.endpoint.grants(), 1);
}

#[tokio::test(start_paused = true)]
async fn d2_a_crowd_that_comes_once_is_bounded_in_memory_and_evicts_nobody_who_comes_again() {
    let site = Instance::new(Rotation::Same);
    let visitors = with_memory(&site, 1 << 20);
    let regulars: Vec<String> = (0..100).map(|_| secret_key("regular")).collect();
    for key in regulars.iter().chain(&regulars) {
        visitors.visitor(key).authorization().await.unwrap();
    }
    let loads = site.store.loads();
    let mut once = 0;
    for key in regulars.iter().cycle().take(10_000) {
        visitors.visitor(secret_key("once")).authorization().await.unwrap();
        visitors.visitor(key).authorization().await.unwrap();
        once += 1;
    }
    assert_eq!(site.store.loads() - loads, once, "who comes again is never looked for in the store");
    assert_eq!(site.endpoint.mints(), once + regulars.len());
    let told = format!("{visitors:?}");
    let bytes: usize = told.split("bytes: ").nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
    assert!((500_000..=1 << 20).contains(&bytes), "{bytes}");
}
