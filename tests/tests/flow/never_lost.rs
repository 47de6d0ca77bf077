//! Rows A1 to A11, A14 and A15: how visitors were lost elsewhere, with no concurrency at all.

use std::sync::Arc;

use wix_visitor_core::{
    ErrorKind, EventKind, GrantError, GrantFailure, GrantReply, LossReason, OnRefused, Policy, Role, StoreErrorKind,
};
use wix_visitor_testkit::{Plan, Rotation, StoreFault};
use wix_visitor_tests::instance::{Instance, drain, hours, secs};

fn failure(failure: GrantFailure) -> Plan {
    Plan::Fail(GrantError::new(failure, "as planned"))
}

/// A visitor whose access token has ended.
async fn expired(rotation: Rotation) -> (Instance, u64) {
    let site = Instance::new(rotation);
    let identity = site.who().await.unwrap();
    site.expire().await;
    (site, identity)
}

#[tokio::test(start_paused = true)]
async fn a1_a_failed_renewal_never_mints_and_the_visitor_comes_back() {
    for class in [GrantFailure::Transient, GrantFailure::Unknown, GrantFailure::Doubtful, GrantFailure::Misconfigured] {
        let (site, identity) = expired(Rotation::Same).await;
        let tokens = site.visitor().tokens().await.unwrap();
        site.endpoint.plan(failure(class));
        let error = site.visitor().authorization().await.unwrap_err();
        let expected = match class {
            GrantFailure::Unknown => ErrorKind::OutcomeUnknown,
            GrantFailure::Misconfigured => ErrorKind::Misconfigured,
            _ => ErrorKind::Unavailable,
        };
        assert_eq!(error.kind(), expected, "{class:?}");
        assert_eq!(site.visitor().tokens().await.unwrap(), tokens, "{class:?} changed the tokens");
        assert_eq!(site.another().visitor().tokens().await.unwrap(), tokens, "{class:?} changed the stored tokens");
        assert_eq!(site.endpoint.mints(), 1, "{class:?} minted");
        tokio::time::sleep(secs(70)).await;
        assert_eq!(site.who().await.unwrap(), identity, "{class:?}");
        assert_eq!(site.endpoint.mints(), 1, "{class:?} minted");
    }
}

#[tokio::test(start_paused = true)]
async fn a2_a_visitor_comes_back_after_hours_and_after_a_month() {
    let site = Instance::new(Rotation::New);
    let identity = site.who().await.unwrap();
    for away in [hours(5), hours(24 * 30), hours(24 * 360)] {
        tokio::time::sleep(away).await;
        assert_eq!(site.who().await.unwrap(), identity);
        assert_eq!(site.another().who().await.unwrap(), identity, "a new process, after {away:?}");
    }
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a3_no_store_error_mints_or_forgets_anything() {
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::Unknown,
        StoreErrorKind::Corrupt,
        StoreErrorKind::Misconfigured,
        StoreErrorKind::Unsupported,
    ] {
        let site = Instance::new(Rotation::Same);
        let identity = site.who().await.unwrap();
        let fresh = site.another();
        fresh.store.break_down(kind);
        let error = fresh.visitor().authorization().await.unwrap_err();
        assert_eq!((error.kind(), error.store_error().unwrap().kind()), (ErrorKind::Store, kind));
        assert!(fresh.visitor().tokens().await.is_err() && fresh.visitor().logged_in().await.is_err());
        fresh.store.heal();
        assert_eq!(fresh.who().await.unwrap(), identity, "{kind:?}");
        assert_eq!(site.endpoint.grants(), 1, "{kind:?} asked for a grant");
    }
}

#[tokio::test(start_paused = true)]
async fn a4_a_caller_that_goes_away_cancels_nothing_at_any_point() {
    // How many polls a whole renewal takes is found by trying: each run drops the caller one poll later.
    for polls in 0..40 {
        let (site, identity) = expired(Rotation::Single).await;
        site.endpoint.set_latency(secs(1));
        let visitor = site.visitor();
        let mut call = Box::pin(visitor.authorization());
        for _ in 0..polls {
            if futures_poll(&mut call).await {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        }
        drop(call);
        tokio::time::sleep(secs(20)).await;
        let begun = site.endpoint.renewals() == 1;
        assert_eq!(begun, polls > 0, "the renewal of {polls} polls");
        assert_eq!(site.another().who().await.unwrap(), identity);
        assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 1), "dropped after {polls} polls");
    }
}

