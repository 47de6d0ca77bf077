//! What cannot be used is told, with its exit code; nothing is sent, minted or lost.

use wix_visitor_testkit::ledger::note_secret;

use crate::support::{CART, CLIENT_ID, PRODUCTS, User, sandbox, sdk_json};

/// Runs each with a visitor that exists, and sees that it is the same afterwards and that nothing arrived anywhere.
fn all_refused(cases: &[(&[&str], i32, &str)]) {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let token = user.token();
    let requests = sandbox.log().len();
    for (words, code, says) in cases {
        let said = user.run(words).failed(*code, says);
        assert!(said.errors().starts_with("error: "), "{said:?}");
        assert_eq!(sandbox.log().len(), requests, "{words:?} sent something");
    }
    assert_eq!(user.token(), token);
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 1));
}

#[test]
fn a_client_id_that_cannot_be_one_is_refused() {
    all_refused(&[
        (&["--client-id", "", "token"], 2, "the client id is empty"),
        (&["--client-id", "  ", "token"], 2, "the client id is empty"),
        (&["--client-id", "not/an/id", "token"], 2, "00000000-0000"),
        (&["--client-id", "", "status"], 2, "the client id is empty"),
        (&["--client-id", "", "--sandbox", "--api-url", "http://127.0.0.1:1", "token"], 2, "the client id is empty"),
    ]);
    let user = User::new();
    let said = user.run(&["token"]).failed(2, "there is no client id");
    assert!(said.errors().contains("Headless Settings") && said.errors().contains("--sandbox"));
}

#[test]
fn an_api_url_that_is_not_safe_is_refused_and_not_repeated() {
    const PASSWORD: &str = "correct-horse-battery-staple";
    note_secret(PASSWORD);
    let with_password = format!("https://user:{PASSWORD}@www.wixapis.com");
    all_refused(&[
        (&["--api-url", "http://www.wixapis.com", "token"], 2, "use https"),
        (&["--api-url", &with_password, "token"], 2, "user name or password"),
        (&["--api-url", "ftp://127.0.0.1", "token"], 2, "neither https nor http"),
        (&["--api-url", "", "token"], 2, "cannot be read"),
        (&["--api-url", "http://127.0.0.1:1/?x", "call", "GET", "/"], 2, "query"),
    ]);
    let said = User::new().run(&["--client-id", "a", "--api-url", &with_password, "doctor"]);
    assert_eq!(said.code, Some(2));
    assert!(!said.stdout.contains(PASSWORD), "{}", said.stdout);
}

#[test]
fn a_store_url_that_names_no_store_is_refused_and_not_repeated() {
    const PASSWORD: &str = "hunter2-hunter2-hunter2";
    note_secret(PASSWORD);
    let unknown = format!("mongodb://user:{PASSWORD}@host/");
    let mistyped = format!("redis://user:{PASSWORD}@host?timeout=5");
    let nobody_there = format!("redis://user:{PASSWORD}@127.0.0.1:1?timeout_ms=300");
    let no_kind = format!("user:{PASSWORD}@host");
    all_refused(&[
        (&["--store", "", "token"], 2, "names no kind of store"),
        (&["--store", "visitors.db", "token"], 2, "memory:, file:DIR, sqlite:PATH, redis://HOST"),
        (&["--store", "sqlite:", "token"], 2, "names a path"),
        (&["--store", "sqlite:x.db?speed=high", "token"], 2, "timeout_ms and synchronous"),
        (&["--store", "sqlite:x.db?timeout_ms=2000", "token"], 2, "set a smaller timeout_ms"),
        (&["--store", "file:v?timeout_ms=2000", "export"], 2, "set a smaller timeout_ms"),
        (&["--store", "redis://h?timeout_ms=2000", "status"], 2, "set a smaller timeout_ms"),
        (&["--store", "memory:x", "token"], 2, "memory:"),
        (&["--store", "file:", "token"], 2, "names a path"),
        (&["--store", "redis:localhost", "token"], 2, "redis://"),
        (&["--store", &mistyped, "token"], 2, "timeout_ms"),
        (&["--store", &nobody_there, "token"], 5, "127.0.0.1:1"),
        (&["--store", "sqlite:~/visitors.db", "token"], 2, "write it in full"),
        (&["--store", "sqlite::memory:", "token"], 3, "the store URL for it is memory:"),
        (&["--store", &unknown, "token"], 2, "no kind of store called"),
        (&["--store", &no_kind, "token"], 2, "no kind of store called"),
        // In a wrong place.
        (&[&unknown, "token"], 2, "(not shown)"),
        (&["token", &unknown], 2, "(not shown)"),
    ]);
}

