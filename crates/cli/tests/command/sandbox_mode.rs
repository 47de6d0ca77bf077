//! `--sandbox`: a Wix of one's own, and nothing crosses.

use crate::support::{CART, CLIENT_ID, PRODUCTS, User, mug, sandbox};

#[test]
fn the_readmes_first_command_works_with_nothing_set_up() {
    let user = User::new();
    let said = user.run(&["--sandbox", "call", "POST", PRODUCTS, "-d", "{}"]).done();
    assert!(!said.json()["products"].as_array().unwrap().is_empty());
    let note = said.errors();
    assert!(note.starts_with("sandbox: ") && note.contains("not Wix") && note.lines().count() == 1, "{note}");
    assert!(user.path("wix-visitor/sandbox/visitors.db").exists());
    // The store for Wix is another one.
    assert!(!user.database().exists());
}

#[test]
fn carts_outlive_a_run() {
    let user = User::new();
    let in_sandbox = |words: &[&str]| user.run(&[&["--sandbox"], words].concat());
    in_sandbox(&mug()).done();
    let cart = in_sandbox(&["call", "GET", CART]).done().json();
    assert_eq!(cart["cart"]["lineItems"][0]["quantity"], 2);
    in_sandbox(&["renew"]).done();
    assert_eq!(in_sandbox(&["call", "GET", CART]).done().json()["cart"]["id"], cart["cart"]["id"]);
    assert!(in_sandbox(&["doctor"]).done().stdout.contains("an embedded sandbox"));
}

#[test]
fn the_memory_store_keeps_no_state_either() {
    let user = User::new();
    let said = user.run(&["--sandbox", "--store", "memory:", "token"]).done();
    assert!(said.errors().contains("nothing is kept"), "{said:?}");
    assert!(!user.path("wix-visitor").exists());
}

#[test]
fn nothing_crosses_between_the_sandbox_and_another_api_on_the_same_store() {
    let other = sandbox();
    let user = User::new().with("WIX_CLIENT_ID", CLIENT_ID);
    let store = format!("sqlite:{}", user.path("shared.db").display());
    let with = |words: &[&str]| user.run(&[&["--store", &store], words].concat()).done();
    let embedded = |words: &[&str]| with(&[&["--sandbox"], words].concat());
    let at_other = |words: &[&str]| with(&[&["--api-url", &other.url()], words].concat());

    embedded(&mug());
    let first = embedded(&["export"]).stdout;
    at_other(&["call", "POST", PRODUCTS, "-d", "{}"]);
    assert_eq!((other.mints(), other.renewals(), other.counters().unauthorized), (1, 0, 0));
    let second = at_other(&["export"]).stdout;
    assert!(first != second, "one visitor for two issuers");
    assert!(embedded(&["call", "GET", CART]).stdout.contains("lineItems"));
    assert!(embedded(&["export"]).stdout == first, "the sandbox's visitor has changed");
    assert_eq!(other.mints(), 1);
}

#[test]
fn the_sandbox_never_stands_in_for_an_api_that_was_named() {
    let other = sandbox();
    let user = User::new();
    user.run(&["--sandbox", "--api-url", &other.url(), "token"]).failed(2, "cannot be used together");
    let user = user.with("WIX_API_URL", other.url());
    user.run(&["--sandbox", "token"]).failed(2, "unset WIX_API_URL");
    assert!(other.log().is_empty());
}

#[test]
fn a_damaged_state_file_is_an_error_and_not_an_empty_sandbox() {
    let user = User::new();
    user.run(&["--sandbox", "token"]).done();
    let state = user.path("wix-visitor/sandbox/visitors.db.sandbox.json");
    let good = std::fs::read(&state).unwrap();
    std::fs::write(&state, &good[..good.len() / 2]).unwrap();
    user.run(&["--sandbox", "token"]).failed(5, "sandbox.json");
    std::fs::write(&state, good).unwrap();
    user.run(&["--sandbox", "call", "POST", PRODUCTS, "-d", "{}"]).done();
}