async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn a5_tokens_that_could_not_be_saved_serve_and_are_saved_once_the_store_is_back() {
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Unknown, StoreErrorKind::Misconfigured] {
        let (site, identity) = expired(Rotation::Single).await;
        let mut events = site.visitors.events();
        let swaps = site.store.swaps();
        site.store.decide(move |operation, number| {
            (operation == wix_visitor_testkit::StoreOperation::Swap && number > swaps + 1)
                .then_some(StoreFault::Fail(kind))
        });
        assert_eq!(site.who().await.unwrap(), identity);
        tokio::time::sleep(secs(60)).await;
        assert_eq!(site.who().await.unwrap(), identity, "served from memory meanwhile");
        assert!(drain(&mut events).iter().any(|event| matches!(event, EventKind::SavePending(_))));
        assert!(site.visitors.shutdown().await.is_err(), "unsaved tokens are not lost in silence");
        site.store.heal();
        site.visitors.shutdown().await.unwrap();
        assert!(drain(&mut events).iter().any(|event| matches!(event, EventKind::Saved)));
        let restarted = site.another();
        assert_eq!(restarted.who().await.unwrap(), identity);
        assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 1), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_ran_out_of_time_says_what_the_store_said_before() {
    let (site, _) = expired(Rotation::Same).await;
    let mut events = site.visitors.events();
    let swaps = site.store.swaps();
    site.store.decide(move |operation, number| {
        let commits = operation == wix_visitor_testkit::StoreOperation::Swap && number > swaps + 1;
        let first = number == swaps + 2;
        commits.then_some(if first { StoreFault::Fail(StoreErrorKind::Unavailable) } else { StoreFault::Hang })
    });
    site.who().await.unwrap();
    tokio::time::sleep(secs(4)).await;
    let pending = drain(&mut events).into_iter().find_map(|event| match event {
        EventKind::SavePending(error) => Some(error),
        _ => None,
    });
    let pending = pending.expect("a save that failed");
    let store = pending.store_error().expect("an error of the store");
    assert_eq!(store.kind(), StoreErrorKind::Unknown, "the repetition may have been applied");
    let earlier =
        std::error::Error::source(store).and_then(|error| error.downcast_ref::<wix_visitor_core::StoreError>());
    assert_eq!(earlier.map(wix_visitor_core::StoreError::kind), Some(StoreErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a5_a_mint_that_could_not_be_saved_is_one_visitor_all_the_same() {
    let site = Instance::new(Rotation::Same);
    site.store.decide(|operation, number| {
        (operation == wix_visitor_testkit::StoreOperation::Swap && number > 1)
            .then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    let identity = site.who().await.unwrap();
    assert_eq!(site.who().await.unwrap(), identity);
    site.store.heal();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(site.another().who().await.unwrap(), identity);
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_visitor_that_gives_way_to_another_instances_is_reported() {
    let site = Instance::new(Rotation::Same);
    let mut events = site.visitors.events();
    site.store.decide(|operation, number| {
        (operation == wix_visitor_testkit::StoreOperation::Swap && number > 1)
            .then_some(StoreFault::Fail(StoreErrorKind::Unavailable))
    });
    let served = site.who().await.unwrap();
    // Cut off for longer than a lease, after the claim: the next one mints too, and its save works.
    let others = site.another().who().await.unwrap();
    assert_ne!(served, others);
    site.store.heal();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(site.who().await.unwrap(), others);
    let losses: Vec<_> = drain(&mut events)
        .into_iter()
        .filter_map(
            |event| if let EventKind::VisitorLost(lost) = event { Some((lost.reason, lost.replaced)) } else { None },
        )
        .collect();
    assert_eq!(losses, [(LossReason::Superseded, true)]);
}

#[tokio::test(start_paused = true)]
async fn of_many_first_calls_nobody_is_told_of_a_loss() {
    let sites: Vec<_> = {
        let first = Instance::new(Rotation::Same);
        let more: Vec<_> = (0..8).map(|_| first.another()).collect();
        std::iter::once(first).chain(more).collect()
    };
    let mut events: Vec<_> = sites.iter().map(|site| site.visitors.events()).collect();
    let calls: Vec<_> = sites.iter().map(Instance::ask).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    for events in &mut events {
        assert!(!drain(events).iter().any(|event| matches!(event, EventKind::VisitorLost(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a6_the_right_refresh_token_is_kept_whatever_the_reply_holds() {
    for rotation in [Rotation::Same, Rotation::New, Rotation::Single, Rotation::Strict, Rotation::Omitted] {
        let (site, identity) = expired(rotation).await;
        for _ in 0..3 {
            assert_eq!(site.who().await.unwrap(), identity, "{rotation:?}");
            let kept = site.another().refresh_token().await;
            assert!(!kept.is_empty() && site.endpoint.is_good(&kept), "{rotation:?}");
            site.expire().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a7_each_change_of_the_record_is_one_write() {
    let site = Instance::new(Rotation::Single);
    site.who().await.unwrap();
    assert_eq!((site.store.loads(), site.store.swaps()), (1, 2), "a mint: load, claim, commit");
    site.expire().await;
    site.who().await.unwrap();
    assert_eq!((site.store.loads(), site.store.swaps()), (1, 4), "from a warm snapshot: claim, commit");
    let cold = site.another();
    site.expire().await;
    cold.who().await.unwrap();
    assert_eq!((cold.store.loads(), cold.store.swaps()), (1, 2), "cold: load, claim, commit");
}

#[tokio::test(start_paused = true)]
async fn a8_a_reply_with_a_refresh_token_and_nothing_else_of_use_is_kept() {
    let (site, identity) = expired(Rotation::Single).await;
    let (owner, _, refresh) = site.endpoint.issue();
    let mut reply = GrantReply::default();
    reply.refresh_token = Some(refresh.clone());
    site.endpoint.plan(Plan::Reply(reply));
    let error = site.visitor().authorization().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(site.another().refresh_token().await, refresh, "kept, though nothing else could be used");
    assert_eq!(site.endpoint.grants(), 2, "the grant is not repeated at once");
    tokio::time::sleep(secs(10)).await;
    assert_eq!(site.who().await.unwrap(), owner);
    assert_ne!(owner, identity);
}

#[tokio::test(start_paused = true)]
async fn a9_a_grant_without_an_answer_is_not_sent_again_within_the_lease() {
    let (site, identity) = expired(Rotation::Same).await;
    site.endpoint.plan(Plan::Hang);
    let error = site.visitor().authorization().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    let told = error.retry_in().unwrap();
    assert!(told > secs(4) && told <= secs(5), "{told:?}: the lease has five seconds to go, less the endpoint's grace");
    let sent = site.endpoint.grants();
    // Ten seconds have passed since the claim; the lease is fifteen. A second instance has to watch a whole one.
    let other = site.another();
    let (own, others) = tokio::join!(
        async {
            tokio::time::sleep(secs(3)).await;
            site.endpoint.grants()
        },
        other.who()
    );
    assert_eq!(own, sent, "sent again within the lease");
    assert_eq!(others.unwrap(), identity);
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!((site.endpoint.grants(), site.endpoint.mints()), (sent + 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a10_a_bad_configuration_is_loud_and_touches_no_record() {
    let (site, identity) = expired(Rotation::Same).await;
    let tokens = site.visitor().tokens().await.unwrap();
    site.endpoint.plan_always(Some(failure(GrantFailure::Misconfigured)));
    for _ in 0..3 {
        let error = site.visitor().authorization().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(!error.is_transient());
        tokio::time::sleep(secs(30)).await;
    }
    assert_eq!(site.another().visitor().tokens().await.unwrap(), tokens);
    let other = site.another();
    assert_eq!(other.visitor().authorization().await.unwrap_err().kind(), ErrorKind::Misconfigured, "known to all");
    site.endpoint.plan_always(None);
    tokio::time::sleep(secs(70)).await;
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a11_a_long_outage_is_served_through_then_reported_then_over_by_itself() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.endpoint.plan_always(Some(failure(GrantFailure::Transient)));
    // Due after three hours at the earliest, usable for a minute less than four.
    for _ in 0..(3 * 60 + 58) {
        tokio::time::sleep(secs(60)).await;
        assert_eq!(site.who().await.unwrap(), identity, "a usable token serves through the outage");
    }
    let before = site.endpoint.grants();
    for _ in 0..(6 * 360) {
        tokio::time::sleep(secs(10)).await;
        if let Err(error) = site.visitor().authorization().await {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.is_transient());
        }
    }
    let sent = site.endpoint.grants() - before;
    assert!((260..=360).contains(&sent), "{sent} grants in six hours: about one a minute");
    site.endpoint.plan_always(None);
    tokio::time::sleep(secs(80)).await;
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a14_tokens_with_an_expiry_in_milliseconds_or_none_are_used_and_kept_in_seconds() {
    let site = Instance::new(Rotation::Same);
    let (identity, tokens) = site.sign_in(Role::Visitor);
    let json = tokens.to_json();
    let ends = tokens.access.as_ref().unwrap().expires_at.as_secs();
    let odd = json.expose().replace(&format!("\"expiresAt\":{ends}"), &format!("\"expiresAt\":{ends}000"));
    let read = wix_visitor_core::Tokens::from_json(&odd).unwrap();
    site.visitor().set_tokens(read).await.unwrap();
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.endpoint.grants(), 0, "it was valid as it was");
    assert_eq!(site.another().visitor().tokens().await.unwrap().to_json().expose(), json.expose());

    let odd = json.expose().replace(&format!("\"expiresAt\":{ends}"), "\"expiresAt\":NaN");
    site.visitor().set_tokens(wix_visitor_core::Tokens::from_json(&odd).unwrap()).await.unwrap();
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!((site.endpoint.renewals(), site.endpoint.mints()), (1, 0), "an unknown age is renewed before use");
}

#[tokio::test(start_paused = true)]
async fn a15_a_reply_whose_token_looks_old_never_makes_a_loop() {
    // The wall clock of this machine is four hours ahead of the endpoint's.
    let site = Instance::new(Rotation::Same);
    site.clock.jump(hours(4));
    let identity = site.who().await.unwrap();
    for _ in 0..100 {
        assert_eq!(site.who().await.unwrap(), identity);
        tokio::time::sleep(secs(10)).await;
    }
    assert_eq!(site.endpoint.grants(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_visitor_is_replaced_once_and_the_loss_is_reported_by_event_and_result() {
    let (site, identity) = expired(Rotation::Same).await;
    let mut events = site.visitors.events();
    site.endpoint.revoke(identity);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let visitor = site.visitor();
            tokio::spawn(async move { visitor.authorization().await })
        })
        .collect();
    for call in calls {
        let authorization = call.await.unwrap().unwrap();
        let lost = authorization.lost().expect("each call that met the loss says so");
        assert_eq!((lost.reason, lost.role, lost.replaced), (LossReason::Refused, Role::Visitor, true));
        assert_ne!(site.identity(&authorization), identity);
    }
    assert!(site.visitor().authorization().await.unwrap().lost().is_none(), "said once, not for ever");
    assert_eq!(site.endpoint.mints(), 2);
    let losses = drain(&mut events).into_iter().filter(|event| matches!(event, EventKind::VisitorLost(_))).count();
    assert_eq!(losses, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_background_lets_the_usable_token_serve_to_its_end() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.endpoint.revoke(identity);
    tokio::time::sleep(hours(4) - secs(600)).await; // due, and usable for nine minutes more
    for _ in 0..50 {
        assert_eq!(site.who().await.unwrap(), identity);
        tokio::time::sleep(secs(10)).await;
    }
    assert_eq!(
        (site.endpoint.grants(), site.endpoint.mints()),
        (2, 1),
        "refused once, and nobody needed a new visitor"
    );
    tokio::time::sleep(secs(100)).await;
    assert!(site.visitor().authorization().await.unwrap().lost().is_some());
    assert_eq!(site.endpoint.mints(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_failing_keeps_the_refused_visitor_and_asks_once() {
    let mut policy = Policy::default();
    policy.on_refused = OnRefused::Fail;
    let site = Instance::with_policy(Rotation::Same, policy);
    let identity = site.who().await.unwrap();
    site.expire().await;
    site.endpoint.revoke(identity);
    for _ in 0..5 {
        assert_eq!(site.visitor().authorization().await.unwrap_err().kind(), ErrorKind::VisitorLost);
    }
    assert_eq!((site.endpoint.mints(), site.endpoint.grants()), (1, 2));
    site.visitor().forget().await.unwrap();
    assert_ne!(site.who().await.unwrap(), identity, "forgotten, it may be a new one");
}

#[tokio::test(start_paused = true)]
async fn a_refused_member_is_never_replaced_and_asked_for_only_once() {
    let site = Instance::new(Rotation::Same);
    let mut events = site.visitors.events();
    let (member, tokens) = site.sign_in(Role::Member);
    site.visitor().set_tokens(tokens.clone()).await.unwrap();
    assert!(site.visitor().logged_in().await.unwrap());
    site.expire().await;
    site.endpoint.revoke(member);
    for instance in [site.clone(), site.clone(), site.another()] {
        assert_eq!(instance.visitor().authorization().await.unwrap_err().kind(), ErrorKind::MemberSessionEnded);
    }
    assert_eq!((site.endpoint.mints(), site.endpoint.grants()), (0, 1));
    assert_eq!(site.another().refresh_token().await, tokens.refresh.unwrap().value, "the application decides");
    let ended = drain(&mut events).into_iter().filter(|event| matches!(event, EventKind::MemberSessionEnded)).count();
    assert_eq!(ended, 1);
    let (again, tokens) = site.sign_in(Role::Member);
    site.visitor().set_tokens(tokens).await.unwrap();
    assert_eq!(site.who().await.unwrap(), again);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_may_be_a_members_are_renewed_but_never_replaced() {
    for role in ["", r#","role":null"#, r#","role":"none""#, r#","role":"admin""#] {
        let site = Instance::new(Rotation::Same);
        let (identity, tokens) = site.sign_in(Role::Member);
        let refresh = tokens.refresh.unwrap().value;
        let json = format!(r#"{{"refreshToken":{{"value":"{}"{role}}}}}"#, refresh.expose());
        site.visitor().set_tokens(wix_visitor_core::Tokens::from_json(&json).unwrap()).await.unwrap();
        assert_eq!(site.who().await.unwrap(), identity);
        site.expire().await;
        site.endpoint.revoke(identity);
        for instance in [&site, &site.another()] {
            assert_eq!(instance.who().await.unwrap_err().kind(), ErrorKind::VisitorLost);
        }
        assert_eq!((site.endpoint.mints(), site.endpoint.grants()), (0, 2));
        site.visitor().forget().await.unwrap();
        site.who().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_grant_is_sent_where_the_store_has_no_room_for_what_it_would_bring() {
    let (site, identity) = expired(Rotation::Strict).await;
    let grants = site.endpoint.grants();
    site.store.plan_reserve(StoreFault::Fail(StoreErrorKind::Unavailable));
    site.store.plan_reserve(StoreFault::Hang);
    for _ in 0..2 {
        assert_eq!(site.who().await.unwrap_err().kind(), ErrorKind::Store);
        assert!(!site.another().visitor().status().await.unwrap().claimed, "the claim was given back");
    }
    assert_eq!(site.endpoint.grants(), grants);
    assert_eq!(site.who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_doubtful_answer_counts_as_a_refusal_only_once_it_keeps_coming() {
    let (site, identity) = expired(Rotation::Same).await;
    site.endpoint.plan_renewals(Some(failure(GrantFailure::Doubtful)));
    let start = site.now();
    let mut restarted = site.clone();
    for _ in 0..10 {
        match restarted.visitor().authorization().await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            Ok(authorization) => {
                assert!(authorization.lost().is_some());
                break;
            }
        }
        tokio::time::sleep(secs(76)).await;
        restarted = site.another(); // the count outlives the process
    }
    assert!(site.now().since(start) >= secs(300) && site.endpoint.mints() == 2);
    assert_ne!(restarted.who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_never_got_a_refresh_token_is_reported_when_its_access_token_ends() {
    let site = Instance::new(Rotation::Same);
    let (_, access, _) = site.endpoint.issue();
    let mut reply = GrantReply::default();
    reply.access_token = Some(access);
    site.endpoint.plan(Plan::Reply(reply));
    site.who().await.unwrap();
    site.expire().await;
    let authorization = site.visitor().authorization().await.unwrap();
    assert_eq!(authorization.lost().unwrap().reason, LossReason::NoRefreshToken);
}

#[tokio::test(start_paused = true)]
async fn two_errors_of_one_flight_are_the_same_error() {
    let (site, _) = expired(Rotation::Same).await;
    site.endpoint.plan(Plan::Fail(
        GrantError::new(GrantFailure::Transient, "busy").with_status(503).with_request_id(Some("req-1".into())),
    ));
    let (a, b) = (site.visitor(), site.visitor());
    let (a, b) = tokio::join!(a.authorization(), b.authorization());
    let (a, b) = (a.unwrap_err(), b.unwrap_err());
    assert_eq!((a.to_string(), a.request_id(), a.status()), (b.to_string(), Some("req-1"), Some(503)));
    let source = |error: &wix_visitor_core::Error| {
        let source = std::error::Error::source(error).unwrap();
        Arc::new(source.downcast_ref::<GrantError>().unwrap().clone())
    };
    assert_eq!(source(&a).message, source(&b).message);
}

#[tokio::test(start_paused = true)]
async fn doubtful_answers_before_and_after_a_clock_was_set_never_count_together() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    let right = site.now() + hours(5);
    site.clock.set(wix_visitor_core::Timestamp::from_secs(0));
    site.endpoint.plan_renewals(Some(failure(GrantFailure::Doubtful)));
    for _ in 0..6 {
        let _ = site.visitor().renew().await;
        tokio::time::sleep(secs(1)).await;
    }
    assert!(site.endpoint.grants() >= 4);
    site.clock.set(right);
    let _ = site.visitor().renew().await;
    site.endpoint.plan_renewals(None);
    tokio::time::sleep(secs(120)).await;
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.endpoint.mints(), 1);
}
