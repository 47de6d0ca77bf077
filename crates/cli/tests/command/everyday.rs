//! Every command, when all goes well.

use std::time::Duration;

use serde_json::json;
use wix_visitor_testkit::sandbox::{Authorization, Encoding, RequestKind};

use crate::support::{CART, CLIENT_ID, PRODUCTS, User, mug, run, sandbox, sdk_json};

#[test]
fn the_first_token_mints_and_every_later_one_is_the_same_visitors() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let first = user.token();
    assert_eq!(user.token(), first);
    let said = user.run(&["token", "--header"]).done();
    assert_eq!(said.stdout, format!("Authorization: {first}\n"));
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 1));
    assert_eq!(sandbox.log()[0].encoding, Some(Encoding::Json));
}

#[test]
fn a_command_closes_the_database_it_wrote_to_so_that_all_is_in_one_file() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    for command in ["token", "renew", "status", "forget", "token"] {
        user.run(&[command]).done();
        let log = format!("{}-wal", user.database().display());
        assert!(user.database().exists() && !std::path::Path::new(&log).exists(), "after {command}");
    }
}

#[test]
fn nothing_but_the_token_is_printed() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let said = user.run(&["token"]).done();
    assert_eq!((said.errors().as_str(), said.stdout.lines().count()), ("", 1));
}

#[test]
fn the_header_line_goes_through_a_pipe_into_curl() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.run(&mug()).done();
    let script =
        format!("wix-visitor token --header | curl --silent --show-error --fail -H @- {}{CART}", sandbox.url());
    let said = run(user.shell(&script), b"");
    if said.stderr.contains("curl: not found") {
        panic!("curl is not installed; install it with: apt-get install curl");
    }
    assert_eq!(said.done().json()["cart"]["lineItems"][0]["quantity"], 2);
    assert_eq!(sandbox.mints(), 1);
}

#[test]
fn status_tells_what_is_known_and_changes_nothing() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let before = user.status();
    assert_eq!((&before["exists"], &before["role"]), (&json!(false), &json!("none")));
    let text = user.run(&["status"]).done().stdout;
    assert!(text.contains("does not exist yet") && text.contains("visitors.db, which is not there yet"), "{text}");
    assert_eq!(before["store"], json!({ "kind": "sqlite", "path": user.database(), "exists": false }));
    user.run(&["export"]).failed(1, "no tokens to export");
    let nobody = User::new();
    nobody.run(&["--sandbox", "status"]).done();
    assert!(!user.path("wix-visitor").exists() && !nobody.path("wix-visitor").exists(), "looking made something");
    assert!(sandbox.log().is_empty());

    user.token();
    let status = user.status();
    for (field, value) in [
        ("exists", json!(true)),
        ("forgotten", json!(false)),
        ("role", json!("visitor")),
        ("usable", json!(true)),
        ("due", json!(false)),
        ("renewable", json!(true)),
        ("generation", json!(0)),
        ("epoch", json!(0)),
        ("claimed", json!(false)),
        ("alternates", json!(0)),
        ("last_error", json!(null)),
        ("saved", json!(true)),
        ("client_id", json!(CLIENT_ID)),
        ("issuer", json!(sandbox.url())),
        ("store", json!({ "kind": "sqlite", "path": user.database(), "exists": true })),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    assert!((14_300..=14_400).contains(&status["expires_in"].as_i64().unwrap()));
    let text = user.run(&["status"]).done().stdout;
    for word in ["role        visitor", "usable until 20", "Z (in 3 h 59 min)", "claim       none", "visitors.db"] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert_eq!(sandbox.log().len(), 1);
}

#[test]
fn renew_brings_a_new_token_to_the_same_visitor() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let first = user.token();
    let said = user.run(&["renew"]).done();
    assert_eq!(said.stdout, "");
    assert!(said.errors().starts_with("renewed: access token usable until 20"), "{said:?}");
    assert_ne!(user.token(), first);
    assert_eq!(user.run(&["renew", "--json"]).done().json()["generation"], 2);
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 2));
}

#[test]
fn there_is_nothing_to_renew_or_to_export_before_the_first_token() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.run(&["renew"]).failed(2, "`wix-visitor token` mints a visitor");
    user.run(&["export"]).failed(1, "no tokens to export");
    assert!(sandbox.log().is_empty());
}

#[test]
fn a_token_that_is_due_is_handed_out_and_then_renewed_for_the_next_run() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let issued = sandbox.visitor_tokens(CLIENT_ID).unwrap();
    user.run_with(&["import"], sdk_json(&issued, "visitor", 600)).done();
    assert_eq!(user.status()["due"], true);
    assert_eq!(user.token(), issued.access);
    assert_ne!(user.token(), issued.access);
    assert_eq!((sandbox.renewals(), sandbox.mints()), (1, 0));
    assert_eq!(user.identity(&sandbox), issued.identity);
}

