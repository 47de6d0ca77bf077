//! Several processes on one database, all in need of a token at the same moment.

use wix_visitor_testkit::sandbox::Rotation;
use wix_visitor_tests::halting::Step;

use crate::child::{Called, Pace, VisitorProcess};
use crate::scene::{LATER, Scene};

const CALLERS: usize = 50;

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

#[tokio::test]
async fn two_processes_with_an_expired_token_ask_for_one_grant_and_both_serve_what_it_brought() {
    let mut scene = Scene::new(Rotation::Strict, Pace::PATIENT);
    let (identity, cart) = scene.expired_visitor().await;
    let mut processes = scene.start_many(2).await;
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

#[tokio::test]
async fn the_first_calls_of_four_processes_make_one_visitor() {
    let scene = Scene::new(Rotation::Same, Pace::PATIENT);
    let mut processes = scene.start_many(4).await;
    let answers = race(&mut processes).await;
    the_one_token(&answers);
    assert_eq!((scene.sandbox.token_requests(), scene.sandbox.mints()), (1, 1));
}