#[test]
fn a_store_that_is_named_twice_or_in_a_file_that_is_none_is_refused() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_STORE_FILE", "store-url");
    let twice = User::of(&sandbox).with("WIX_VISITOR_STORE_FILE", "x").with("WIX_VISITOR_STORE", "memory:");
    twice.run(&["token"]).failed(2, "named twice");
    user.run(&["token"]).failed(2, "cannot read the store's URL from the file store-url");
    user.file("store-url", " \n");
    user.run(&["token"]).failed(2, "names no kind of store");
    user.file("store-url", "memory:\nsqlite:other.db\n");
    user.run(&["token"]).failed(2, "holds more than one line");
    user.file("store-url", b"\xff\xfe");
    user.run(&["token"]).failed(2, "does not hold a URL");
    user.file("store-url", "x".repeat(70_000));
    user.run(&["token"]).failed(2, "larger than");
    assert!(sandbox.log().is_empty());
}

#[test]
fn an_empty_visitor_key_is_refused() {
    all_refused(&[
        (&["--visitor", "", "token"], 2, "the visitor key is empty"),
        (&["--visitor", "", "call", "GET", CART], 2, "the visitor key is empty"),
        (&["--visitor", "", "forget"], 2, "the visitor key is empty"),
    ]);
}

#[test]
fn a_call_that_cannot_be_made_is_refused_before_anything_is_sent() {
    all_refused(&[
        (&["call", "GET", "https://evil.example/steal"], 2, "will not send a token there"),
        (&["call", "GET", "//evil.example/"], 2, "another host"),
        (&["call", "GET", "http://127.0.0.1:1/"], 2, "will not send a token there"),
        (&["call", "GET", "no/slash"], 2, "must start with `/`"),
        (&["call", "FETCH", "/"], 2, "one of GET"),
        (&["call", "/ecom", "GET"], 2, "one of GET"),
        (&["call", "POST", PRODUCTS, "-d", "{not json}"], 2, "the body is not JSON: it stops being that at line 1"),
        (&["call", "POST", PRODUCTS, "-d", ""], 2, "the body is not JSON"),
        (&["call", "POST", PRODUCTS, "-d", "-"], 2, "the body is not JSON"),
        (&["call", "POST", PRODUCTS, "-d", "{} {}"], 2, "the body is not JSON"),
        (
            &["call", "POST", PRODUCTS, "-d", "x", "-H", "content-type: application/json;charset=utf-8"],
            2,
            "the body is not JSON",
        ),
        (&["call", "POST", PRODUCTS, "-d", "@missing.json"], 2, "cannot read the body from the file missing.json"),
        (&["call", "GET", "/", "-H", "no colon"], 2, "'Name: value'"),
        (&["call", "GET", "/", "-H", "Authorization: mine"], 2, "authorization"),
        (&["call", "GET", "/", "-H", "Host: evil.example"], 2, "host"),
        (&["call", "GET"], 2, "<PATH>"),
    ]);
}

#[test]
fn a_call_that_cannot_be_made_mints_nobody() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.run(&["call", "GET", "https://evil.example/"]).failed(2, "will not send a token there");
    user.run(&["call", "POST", PRODUCTS, "-d", "no"]).failed(2, "not JSON");
    assert!(sandbox.log().is_empty());
    assert_eq!(user.status()["exists"], false);
}

#[test]
fn a_call_that_cannot_be_made_renews_nothing() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let issued = sandbox.visitor_tokens(CLIENT_ID).unwrap();
    user.run_with(&["import"], sdk_json(&issued, "visitor", 600)).done();
    assert_eq!(user.status()["due"], true);
    user.run(&["call", "GET", "https://evil.example/"]).failed(2, "will not send a token there");
    user.run(&["call", "POST", PRODUCTS, "-d", "no"]).failed(2, "not JSON");
    assert!(sandbox.log().is_empty());
}

#[test]
fn an_import_of_what_holds_no_refresh_token_is_refused_and_repeats_nothing() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let token = user.token();
    let stranger = sandbox.visitor_tokens(CLIENT_ID).unwrap();
    let json = sdk_json(&stranger, "visitor", 3600);
    let without = json.replace(&stranger.refresh, "");
    for (input, says) in [
        ("", "not the token JSON"),
        ("{}", "no refresh token"),
        ("null", "no refresh token"),
        ("[]", "not the token JSON"),
        (&without, "no refresh token"),
        (&json[..json.len() - 3], "it stops being JSON at line 1"),
        (&stranger.refresh, "it stops being JSON at line 1"),
    ] {
        user.run_with(&["import"], input).failed(2, says);
    }
    user.run_with(&["import"], b"\xff\xfe").failed(2, "not UTF-8");
    let much = user.run_with(&["import"], vec![b' '; 1024 * 1024 + 1]);
    much.failed(2, "cannot read the tokens from standard input: it is larger than 1048576 bytes");
    user.run(&["import", "missing.json"]).failed(2, "cannot read the tokens from the file missing.json");
    user.run(&["import", "."]).failed(2, "cannot read the tokens");
    // The tokens themselves in place of a file.
    user.run(&["import", &json]).failed(2, "not shown");
    user.run(&["import", &stranger.refresh]).failed(2, "not shown");
    assert_eq!(user.token(), token);
    assert_eq!(sandbox.token_requests(), 1);
}