#[tokio::test]
async fn a_token_that_still_works_is_printed_while_its_renewal_hangs() {
    use std::io::BufRead as _;
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let issued = sandbox.visitor_tokens(CLIENT_ID).unwrap();
    user.run_with(&["import"], sdk_json(&issued, "visitor", 600)).done();
    let gate = sandbox.hold_renewals();
    let mut child = user.start(&["token"]);
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), issued.access);
    gate.arrived().await;
    // A run meanwhile finds the claim taken, and does not wait for it.
    assert_eq!(user.token(), issued.access);
    gate.release();
    assert!(child.wait().unwrap().success());
    assert_ne!(user.token(), issued.access);
}

#[test]
fn call_prints_the_answer_and_sends_what_it_was_given() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let said = user.run(&["call", "post", PRODUCTS, "-d", r#"{"query":{"cursorPaging":{"limit":2}}}"#]).done();
    assert_eq!(said.json()["products"].as_array().unwrap().len(), 2);
    let log = sandbox.log();
    let call = log.last().unwrap();
    assert_eq!((call.kind, call.authorization), (RequestKind::Api, Authorization::Bare));
    assert_eq!(call.header("content-type"), Some("application/json"));

    let echo = "/_sandbox/echo?a=b";
    let file = user.file("body.json", r#"{"from":"a file"}"#);
    for (data, input, body) in [
        (format!("@{file}"), "", r#"{"from":"a file"}"#),
        ("-".to_owned(), r#"{"from":"stdin"}"#, r#"{"from":"stdin"}"#),
        (r#"["literal"]"#.to_owned(), "", r#"["literal"]"#),
    ] {
        let said = user.run_with(&["call", "PUT", echo, "-d", &data, "-H", "X-Mine: some: thing"], input).done();
        let echoed = said.json();
        assert_eq!(echoed["body"], body, "{data}");
        assert!(said.stdout.contains("some: thing"));
    }
    let said = user.run(&["call", "POST", echo, "-d", "plain", "-H", "Content-Type: text/plain"]).done();
    assert_eq!(said.json()["body"], "plain");
    let whole = format!("{}{echo}", sandbox.url());
    user.run(&["call", "GET", &whole]).done();
    assert_eq!(sandbox.mints(), 1);
}

#[test]
fn include_prints_what_the_api_sent_and_not_what_we_sent() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let said = user.run(&["call", "GET", "/_sandbox/status/204", "--include"]).done();
    assert!(said.stdout.starts_with("HTTP 204 No Content\r\n"), "{}", said.stdout);
    assert!(said.stdout.contains("x-wix-request-id: ") && said.stdout.ends_with("\r\n\r\n"));
    assert!(!said.stdout.to_lowercase().contains("authorization:"));
}

#[test]
fn an_answer_of_400_and_above_is_printed_and_gives_the_exit_code_7() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let said = user.run(&["call", "GET", CART]);
    assert_eq!(said.code, Some(7));
    assert!(said.stdout.contains("OWNED_CART_NOT_FOUND"));
    assert!(said.errors().contains("(status 404) (request id "), "{said:?}");

    let said = user.run(&["--json", "call", "GET", CART]);
    let error: serde_json::Value = serde_json::from_str(said.errors().trim()).unwrap();
    assert_eq!((&error["error"]["kind"], &error["error"]["status"]), (&json!("api_error"), &json!(404)));
    assert_eq!((said.code, &error["error"]["exit"]), (Some(7), &json!(7)));
}

#[test]
fn a_rejected_token_is_renewed_and_the_call_made_once_more() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.run(&mug()).done();
    sandbox.revoke_all_access().unwrap();
    assert!(user.run(&["call", "GET", CART]).done().stdout.contains("lineItems"));
    assert_eq!((sandbox.mints(), sandbox.renewals()), (1, 1));
}

#[test]
fn tokens_go_out_and_come_back_unchanged() {
    let sandbox = sandbox();
    let (one, two) = (User::of(&sandbox), User::of(&sandbox));
    one.run(&mug()).done();
    let exported = one.run(&["export"]).done().stdout;
    assert_eq!(exported.lines().count(), 1);

    let said = two.run_with(&["import", "-"], &exported).done();
    assert_eq!(said.stdout, "");
    assert!(said.errors().starts_with("imported: tokens of the role visitor; access token usable"), "{said:?}");
    assert_eq!(two.run(&["export"]).done().stdout, exported);
    assert!(two.run(&["call", "GET", CART]).done().stdout.contains("lineItems"));

    let file = two.file("tokens.json", format!("{exported}\n"));
    two.run(&["forget"]).done();
    two.run(&["import", &file]).done();
    assert_eq!(two.run(&["export"]).done().stdout, exported);
    assert_eq!(sandbox.token_requests(), 1);
}

#[test]
fn a_member_comes_in_by_import_and_stays_one() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let member = sandbox.member_tokens(CLIENT_ID).unwrap();
    user.run_with(&["import"], sdk_json(&member, "member", 3600 * 4)).done();
    assert_eq!(user.status()["role"], "member");
    user.run(&["renew"]).done();
    assert!(user.run(&["call", "GET", "/members/v1/members/my"]).done().stdout.contains(&member.identity));
    assert_eq!(sandbox.mints(), 0);
}

#[test]
fn who_is_forgotten_is_gone_and_the_next_token_is_a_new_visitors() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.token();
    let first = user.identity(&sandbox);
    assert!(user.run(&["forget"]).done().errors().starts_with("forgotten:"));
    assert_eq!(user.status()["forgotten"], true);
    user.run(&["export"]).failed(1, "no tokens");
    assert_eq!(sandbox.mints(), 1);
    user.token();
    assert_ne!(user.identity(&sandbox), first);
    assert_eq!(sandbox.mints(), 2);
}

