//! Several processes on one database, all in need of a token at the same moment.

use wix_visitor_testkit::sandbox::Rotation;
use wix_visitor_tests::halting::Step;

use crate::child::{Called, Pace, VisitorProcess};
use crate::place::on_every_kind;
use crate::scene::{LATER, Scene};

/// Of each process.
const CALLERS: usize = 2_500;

/// Sends the callers of all processes on their way, and lets the processes go on together once each has found that it must
/// ask for a grant itself.
async fn race(processes: &mut [VisitorProcess]) -> Vec<Called> {
    for process in processes.iter_mut() {
        process.tell(&format!("stop {}", Step::BeforeClaim)).await;
        process.tell(&format!("call {CALLERS}")).await;
    }
    for process in processes.iter_mut() {
        process.arrived(Step::BeforeClaim).await;
    }
    for process in processes.iter_mut() {
        process.tell("go").await;
    }
    let mut answers = Vec::with_capacity(processes.len());
    for process in processes.iter_mut() {
        answers.push(process.called().await);
    }
    answers
}

fn the_one_token(answers: &[Called]) -> &str {
    let token = answers[0].token();
    assert!(answers.iter().all(|called| called.token() == token && !called.lost), "{answers:?}");
    token
}

on_every_kind! {
    async fn ten_thousand_callers_of_four_processes_with_an_expired_token_make_one_grant(kind: Kind) {
        let mut scene = Scene::new(kind, Rotation::Strict, Pace::PATIENT).await;
        let (identity, cart) = scene.expired_visitor().await;
        let mut processes = scene.start_many(4).await;
        let answers = race(&mut processes).await;
        assert_eq!(scene.identity_of(the_one_token(&answers)), identity);
        assert_eq!((scene.sandbox.token_requests(), scene.sandbox.renewals()), (2, 1), "one mint, one renewal");

        // Once more, from warm snapshots.
        scene.sandbox.advance(LATER);
        for process in &mut processes {
            process.tell(&format!("ahead {}", LATER.as_secs())).await;
        }
        let answers = race(&mut processes).await;
        assert_eq!(scene.identity_of(the_one_token(&answers)), identity);
        assert_eq!((scene.sandbox.token_requests(), scene.sandbox.renewals()), (3, 2));
        for process in &mut processes {
            assert_eq!(process.cart().await, Some(cart.clone()));
        }
    }

    async fn the_first_ten_thousand_calls_of_four_processes_make_one_visitor_with_one_cart(kind: Kind) {
        let scene = Scene::new(kind, Rotation::Same, Pace::PATIENT).await;
        let mut processes = scene.start_many(4).await;
        let answers = race(&mut processes).await;
        the_one_token(&answers);
        let cart = processes[0].add_to_cart().await;
        for process in &mut processes {
            assert_eq!(process.cart().await.as_ref(), Some(&cart));
        }
        assert_eq!((scene.sandbox.token_requests(), scene.sandbox.mints()), (1, 1));
    }
}
