//! Rows B1 to B3 over the real HTTP stack and SQLite: ten thousand callers in one process.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use wix_visitor::{Authorization, Error, ErrorKind, Site, SiteVisitor};
use wix_visitor_testkit::sandbox::{Fault, Rotation, fingerprint};

use crate::child::{Pace, within};
use crate::place::{Kind, on_every_kind};
use crate::scene::{LATER, Scene};

const CALLERS: usize = 10_000;

/// Callers who are on their way.
pub(crate) struct Herd {
    calls: JoinSet<Result<Authorization, Error>>,
    asked: watch::Receiver<usize>,
    callers: usize,
}

impl Herd {
    pub(crate) fn send(visitor: &SiteVisitor, callers: usize) -> Self {
        let count = Arc::new(watch::Sender::new(0));
        let asked = count.subscribe();
        let mut calls = JoinSet::new();
        for _ in 0..callers {
            let (visitor, count) = (visitor.clone(), Arc::clone(&count));
            calls.spawn(async move {
                let mut call = std::pin::pin!(visitor.authorization());
                let mut counted = false;
                std::future::poll_fn(|cx| {
                    let answer = call.as_mut().poll(cx);
                    if !std::mem::replace(&mut counted, true) {
                        count.send_modify(|count| *count += 1);
                    }
                    answer
                })
                .await
            });
        }
        Self { calls, asked, callers }
    }

    /// Waits until every caller has asked.
    pub(crate) async fn asked(&mut self) {
        let callers = self.callers;
        within("all callers", self.asked.wait_for(|asked| *asked == callers)).await.unwrap();
    }

    pub(crate) async fn answers(self) -> Vec<Result<Authorization, Error>> {
        within("all answers", self.calls.join_all()).await
    }

    /// The fingerprint of the one token that all were served.
    pub(crate) async fn one_token(self) -> String {
        let name =
            |answer: Result<Authorization, Error>| fingerprint(std::str::from_utf8(answer.unwrap().as_ref()).unwrap());
        let mut tokens: Vec<_> = self.answers().await.into_iter().map(name).collect();
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        tokens.remove(0)
    }
}

/// A site in this process, and its visitor, whose token has just ended. Returns whose it is. The site is kept: were it dropped while its
/// first flight comes to its end, no more grants would be sent.
async fn expired(kind: Kind) -> (Scene, Site, SiteVisitor, String) {
    let mut scene = Scene::new(kind, Rotation::Strict, Pace::PATIENT).await;
    let (site, clock) = scene.site().await;
    let visitor = site.visitor(&scene.key);
    let identity = scene.identity_of(&Herd::send(&visitor, 1).one_token().await);
    scene.expire();
    clock.advance(LATER);
    (scene, site, visitor, identity)
}

on_every_kind! {
    async fn ten_thousand_callers_of_an_expired_token_make_one_grant(kind: Kind) {
        let (scene, _site, visitor, identity) = expired(kind).await;
        let gate = scene.sandbox.hold_renewals();
        let mut herd = Herd::send(&visitor, CALLERS);
        herd.asked().await;
        gate.release();
        assert_eq!(scene.identity_of(&herd.one_token().await), identity);
        assert_eq!((scene.sandbox.token_requests(), scene.sandbox.renewals()), (2, 1), "one mint, one renewal");
    }

    async fn a_leader_that_goes_away_leaves_ten_thousand_served_by_one_grant(kind: Kind) {
        let (scene, _site, visitor, identity) = expired(kind).await;
        let gate = scene.sandbox.hold_renewals();
        let leader = Herd::send(&visitor, 1);
        within("the leader's grant", gate.arrived()).await;
        let mut herd = Herd::send(&visitor, CALLERS);
        herd.asked().await;
        drop(leader);
        gate.release();
        assert_eq!(scene.identity_of(&herd.one_token().await), identity);
        assert_eq!((scene.sandbox.token_requests(), scene.sandbox.renewals()), (2, 1));
    }

    async fn a_failing_endpoint_gets_one_grant_from_ten_thousand_who_share_one_error(kind: Kind) {
        let (scene, _site, visitor, identity) = expired(kind).await;
        scene.sandbox.fault(Fault::on_renew().status(503).retry_after(600).always());
        let gate = scene.sandbox.hold_renewals();
        let mut herd = Herd::send(&visitor, CALLERS);
        herd.asked().await;
        gate.release();
        let mut answers: Vec<Error> = herd.answers().await.into_iter().map(Result::unwrap_err).collect();
        // The request id names the one request that all were told of.
        answers.dedup_by_key(|error| (error.request_id().map(str::to_owned), error.to_string()));
        assert_eq!(answers.len(), 1, "{answers:?}");
        let shared = answers.remove(0);
        assert_eq!((shared.kind(), shared.status()), (ErrorKind::Unavailable, Some(503)));
        assert!(shared.request_id().is_some() && shared.retry_in().is_some(), "{shared}");

        // Nor does anybody ask again before the pause ends, here or in another process.
        let after = Herd::send(&visitor, CALLERS).answers().await;
        for error in after.into_iter().map(Result::unwrap_err) {
            assert!(error.kind() == ErrorKind::Unavailable && error.retry_in().is_some(), "{error}");
        }
        let elsewhere = scene.start().await.call(100).await;
        assert!(elsewhere.served.is_empty() && elsewhere.failed.len() == 1, "{elsewhere:?}");
        assert!(elsewhere.failed[0].starts_with("Unavailable"), "{elsewhere:?}");
        assert_eq!(scene.sandbox.token_requests(), 2, "one mint, one failed renewal");

        // Once Wix is back and the pause over, it is the same visitor.
        scene.sandbox.clear_faults();
        let tokens = visitor.tokens().await.unwrap();
        let refresh = tokens.refresh.expect("it was kept").value;
        assert_eq!(scene.sandbox.identity_of(refresh.expose()).unwrap(), Some(identity));
    }
}
