//! A program whose `main` returns right after a grant was sent.

use wix_visitor_testkit::sandbox::{On, Point, Rotation};

use crate::child::{Pace, within};
use crate::place::{Kind, on_every_kind};
use crate::scene::{GRACE, Scene};

/// A program leaves while its renewal is on its way, with or without a shutdown; what was sent is to be in the store.
async fn leaves_and_commits(kind: Kind, shuts_down: bool) {
    for point in [Point::BeforeActing, Point::AfterActing] {
        let mut scene = Scene::new(kind, Rotation::Strict, Pace::PATIENT).await;
        let (identity, cart) = scene.expired_visitor().await;
        let mut process = scene.start().await;
        let gate = scene.sandbox.hold(On::Renew, point);
        process.tell("call 1").await;
        within("the grant", gate.arrived()).await;
        // Nobody waits for it any more.
        process.tell("leave").await;
        process.hear("left").await;
        if shuts_down {
            process.begin_to_finish().await;
            gate.release();
            process.finished().await;
        } else {
            process.tell("return").await;
            process.hear("returning").await;
            gate.release();
            assert!(process.ended().await.success());
        }

        let mut next = scene.start().await;
        let called = next.call(1).await;
        assert_eq!((scene.identity(&called), called.loads), (identity, 1), "{point:?}");
        assert_eq!(next.cart().await, Some(cart));
        assert_eq!((scene.sandbox.renewals(), scene.sandbox.mints()), (1, 1), "{point:?}: it was committed");
    }
}

async fn no_shutdown(kind: Kind, rotation: Rotation, point: Point) {
    let mut scene = Scene::new(kind, rotation, Pace::HASTY).await;
    let (identity, cart) = scene.expired_visitor().await;
    let mut process = scene.start().await;
    let gate = scene.sandbox.hold(On::Renew, point);
    process.tell("call 1").await;
    within("the grant", gate.arrived()).await;
    process.end().await;
    drop(gate);

    let mut next = scene.start().await;
    let called = next.call(1).await;
    assert_eq!((scene.identity(&called), called.lost), (identity, false), "{rotation:?}, {point:?}");
    assert_eq!(next.cart().await, Some(cart));
    assert_eq!(scene.sandbox.mints(), 1);
}

on_every_kind! {
    async fn what_was_sent_before_main_returns_is_committed_by_a_shutdown(kind: Kind) {
        leaves_and_commits(kind, true).await;
    }

    async fn what_was_sent_when_main_returns_is_committed_without_a_shutdown_too(kind: Kind) {
        leaves_and_commits(kind, false).await;
    }

    async fn a_mint_that_was_sent_before_main_returns_is_committed_by_a_shutdown(kind: Kind) {
        let scene = Scene::new(kind, Rotation::Same, Pace::PATIENT).await;
        let mut process = scene.start().await;
        let gate = scene.sandbox.hold_mints();
        process.tell("call 1").await;
        within("the grant", gate.arrived()).await;
        process.tell("leave").await;
        process.hear("left").await;
        process.begin_to_finish().await;
        gate.release();
        process.finished().await;

        let mut next = scene.start().await;
        let called = next.call(1).await;
        assert_eq!((called.failed.len(), called.loads), (0, 1), "it was committed: {called:?}");
        assert_eq!(scene.sandbox.mints(), 1);
    }

    async fn a_main_that_returns_without_a_shutdown_loses_no_visitor(kind: Kind) {
        tokio::join!(
            no_shutdown(kind, Rotation::Same, Point::BeforeActing),
            no_shutdown(kind, Rotation::Same, Point::AfterActing),
            no_shutdown(kind, Rotation::New, Point::BeforeActing),
            no_shutdown(kind, Rotation::New, Point::AfterActing),
            no_shutdown(kind, GRACE, Point::BeforeActing),
            no_shutdown(kind, GRACE, Point::AfterActing),
        );
    }
}
