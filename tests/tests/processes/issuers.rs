//! Two issuers with one store, one client id and one visitor key: the sandbox first, then Wix.

use std::time::Duration;

use wix_visitor::{AccessToken, Clock, RefreshToken, Role, Tokens};
use wix_visitor_testkit::sandbox::{Rotation, Sandbox, SandboxOptions};
use wix_visitor_tests::instance::CLIENT_ID;

use crate::child::{Pace, VisitorProcess};
use crate::place::on_every_kind;
use crate::scene::Scene;

on_every_kind! {
    async fn visitors_carts_and_sign_ins_of_two_issuers_never_cross(kind: Kind) {
        let scene = Scene::new(kind, Rotation::Same, Pace::PATIENT).await;
        let other = Sandbox::start_on_thread(SandboxOptions::new()).unwrap();
        let store = scene.store_url();
        let on_other = || VisitorProcess::start(&other, &store, &scene.key, Pace::PATIENT, Duration::ZERO);

        let (mut here, mut there) = (scene.start().await, on_other().await);
        let token_here = here.call(1).await.token().to_owned();
        let token_there = there.call(1).await.token().to_owned();
        let issued = |sandbox: &Sandbox, token: &str| {
            sandbox.log().iter().any(|entry| entry.issued_access.as_deref() == Some(token))
        };
        assert!(issued(&scene.sandbox, &token_here) && issued(&other, &token_there));
        here.add_to_cart().await;
        assert_eq!(there.cart().await, None);
        here.end().await;
        there.end().await;

        // A sign-in here is not seen there, nor is the token that it ended sent there.
        let (site, clock) = scene.site().await;
        let member = scene.sandbox.member_tokens(CLIENT_ID).unwrap();
        let ends = clock.wall() + Duration::from_secs(member.expires_in);
        let tokens =
            Tokens::new(Some(AccessToken::new(member.access, ends)), Some(RefreshToken::new(member.refresh, Role::Member)));
        site.visitor(&scene.key).set_tokens(tokens).await.unwrap();
        site.shutdown().await.unwrap();

        let (mut here, mut there) = (scene.start().await, on_other().await);
        assert_eq!(here.status().await["logged_in"], true);
        assert_eq!(here.cart().await, None, "the member has a cart of its own");
        assert_eq!(there.status().await["logged_in"], false);
        assert_eq!(there.call(1).await.token(), token_there);
        assert_eq!((scene.sandbox.mints(), scene.sandbox.token_requests()), (1, 1));
        assert_eq!((other.mints(), other.token_requests(), other.counters().unauthorized), (1, 1, 0));
    }
}