#[test]
fn a_slip_on_the_command_line_is_a_usage_error() {
    all_refused(&[
        (&["tokn"], 2, "a similar subcommand exists: 'token'"),
        (&["token", "--heade"], 2, "--header"),
        (&["status", "extra-words-that-may-be-a-key"], 2, "(not shown)"),
        (&["sandbox", "--listen", "0.0.0.0:0"], 2, "loopback only"),
        (&["sandbox", "--listen", "nonsense"], 2, "--listen"),
        (&["sandbox", "--rotation", "fast"], 2, "same, new, grace, strict"),
        (&["sandbox", "--fault", "renewal: reset"], 2, "known requests: mint, renew, token, token-info, /PATH, any"),
        (
            &["sandbox", "--fault", "renew: explode"],
            2,
            "`explode` is nothing that happens in a fault; known: status=NNN",
        ),
        (&["sandbox", "--fault", "renew: status=never"], 2, "200 to 599"),
    ]);
    let said = User::new().run(&[]);
    assert_eq!(said.code, Some(2));
    assert!(said.errors().contains("Usage: wix-visitor"));
}

#[test]
fn errors_are_objects_where_json_is_asked_for() {
    for (words, kind) in [
        (&["--json", "token"][..], "usage"),
        (&["tokn", "--json"], "usage"),
        (&["--json", "--client-id", "", "token"], "invalid_input"),
    ] {
        let said = User::new().run(words);
        let error: serde_json::Value = serde_json::from_str(said.errors().trim()).unwrap();
        assert_eq!((&error["error"]["kind"], &error["error"]["exit"]), (&kind.into(), &2.into()), "{said:?}");
        assert!(!error["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_usage_error_names_what_is_missing_in_json_too() {
    let said = User::new().run(&["--json", "call"]);
    let error: serde_json::Value = serde_json::from_str(said.errors().trim()).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert_eq!(message, "the following required arguments were not provided: <METHOD> <PATH>");
}

#[test]
fn a_path_with_a_tilde_makes_no_directory_of_that_name() {
    let user = User::new().with("WIX_CLIENT_ID", CLIENT_ID);
    user.run(&["--sandbox", "--store", "sqlite:~/x.db", "token"]).failed(2, "write it in full");
    assert!(!user.path("~").exists());
}

#[test]
fn words_of_any_kind_end_the_command_in_order_and_are_not_repeated_at_length() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let identity = {
        user.token();
        user.identity(&sandbox)
    };
    let long = "x".repeat(100_000);
    let words = ["", " ", "-", "-1", "\u{1}\u{1b}[2J", "\u{202e}e\u{301}\u{1f600}", "99999999999999999999999", &long];
    let places: [&[&str]; 16] = [
        &["token", "--client-id"],
        &["status", "--api-url"],
        &["status", "--store"],
        &["status", "--keys"],
        &["call", "GET"],
        &["call"],
        &["call", "GET", CART, "-H"],
        &["call", "GET", CART, "-d"],
        &["import"],
        &["inspect"],
        &["list", "--limit"],
        &["list", "--after"],
        &["keys", "promote"],
        &["migrate", "--to"],
        &["sandbox", "--fault"],
        &["sandbox", "--token-ttl"],
    ];
    for (place, word) in places.iter().flat_map(|place| words.map(|word| (place, word))) {
        let harmless = place[0] == "call" && place.contains(&"-d") || place[0] == "sandbox" && word.starts_with('9');
        if harmless {
            continue;
        }
        let said = user.run(&[place, &[word][..]].concat());
        assert!(said.code.is_some_and(|code| code != 101) && !said.stderr.contains("panicked"), "{place:?}: {said:?}");
        assert!(said.stderr.len() < 10_000, "{place:?} repeats what it was given");
    }
    let said = user.run_with(&["import", "-"], vec![0xff; 2 << 20]).failed(2, "larger than");
    assert!(said.stderr.len() < 10_000);
    assert_eq!(user.identity(&sandbox), identity);
    assert_eq!(sandbox.mints(), 1);
}
