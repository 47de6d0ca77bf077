//! A sign-in, a sign-out and a forget at every step of a grant in flight: the later intent wins.

use std::time::Duration;

use wix_visitor_core::{ErrorKind, Role, Secret};
use wix_visitor_testkit::Rotation;
use wix_visitor_tests::instance::{Instance, secs};

#[derive(Clone, Copy, Debug)]
enum Change {
    SignIn,
    SignOut,
    Forget,
    Retire,
}

/// Where the flight is held while the application changes its mind.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Before this store operation of the flight.
    Store(usize),
    /// After the grant was sent, before it acts.
    Grant,
}

const STEPS: [Step; 4] = [Step::Store(0), Step::Grant, Step::Store(1), Step::Store(2)];

/// Starts a flight on `site`, holds it at `step`, lets `other` (another instance, or this one) change its mind, lets go.
async fn interrupted(site: &Instance, other: &Instance, step: Step, change: Change) -> (Option<u64>, Option<Secret>) {
    match step {
        Step::Store(operations) => site.store.allow(operations),
        Step::Grant => site.endpoint.close(),
    }
    let call = site.ask();
    match step {
        Step::Store(_) => {
            tokio::select! {
                () = site.store.held() => {}
                () = tokio::time::sleep(secs(1)) => {} // a warm flight has fewer operations
            }
        }
        Step::Grant => site.endpoint.arrived().await,
    }
    let chooser = other.clone();
    let changing = tokio::spawn(async move {
        match change {
            Change::SignIn => {
                let (identity, tokens) = chooser.sign_in(Role::Member);
                chooser.visitor().set_tokens(tokens.clone()).await.unwrap();
                (Some(identity), tokens.refresh.map(|refresh| refresh.value))
            }
            Change::SignOut | Change::Forget => {
                chooser.visitor().forget().await.unwrap();
                (None, None)
            }
            Change::Retire => {
                chooser.visitor().retire().await.unwrap();
                (None, None)
            }
        }
    });
    tokio::task::yield_now().await;
    // Where the change itself waits behind the held store, it goes first: it began later and must win all the same.
    if !changing.is_finished() {
        tokio::time::sleep(secs(1)).await;
    }
    site.store.open();
    site.endpoint.open();
    let chosen = changing.await.unwrap();
    let _ = call.await.unwrap();
    chosen
}

#[tokio::test(start_paused = true)]
async fn c9_the_later_intent_wins_at_every_step_of_a_renewal_and_of_a_mint() {
    for rotation in [Rotation::Same, Rotation::Single] {
        for renewal in [true, false] {
            for elsewhere in [true, false] {
                for step in STEPS {
                    for change in [Change::SignIn, Change::SignOut, Change::Forget, Change::Retire] {
                        let case = format!("{rotation:?} renewal={renewal} elsewhere={elsewhere} {step:?} {change:?}");
                        one_case(rotation, renewal, elsewhere, step, change, &case).await;
                    }
                }
            }
        }
    }
}

