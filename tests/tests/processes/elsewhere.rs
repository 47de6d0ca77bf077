//! Row C10: a sign-in, a sign-out and a forgotten visitor on one instance are seen by all others.

use std::time::Duration;

use tokio::time::sleep;
use wix_visitor_testkit::sandbox::Rotation;

use crate::child::{Pace, VisitorProcess, within};
#[cfg(feature = "redis")]
use crate::place::Kind;
use crate::place::on_every_kind;
use crate::scene::Scene;

/// Waits until a process that uses the visitor all the time is served another token than this one, and returns that.
async fn another_than(process: &mut VisitorProcess, token: &str) -> String {
    within("news from elsewhere", async {
        loop {
            let called = process.call(1).await;
            if called.token() != token {
                return called.token().to_owned();
            }
            // As a shopper does.
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

on_every_kind! {
    async fn a_sign_in_a_sign_out_and_a_forget_on_one_of_three_instances_are_seen_by_all(kind: Kind) {
        // Redis tells of changes: there nobody has to look.
        let pace = match kind {
            #[cfg(feature = "redis")]
            Kind::Redis => Pace::PATIENT.without_looks(),
            _ => Pace::PATIENT,
        };
        let scene = Scene::new(kind, Rotation::Same, pace).await;
        let mut processes = scene.start_many(3).await;
        let mut visitor = String::new();
        for process in &mut processes {
            visitor = process.call(1).await.token().to_owned();
        }
        // From the first use on they have a second to begin to listen.
        sleep(Duration::from_secs(2)).await;

        processes[0].sign_in(&scene.sandbox).await;
        let member = processes[0].call(1).await.token().to_owned();
        for process in &mut processes {
            assert_eq!(another_than(process, &visitor).await, member);
        }
        assert_eq!(processes[2].status().await["logged_in"], true);

        processes[1].forget().await;
        // Whoever needs a token first mints the one new visitor.
        let fresh = another_than(&mut processes[2], &member).await;
        assert_ne!(fresh, visitor);
        for process in &mut processes {
            assert_eq!(another_than(process, &member).await, fresh);
        }
        assert_eq!((scene.sandbox.mints(), scene.sandbox.renewals()), (2, 0));
    }
}
