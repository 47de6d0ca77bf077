//! Row C6: a process that is stopped for longer than its lease, and wakes to find that another took over.

use rustix::process::Signal;
use wix_visitor_testkit::sandbox::{On, Point, Rotation};
use wix_visitor_tests::halting::Step;

use crate::child::{Called, Pace, VisitorProcess, within};
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

#[tokio::test]
async fn stopped_before_its_commit_it_overwrites_nothing_when_it_goes_on() {
    let mut scene = Scene::new(Rotation::New, Pace::HASTY);
    let (identity, cart) = scene.expired_visitor().await;
    let mut sleeper = scene.start().await;
    sleeper.tell(&format!("stop {}", Step::BeforeCommit)).await;
    sleeper.tell("call 1").await;
    sleeper.arrived(Step::BeforeCommit).await;
    sleeper.signal(Signal::STOP);

    let mut other = scene.start().await;
    let taken = other.call(1).await;
    assert!(taken.loads > 1, "it waited for the lease: {taken:?}");
    assert_eq!(scene.identity(&taken), identity);
    other.end().await;

    sleeper.tell("go").await;
    sleeper.signal(Signal::CONT);
    nothing_was_overwritten(&mut scene, sleeper, &taken, cart).await;
}

#[tokio::test]
async fn stopped_before_its_reply_it_overwrites_nothing_when_it_goes_on() {
    let mut scene = Scene::new(Rotation::New, Pace::HASTY);
    let (identity, cart) = scene.expired_visitor().await;
    let mut sleeper = scene.start().await;
    let gate = scene.sandbox.hold(On::Renew, Point::AfterActing);
    sleeper.tell("call 1").await;
    within("the grant", gate.arrived()).await;
    sleeper.signal(Signal::STOP);
    drop(gate);

    let mut other = scene.start().await;
    let taken = other.call(1).await;
    assert!(taken.loads > 1, "it waited for the lease: {taken:?}");
    assert_eq!(scene.identity(&taken), identity);
    other.end().await;

    sleeper.signal(Signal::CONT);
    nothing_was_overwritten(&mut scene, sleeper, &taken, cart).await;
}

#[tokio::test]
async fn stopped_before_its_claim_it_serves_what_another_brought_when_it_goes_on() {
    let mut scene = Scene::new(Rotation::Strict, Pace::HASTY);
    let (identity, _) = scene.expired_visitor().await;
    let mut sleeper = scene.start().await;
    sleeper.tell(&format!("stop {}", Step::BeforeClaim)).await;
    sleeper.tell("call 1").await;
    sleeper.arrived(Step::BeforeClaim).await;
    sleeper.signal(Signal::STOP);

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