#[test]
fn visitors_with_different_keys_are_different_visitors() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let one = user.token();
    let other = user.run(&["--visitor", "other", "token"]).done().stdout;
    assert_ne!(other.trim(), one);
    assert_eq!(user.token(), one);
    assert_eq!(sandbox.mints(), 2);
}

#[test]
fn the_memory_store_works_and_forgets() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_STORE", "memory:");
    user.run(&["call", "POST", PRODUCTS, "-d", "{}"]).done();
    user.token();
    assert_eq!(user.status()["exists"], false);
    assert_eq!(user.status()["store"], json!({ "kind": "memory", "path": null, "exists": true }));
    assert_eq!(sandbox.mints(), 2);
    assert!(!user.database().exists());
}

#[test]
fn the_stores_url_may_stand_in_a_file() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let url = format!("  sqlite:{}\n", user.path("elsewhere.db").display());
    let file = user.file("store-url", url);
    let user = user.with("WIX_VISITOR_STORE_FILE", file);
    user.token();
    assert!(user.path("elsewhere.db").exists() && !user.database().exists());
}

#[test]
fn the_option_wins_over_the_variables_and_an_empty_variable_is_none() {
    let sandbox = sandbox();
    let store = |user: &User, name: &str| format!("sqlite:{}", user.path(name).display());
    let user = User::of(&sandbox).with("WIX_VISITOR_STORE_FILE", "no-such-file");
    user.run(&["--store", &store(&user, "one.db"), "token"]).done();
    let user = user.with("WIX_VISITOR_STORE", "nonsense");
    user.run(&["token", "--store", &store(&user, "two.db")]).done();
    assert!(user.path("one.db").exists() && user.path("two.db").exists());

    let unset = |name| User::of(&sandbox).with(name, "");
    for name in ["WIX_VISITOR_STORE", "WIX_VISITOR_STORE_FILE"] {
        let user = unset(name);
        user.token();
        assert!(user.database().exists(), "{name}");
    }
    let user = unset("WIX_VISITOR");
    user.token();
    user.run(&["--visitor", "default", "export"]).done();
    unset("WIX_CLIENT_ID").run(&["token"]).failed(2, "there is no client id");
    unset("WIX_API_URL").run(&["--sandbox", "token"]).done();
}

#[test]
fn a_store_in_capitals_is_the_same_store() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let path = user.path("Mine.db");
    let user = user.with("WIX_VISITOR_STORE", format!("SQLITE:{}", path.display()));
    user.token();
    assert_eq!(user.status()["store"], json!({ "kind": "sqlite", "path": path, "exists": true }));
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_private_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    run(user.shell("umask 0; wix-visitor token"), b"").done();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&user.database()), mode(user.database().parent().unwrap())), (0o600, 0o700));
}

#[test]
fn doctor_finds_nothing_wrong_and_neither_mints_nor_renews() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let said = user.run(&["doctor"]).done();
    assert!(said.stdout.contains("does not exist yet; the next `wix-visitor token`"), "{}", said.stdout);
    assert_eq!(user.status()["exists"], false);

    user.token();
    let said = user.run(&["doctor"]).done();
    assert!(said.stdout.contains("knows the access token as a visitor's"), "{}", said.stdout);
    assert!(!said.stdout.contains('✗'));
    sandbox.advance(Duration::from_secs(5 * 3600));
    assert!(user.run(&["doctor"]).done().stdout.contains("no longer good, and is renewed when needed"));
    let report = user.run(&["doctor", "--json"]).done().json();
    assert_eq!((&report["ok"], report["checks"].as_array().unwrap().len()), (&json!(true), 5));
    assert_eq!(sandbox.token_requests(), 1);
}