async fn one_case(rotation: Rotation, renewal: bool, elsewhere: bool, step: Step, change: Change, case: &str) {
    let site = Instance::new(rotation);
    let mut old = None;
    if renewal {
        if matches!(change, Change::SignOut) {
            let (_, tokens) = site.sign_in(Role::Member);
            site.visitor().set_tokens(tokens).await.unwrap();
        }
        old = Some(site.who().await.unwrap());
        site.expire().await;
    }
    let other = if elsewhere { site.another() } else { site.clone() };
    let (chosen, refresh) = interrupted(&site, &other, step, change).await;
    // Settle: background work ends, every instance and a fresh process are asked.
    tokio::time::sleep(secs(30)).await;
    let mut seen = Vec::new();
    for instance in [other.clone(), site.another(), site.another()] {
        let tokens = instance.visitor().tokens().await.unwrap();
        let status = instance.visitor().status().await.unwrap();
        assert_eq!(status.alternates, 0, "{case}: an obsolete token became an alternate");
        match chosen {
            Some(identity) => {
                assert_eq!(tokens.refresh.as_ref().map(|refresh| &refresh.value), refresh.as_ref(), "{case}");
                assert_eq!(instance.who().await.unwrap(), identity, "{case}");
            }
            None if matches!(change, Change::Retire) => {
                assert_eq!(instance.who().await.unwrap_err().kind(), ErrorKind::Retired, "{case}");
                assert!(instance.visitor().retired().await.unwrap().is_some(), "{case}");
            }
            None => {
                let who = instance.who().await.unwrap();
                assert_ne!(Some(who), old, "{case}: the forgotten came back");
                seen.push(who);
            }
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{case}: {seen:?}");
    // A mint that was under way when the visitor was retired came to nothing; no other was sent.
    let minted = usize::from(renewal) + usize::from(!renewal && matches!(step, Step::Grant));
    if matches!(change, Change::Retire) && !matches!(step, Step::Store(_)) {
        assert_eq!(site.endpoint.mints(), minted, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retired_visitor_mints_nothing_on_any_instance_and_a_visitor_in_use_is_not_retired_as_unused() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    assert!(!site.visitor().retire_unused().await.unwrap());
    assert!(!site.another().visitor().retire_unused().await.unwrap());
    site.who().await.unwrap();
    site.another().visitor().retire().await.unwrap();
    site.expire().await;
    for instance in [site.clone(), site.another()] {
        assert_eq!(instance.who().await.unwrap_err().kind(), ErrorKind::Retired);
        let rejected = instance.visitor().renew_if("rejected").await;
        assert_eq!(rejected.unwrap_err().kind(), ErrorKind::Retired);
        instance.visitor().forget().await.unwrap();
        assert_eq!(instance.who().await.unwrap_err().kind(), ErrorKind::Retired, "forgotten, and still retired");
    }
    assert_eq!(site.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_somebody_is_about_to_mint_is_not_retired_as_unused() {
    let site = Instance::new(Rotation::Same);
    site.endpoint.close();
    let call = site.ask();
    site.endpoint.arrived().await;
    assert!(!site.another().visitor().retire_unused().await.unwrap());
    site.endpoint.open();
    call.await.unwrap().unwrap();
    let unused = Instance::new(Rotation::Same);
    assert!(unused.visitor().retire_unused().await.unwrap());
    assert_eq!(unused.another().who().await.unwrap_err().kind(), ErrorKind::Retired);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_visitor_is_gone_at_once_and_mints_nothing_by_itself() {
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    site.visitor().forget().await.unwrap();
    assert_eq!(site.visitor().tokens().await.unwrap(), wix_visitor_core::Tokens::default());
    assert!(site.visitor().status().await.unwrap().forgotten);
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(site.endpoint.mints(), 1, "nobody asked for a token");
    assert_ne!(site.who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_the_background_that_meets_a_forget_mints_nothing() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    tokio::time::sleep(secs(4 * 3600 - 120)).await;
    site.endpoint.close();
    site.who().await.unwrap();
    site.endpoint.arrived().await;
    site.another().visitor().forget().await.unwrap();
    site.endpoint.open();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(site.endpoint.mints(), 1);
    assert!(site.visitor().status().await.unwrap().forgotten);
}

#[tokio::test(start_paused = true)]
async fn a_flight_whose_caller_is_gone_mints_nothing_after_a_forget() {
    let site = Instance::new(Rotation::Same);
    site.who().await.unwrap();
    site.expire().await;
    site.endpoint.close();
    let call = site.ask();
    site.endpoint.arrived().await;
    call.abort();
    site.another().visitor().forget().await.unwrap();
    site.endpoint.revoke(1);
    site.endpoint.open();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(site.endpoint.mints(), 1);
    assert!(site.another().visitor().status().await.unwrap().forgotten);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_cannot_be_kept_are_refused_and_change_nothing() {
    use wix_visitor_core::{AccessToken, ErrorKind, RefreshToken, Timestamp, Tokens};
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    let access = |text: &str| Some(AccessToken::new(text, Timestamp::from_secs(2_000_000_000)));
    for bad in [
        Tokens::default(),
        Tokens::new(access("only-access"), None),
        Tokens::new(None, Some(RefreshToken::new("", Role::Visitor))),
        Tokens::new(access("two\r\nlines"), Some(RefreshToken::new("r", Role::Visitor))),
    ] {
        assert_eq!(site.visitor().set_tokens(bad).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.visitors.visitor("").authorization().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(site.endpoint.grants(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_whose_answer_was_lost_never_undoes_the_renewal_that_followed_it() {
    let site = Instance::new(Rotation::Single);
    let (member, mut tokens) = site.sign_in(Role::Member);
    tokens.access = None; // to be renewed at once by whoever needs it
    site.store.plan_swap(wix_visitor_testkit::StoreFault::LoseAnswer);
    let signing_in = tokio::spawn({
        let visitor = site.visitor();
        async move { visitor.set_tokens(tokens).await }
    });
    tokio::task::yield_now().await;
    let other = site.another();
    while !other.visitor().logged_in().await.unwrap() {
        tokio::task::yield_now().await;
    }
    let other = site.another();
    assert_eq!(other.who().await.unwrap(), member);
    assert!(!signing_in.is_finished(), "it is still waiting to ask again");
    signing_in.await.unwrap().unwrap();
    let refresh = site.another().refresh_token().await;
    assert!(site.endpoint.is_good(&refresh), "the spent refresh token was put back");
    site.expire().await;
    assert_eq!(site.who().await.unwrap(), member);
    assert_eq!(site.endpoint.mints(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_could_not_be_saved_says_so_and_changes_nothing() {
    use wix_visitor_core::{ErrorKind, StoreErrorKind};
    let site = Instance::new(Rotation::Same);
    let identity = site.who().await.unwrap();
    let (_, tokens) = site.sign_in(Role::Member);
    site.store.break_down(StoreErrorKind::Unavailable);
    assert_eq!(site.visitor().set_tokens(tokens).await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(site.visitor().forget().await.unwrap_err().kind(), ErrorKind::Store);
    site.store.heal();
    assert_eq!(site.who().await.unwrap(), identity);
    assert_eq!(site.another().who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_was_asked_for_and_meets_a_forget_mints_nothing() {
    for rotation in [Rotation::Same, Rotation::Single] {
        for rejected in [true, false] {
            for elsewhere in [true, false] {
                for step in STEPS {
                    let case = format!("{rotation:?} rejected={rejected} elsewhere={elsewhere} {step:?}");
                    let site = Instance::new(rotation);
                    let header = site.visitor().authorization().await.unwrap();
                    if let Step::Store(operations) = step {
                        site.store.allow(operations);
                    }
                    site.endpoint.close();
                    let call = tokio::spawn({
                        let visitor = site.visitor();
                        async move { if rejected { visitor.renew_if(header).await } else { visitor.renew().await } }
                    });
                    tokio::select! {
                        () = site.store.held() => {}
                        () = site.endpoint.arrived() => {}
                        () = tokio::time::sleep(secs(1)) => {}
                    }
                    let other = if elsewhere { site.another() } else { site.clone() };
                    let forgetting = tokio::spawn(async move { other.visitor().forget().await });
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    site.store.open();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    site.endpoint.open();
                    forgetting.await.unwrap().unwrap();
                    if let Err(error) = call.await.unwrap() {
                        assert_eq!(error.kind(), wix_visitor_core::ErrorKind::InvalidInput, "{case}: {error}");
                    }
                    tokio::time::sleep(secs(60)).await;
                    assert_eq!(site.endpoint.mints(), 1, "{case}");
                    assert!(site.another().visitor().status().await.unwrap().forgotten, "{case}");
                    let error = site.visitor().renew().await.unwrap_err();
                    assert_eq!(error.kind(), wix_visitor_core::ErrorKind::InvalidInput, "{case}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_brings_a_refresh_token_alone_serves_those_who_wait_for_a_grant() {
    for elsewhere in [true, false] {
        let site = Instance::new(Rotation::Same);
        site.who().await.unwrap();
        site.expire().await;
        site.endpoint.close();
        let call = site.ask();
        site.endpoint.arrived().await;
        let (member, mut tokens) = site.sign_in(Role::Member);
        tokens.access = None;
        let other = if elsewhere { site.another() } else { site.clone() };
        other.visitor().set_tokens(tokens).await.unwrap();
        site.endpoint.open();
        assert_eq!(call.await.unwrap().unwrap(), member);
    }
}

#[tokio::test(start_paused = true)]
async fn who_needs_a_token_is_never_told_that_somebody_elses_renewal_came_to_nothing() {
    for _ in 0..32 {
        let site = Instance::new(Rotation::Same);
        site.who().await.unwrap();
        site.expire().await;
        site.endpoint.close();
        // Which of the two goes on to the next flight is left to chance.
        let renewals: Vec<_> = (0..4)
            .map(|_| {
                let visitor = site.visitor();
                tokio::spawn(async move { visitor.renew().await })
            })
            .collect();
        site.endpoint.arrived().await;
        let call = site.ask();
        tokio::task::yield_now().await;
        site.visitor().forget().await.unwrap();
        site.endpoint.open();
        call.await.unwrap().unwrap();
        for renewal in renewals {
            let _ = renewal.await.unwrap();
        }
    }
}
