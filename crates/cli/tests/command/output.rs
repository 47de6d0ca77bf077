//! Help, logs, pipes that end, and what must never be seen.

use crate::support::{CART, PRODUCTS, User, mug, run, sandbox};

#[test]
fn help_tells_a_newcomer_what_to_do_and_version_which_release_it_is() {
    let user = User::new();
    let help = user.run(&["--help"]).done().stdout;
    for words in [
        "--sandbox call POST /stores/v3/products/query -d '{}'",
        "Headless Settings",
        "Exit codes:",
        "WIX_VISITOR_STORE_FILE",
    ] {
        assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "no {words:?} in {help}");
    }
    for command in ["token", "status", "renew", "call", "export", "import", "forget", "doctor", "sandbox"] {
        assert!(help.contains(&format!("\n  {command}")), "{command}");
        assert!(user.run(&[command, "--help"]).done().stdout.contains("Usage: wix-visitor"));
    }
    assert_eq!(user.run(&["--version"]).done().stdout, format!("wix-visitor {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let sandbox = sandbox();
    // Its key is a secret, noted for the search of all output; here at once.
    let user = User::of(&sandbox).with("WIX_VISITOR_STORE", "sqlite:/some/where/private.db");
    let help = user.run(&["--help"]).done().stdout;
    assert!(!help.contains("shopper-") && !help.contains("private.db") && !help.contains(&sandbox.url()), "{help}");
}

#[test]
fn the_log_holds_no_secret_at_any_level() {
    let sandbox = sandbox();
    let key = wix_visitor_testkit::ledger::secret_key("loud");
    let user = User::of(&sandbox).with("WIX_VISITOR", key.clone()).with("RUST_LOG", "trace");
    let mut everything = String::new();
    let mut keep = |said: crate::support::Said| {
        everything.push_str(&said.stderr);
        said
    };
    let token = keep(user.run(&["token"]).done()).stdout;
    let exported = keep(user.run(&["export"]).done()).json();
    keep(user.run(&mug()).done());
    sandbox.revoke_all_access().unwrap();
    keep(user.run(&["call", "GET", CART, "-i"]).done());
    keep(user.run(&["renew", "--json"]).done());
    keep(user.run_with(&["import"], exported.to_string()).done());
    keep(user.run(&["status"]).done());
    keep(user.run(&["doctor"]).done());
    keep(user.run(&["forget"]).done());
    assert!(everything.contains("TRACE"), "nothing was logged at the trace level");
    let refresh = exported["refreshToken"]["value"].as_str().unwrap();
    for secret in [token.trim(), refresh, &key] {
        for slice in secret.as_bytes().windows(16) {
            assert!(!everything.contains(std::str::from_utf8(slice).unwrap()), "a secret is in the log");
        }
    }
}

#[test]
fn v_shows_more_and_rust_log_wins() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("RUST_LOG", "");
    assert!(!user.run(&["token"]).done().stderr.contains("INFO"));
    let said = user.run(&["renew", "-v"]).done();
    assert!(said.stderr.contains("INFO") && said.stderr.contains("renewed") && !said.stderr.contains("TRACE"));
    assert!(user.run(&["-vvv", "renew"]).done().stderr.contains("TRACE"));
    let said = user.with("RUST_LOG", "off").run(&["-vvv", "renew"]).done();
    assert!(!said.stderr.contains("TRACE") && !said.stderr.contains("INFO"), "{said:?}");
}

#[test]
fn colours_are_for_terminals_alone() {
    let said = User::new().run(&["token"]).failed(2, "error: there is no client id");
    assert!(!said.stderr.contains('\x1b'));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.token();
    for command in ["token", "status", "export", "doctor", "--help", "call POST /stores/v3/products/query -d {}"] {
        // The pipe has no reader from the start; the shell says how the command ended.
        let script = format!("{{ wix-visitor {command}; echo \"exit $?\" >&2; }} | true");
        let said = run(user.shell(&script), b"");
        assert!(said.errors().contains("exit 0"), "{command}: {said:?}");
        assert!(!said.stderr.contains("panicked"), "{command}: {said:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_a_failure_and_loses_nothing() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    for command in
        ["token", "status", "export", "doctor", "--help", "--version", "call POST /stores/v3/products/query -d {}"]
    {
        let said = run(user.shell(&format!("wix-visitor {command} >/dev/full")), b"");
        said.failed(1, "cannot write to standard output");
    }
    user.token();
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 1));
}

#[test]
fn nobody_listening_to_errors_is_no_panic() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("RUST_LOG", "trace");
    let script =
        "exec 3>&1; { wix-visitor call GET /ecom/v1/carts/current >/dev/null; echo \"exit $?\" >&3; } 2>&1 | true";
    let said = run(user.shell(script), b"");
    assert_eq!(said.stdout, "exit 7\n", "{said:?}");
}

#[test]
fn an_answer_streams_whatever_its_size() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let body = format!("\"{}\"", "x".repeat(3 << 20));
    let said = user.run_with(&["call", "POST", "/_sandbox/echo", "-d", "-"], &body).done();
    assert!(said.stdout.len() > 3 << 20);
    user.run(&["call", "POST", PRODUCTS, "-d", "{}"]).done();
}
