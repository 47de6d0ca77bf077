//! When Wix refuses, fails or says something odd.

use serde_json::Value;
use wix_visitor_testkit::sandbox::{ClientIds, Fault, Sandbox, SandboxOptions};

use crate::support::{CART, CLIENT_ID, PRODUCTS, User, mug, sandbox, sdk_json};

#[test]
fn a_client_id_that_the_endpoint_refuses_is_misconfigured_and_costs_no_token() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.run(&mug()).done();
    let before = user.exported();
    sandbox.set(|switches| switches.client_ids = ClientIds::only(["11111111-2222-4333-8444-555555555555"]));
    let said = user.run(&["renew"]).failed(3, "compare the client id");
    assert!(said.errors().contains("what to do: no token was touched"), "{said:?}");
    // The token itself is still good.
    assert!(user.exported() == before, "the tokens have changed");
    assert!(user.run(&["call", "GET", CART]).done().stdout.contains("lineItems"));
    assert_eq!(sandbox.mints(), 1);

    let stranger = User::of(&sandbox);
    stranger.run(&["token"]).failed(3, "compare the client id");
    stranger.run(&["--client-id", "no-guid", "token"]).failed(3, "GUID");
    assert_eq!((sandbox.mints(), stranger.status()["renewable"].clone()), (1, false.into()));
}

#[test]
fn an_endpoint_that_fails_costs_nothing_and_is_left_in_peace() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let token = user.token();
    sandbox.fault(Fault::on_renew().status(503).retry_after(600));
    let said = user.run(&["--json", "renew"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    let error: Value = serde_json::from_str(said.errors().trim()).unwrap();
    assert_eq!((&error["error"]["kind"], &error["error"]["status"]), (&"unavailable".into(), &503.into()));
    assert!(error["error"]["retry_in"].as_f64().unwrap() > 500.0);
    assert!(error["error"]["request_id"].is_string());

    // Another run within the pause asks nobody, and the present token serves.
    user.run(&["renew"]).failed(4, "try again in");
    assert_eq!(user.token(), token);
    assert!(user.status()["last_error"].is_string() && user.status()["paused_for"].as_f64().unwrap() > 500.0);
    let said = user.run(&["doctor"]);
    assert!(said.code == Some(4) && said.stdout.contains("✗ grant"), "{}", said.stdout);
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 2));
}

#[test]
fn a_token_that_is_due_serves_where_it_cannot_be_renewed() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let issued = sandbox.visitor_tokens(CLIENT_ID).unwrap();
    user.run_with(&["import"], sdk_json(&issued, "visitor", 600)).done();
    sandbox.fault(Fault::on_renew().status(503).always());
    let said = user.run(&["token"]).done();
    assert!(said.stdout.trim() == issued.access, "another token");
    assert!(said.errors().contains("warning: the present token serves"), "{said:?}");
    user.run(&["call", "POST", PRODUCTS, "-d", "{}"]).done();
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (0, 1));
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_unavailable() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_API_URL", "http://127.0.0.1:1");
    user.run(&["token"]).failed(4, "connection refused");
    let said = user.run(&["doctor"]);
    assert!(said.code == Some(4) && said.stdout.contains("✗ endpoint"), "{}", said.stdout);
    assert_eq!(user.status()["exists"], false);
}

#[test]
fn a_token_reply_of_10_mb_is_refused() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let token = user.token();
    sandbox.fault(Fault::on_renew().oversize(10 << 20));
    user.run(&["renew"]).failed(4, "larger than any token reply");
    assert_eq!(user.token(), token);
    assert_eq!(sandbox.mints(), 1);

    // Also where it is the first one.
    let first = Sandbox::start_on_thread(SandboxOptions::new()).unwrap();
    first.fault(Fault::on_mint().oversize(10 << 20));
    let user = User::of(&first);
    user.run(&["token"]).failed(4, "larger than any token reply");
    assert_eq!(user.status()["role"], "none");
    assert_eq!(first.token_requests(), 1);
}

#[test]
fn an_odd_reply_is_no_token() {
    for fault in [Fault::on_renew().html(), Fault::on_renew().empty(), Fault::on_renew().body("[]")] {
        let sandbox = sandbox();
        let user = User::of(&sandbox);
        let token = user.token();
        sandbox.fault(fault);
        user.run(&["renew"]).failed(4, "the API URL right?");
        assert_eq!(user.token(), token);
        assert_eq!(sandbox.mints(), 1);
    }
}

#[test]
fn a_members_session_that_has_ended_is_told_and_never_replaced() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let member = sandbox.member_tokens(CLIENT_ID).unwrap();
    user.run_with(&["import"], sdk_json(&member, "member", -60)).done();
    sandbox.revoke_refresh(&member.refresh).unwrap();
    for words in [&["token"][..], &["call", "GET", CART], &["renew"]] {
        let said = user.run(words).failed(6, "session");
        assert!(said.errors().contains("`wix-visitor forget` goes on as a new visitor"), "{said:?}");
    }
    let said = user.run(&["doctor"]);
    assert!(said.code == Some(6) && said.stdout.contains("✗ visitor"), "{}", said.stdout);
    assert_eq!((sandbox.mints(), user.status()["role"].clone()), (0, "member".into()));

    user.run(&["forget"]).done();
    user.token();
    assert_eq!(sandbox.mints(), 1);
}

#[test]
fn a_visitor_that_is_lost_is_replaced_with_a_warning() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.run(&mug()).done();
    let first = user.identity(&sandbox);
    sandbox.revoke_visitor(&first).unwrap();
    let said = user.run(&["call", "GET", CART]);
    assert_eq!(said.code, Some(7));
    assert!(said.errors().contains("warning: the visitor was lost: every refresh token was refused"), "{said:?}");
    assert_ne!(user.identity(&sandbox), first);
    assert_eq!(sandbox.mints(), 2);
    // Told once: the new visitor is nobody's loss.
    assert!(!user.run(&["token"]).done().errors().contains("lost"));
}

#[test]
fn doctor_says_whose_tokens_they_are_when_the_client_id_is_another() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let issued = sandbox.visitor_tokens("11111111-2222-4333-8444-555555555555").unwrap();
    user.run_with(&["import"], sdk_json(&issued, "visitor", 3600 * 4)).done();
    let said = user.run(&["doctor"]);
    assert!(said.code == Some(3) && said.stdout.contains("issued to the app 11111111-2222"), "{}", said.stdout);
}
