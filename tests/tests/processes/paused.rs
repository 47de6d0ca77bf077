//! Row C6: a process that is stopped for longer than its lease, and wakes to find that another took over.

use rustix::process::Signal;
use wix_visitor_testkit::sandbox::{On, Point, Rotation};
use wix_visitor_tests::halting::Step;

use crate::child::{Called, Pace, VisitorProcess, within};
use crate::place::{Kind, on_every_kind};
use crate::scene::Scene;

/// Whatever the sleeper makes of what it missed, the other's tokens stay, and nobody is lost.
async fn nothing_was_overwritten(scene: &mut Scene, mut sleeper: VisitorProcess, taken: &Called, cart: String) {
    let identity = scene.identity(taken);
    let late = sleeper.called().await;
    // A token of the same visitor: its own, the other's, or none for now.
    for token in &late.served {
        assert_eq!(scene.identity_of(token), identity);
    }
    assert!(!late.lost, "{late:?}");
    sleeper.begin_to_finish().await;
    sleeper.finished().await;

    let mut fresh = scene.start().await;
    assert_eq!(fresh.call(1).await.token(), taken.token(), "the stored tokens are those of who took over");
    assert_eq!(fresh.cart().await, Some(cart.clone()));
    assert_eq!(fresh.status().await["generation"], 1);
    fresh.end().await;

    scene.expire();
    let mut later = scene.start().await;
    assert_eq!(scene.identity(&later.call(1).await), identity);
    assert_eq!(later.cart().await, Some(cart));
    assert_eq!(scene.sandbox.mints(), 1);
}

/// Where a process is stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// At a step of its store.
    At(Step),
    /// With its grant on its way, which acts before it wakes.
    WithItsGrant(Point),
}

/// A process asks for an authorization, and is stopped.
async fn stop(scene: &Scene, at: Stop) -> VisitorProcess {
    let mut sleeper = scene.start().await;
    match at {
        Stop::At(step) => {
            sleeper.tell(&format!("stop {step}")).await;
            sleeper.tell("call 1").await;
            sleeper.arrived(step).await;
            sleeper.stop();
        }
        Stop::WithItsGrant(point) => {
            let gate = scene.sandbox.hold(On::Renew, point);
            sleeper.tell("call 1").await;
            within("the grant", gate.arrived()).await;
            sleeper.stop();
            drop(gate);
        }
    }
    sleeper
}

/// Another waits for its lease and takes over; then it wakes.
async fn sleeps_through_its_lease(kind: Kind, at: Stop) {
    let mut scene = Scene::new(kind, Rotation::New, Pace::HASTY).await;
    let (identity, cart) = scene.expired_visitor().await;
    // Ready before the lease begins: on a busy machine a process may take as long to start as a lease to run out.
    let mut other = scene.start().await;
    let mut sleeper = stop(&scene, at).await;

    let taken = other.call(1).await;
    assert!(taken.loads > 1, "it waited for the lease: {taken:?}");
    assert_eq!(scene.identity(&taken), identity);
    other.end().await;

    sleeper.tell("go").await;
    sleeper.signal(Signal::CONT);
    nothing_was_overwritten(&mut scene, sleeper, &taken, cart).await;
}

/// There is nobody to wait for; what another brought, or it itself, is what both serve.
async fn sleeps_without_a_claim(kind: Kind, step: Step) {
    let mut scene = Scene::new(kind, Rotation::Strict, Pace::HASTY).await;
    let (identity, _) = scene.expired_visitor().await;
    let mut sleeper = stop(&scene, Stop::At(step)).await;

    let mut other = scene.start().await;
    let taken = other.call(1).await;
    assert_eq!((scene.identity(&taken), taken.loads), (identity, 1), "there was nobody to wait for");

    sleeper.tell("go").await;
    sleeper.signal(Signal::CONT);
    let late = sleeper.called().await;
    // Its store operation may have timed out meanwhile; the next call finds what there is.
    assert!(late.failed.is_empty() || late.served.is_empty(), "{late:?}");
    assert_eq!(sleeper.call(1).await.token(), taken.token());
    assert_eq!((scene.sandbox.renewals(), scene.sandbox.redeemed_twice()), (1, 0));
}

on_every_kind! {
    async fn stopped_before_its_load_it_serves_what_another_brought_when_it_goes_on(kind: Kind) {
        sleeps_without_a_claim(kind, Step::BeforeLoad).await;
    }

    async fn stopped_after_its_load_it_serves_what_another_brought_when_it_goes_on(kind: Kind) {
        sleeps_without_a_claim(kind, Step::AfterLoad).await;
    }

    async fn stopped_before_its_claim_it_serves_what_another_brought_when_it_goes_on(kind: Kind) {
        sleeps_without_a_claim(kind, Step::BeforeClaim).await;
    }

    async fn stopped_after_its_claim_it_overwrites_nothing_when_it_goes_on(kind: Kind) {
        sleeps_through_its_lease(kind, Stop::At(Step::AfterClaim)).await;
    }

    async fn stopped_before_its_grant_acts_it_overwrites_nothing_when_it_goes_on(kind: Kind) {
        sleeps_through_its_lease(kind, Stop::WithItsGrant(Point::BeforeActing)).await;
    }

    async fn stopped_before_its_reply_it_overwrites_nothing_when_it_goes_on(kind: Kind) {
        sleeps_through_its_lease(kind, Stop::WithItsGrant(Point::AfterActing)).await;
    }

    async fn stopped_before_its_commit_it_overwrites_nothing_when_it_goes_on(kind: Kind) {
        sleeps_through_its_lease(kind, Stop::At(Step::BeforeCommit)).await;
    }

    async fn stopped_after_its_commit_it_serves_what_it_brought_as_all_others_do(kind: Kind) {
        sleeps_without_a_claim(kind, Step::AfterCommit).await;
    }
}
