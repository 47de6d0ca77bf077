//! Keys, sealing, and keeping house in a store.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use wix_visitor::{Etag, Exchange, Stored};
use wix_visitor_testkit::ledger::note_secret;
use wix_visitor_testkit::sandbox::Sandbox;

use crate::support::{User, generate, sandbox};

/// A site with plain records in its default store, whatever the suites are run with.
fn plain(sandbox: &Sandbox) -> User {
    User::of(sandbox).with("WIX_VISITOR_KEYS", "")
}

fn visitors(user: &User) -> Vec<String> {
    let listed = user.run(&["list", "--all"]).done().stdout;
    listed.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn a_ring_is_made_private_and_its_keys_are_added_promoted_and_removed() {
    let sandbox = sandbox();
    let user = plain(&sandbox);
    let first = generate(&user, "keys");
    let mode = |file: &str| fs::metadata(user.path(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("keys"), 0o600);
    let second = generate(&user, "keys");
    let names = || user.run(&["--keys", "keys", "--json", "keys", "list"]).done().json();
    assert_eq!((&names()["primary"], &names()["others"][0]), (&first.clone().into(), &second.clone().into()));

    user.run(&["--keys", "keys", "keys", "remove", &first]).failed(2, "promote another one first");
    user.run(&["--keys", "keys", "keys", "promote", "00000000"]).failed(2, "there is no key 00000000");
    user.run(&["--keys", "keys", "keys", "promote", &second]).done();
    assert_eq!((names()["primary"].as_str(), mode("keys")), (Some(&*second), 0o600));

    // It has to be looked whether the key is in use, and nobody said where.
    user.run(&["--keys", "keys", "keys", "remove", &first]).failed(2, "no store was named");
    for (store, says) in [("memory:", "holds nothing"), ("sqlite:none.db", "there is no store")] {
        user.run(&["--keys", "keys", "--store", store, "keys", "remove", &first]).failed(2, says);
    }
    assert_eq!(names()["others"], serde_json::json!([first]), "nothing was removed");
    user.run(&["--keys", "keys", "keys", "remove", &first, "--unchecked"]).done();
    assert_eq!(names()["others"], serde_json::json!([]));

    fs::set_permissions(user.path("keys"), fs::Permissions::from_mode(0o644)).unwrap();
    for words in [&["keys", "list"][..], &["keys", "generate"], &["token"], &["reseal"]] {
        let words: Vec<_> = ["--keys", "keys"].iter().chain(words).copied().collect();
        user.run(&words).failed(3, "chmod 600");
    }
    user.run(&["keys", "list"]).failed(2, "no file was named");
    assert_eq!(sandbox.token_requests(), 0);
}

#[test]
fn a_key_that_still_seals_something_is_not_removed_and_a_visitor_outlives_the_change_of_its_key() {
    let sandbox = sandbox();
    let user = plain(&sandbox);
    let old = generate(&user, "keys");
    let store = format!("sqlite:{}", user.database().display());
    let sealed = |words: &[&str]| user.run(&[&["--keys", "keys", "--store", &store], words].concat());
    let token = sealed(&["token"]).done().stdout;
    note_secret(token.trim());
    user.run(&["token"]).failed(5, "no ring of keys was given");
    user.run(&["status"]).failed(5, "no ring of keys was given");

    let new = generate(&user, "keys");
    sealed(&["keys", "promote", &new]).done();
    sealed(&["keys", "remove", &old]).failed(5, "has sealed 1 records");
    let done = sealed(&["--json", "reseal"]).done().json();
    assert_eq!((&done["resealed"], &done["already"]), (&1.into(), &0.into()));
    assert_eq!(sealed(&["--json", "reseal"]).done().json()["already"], 1);
    sealed(&["keys", "remove", &old]).done();
    assert_eq!(sealed(&["token"]).done().stdout, token);
    assert_eq!(sandbox.mints(), 1);
}

#[test]
fn plain_records_are_refused_read_or_written_as_is_said() {
    let sandbox = sandbox();
    let user = plain(&sandbox);
    let token = user.token();
    generate(&user, "keys");
    let with = |plain: &str, words: &[&str]| user.run(&[&["--keys", "keys", "--plain-records", plain], words].concat());
    user.run(&["--keys", "keys", "token"]).failed(5, "is not sealed");
    assert_eq!(with("read", &["token"]).done().stdout.trim(), token);
    with("write", &["renew"]).done();
    user.run(&["status"]).done();
    with("read", &["renew"]).done();
    user.run(&["status"]).failed(5, "no ring of keys was given");
    user.run(&["--keys", "keys", "status"]).done();
    user.run(&["--plain-records", "read", "status"]).failed(2, "there is none");
    assert_eq!(sandbox.mints(), 1);
}

#[test]
fn visitors_are_listed_page_by_page_by_the_first_digits_of_their_hashes_and_inspected_by_them() {
    let sandbox = sandbox();
    let user = plain(&sandbox);
    let mut expected = Vec::new();
    for n in 0..5 {
        let of = ["--visitor", &format!("shopper {n}")];
        user.run(&[&of[..], &["token"]].concat()).done();
        expected.push(user.run(&[&of[..], &["--json", "status"]].concat()).done().json()["visitor"].clone());
    }
    let mut listed = visitors(&user);
    let mut expected: Vec<_> = expected.iter().map(|visitor| visitor.as_str().unwrap().to_owned()).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);

    let (mut paged, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut words = vec!["list", "--limit", "2"];
        words.extend(after.iter().flat_map(|after| ["--after", after]));
        let said = user.run(&words).done();
        paged.extend(said.stdout.lines().map(|line| line[..8].to_owned()));
        let told = said.errors();
        let Some(cursor) = told.lines().find_map(|line| line.split_once("--after ")) else { break };
        after = Some(cursor.1.trim().to_owned());
    }
    paged.sort();
    assert_eq!(paged, expected);

    let seen = user.run(&["--json", "inspect", &listed[0]]).done();
    assert_eq!((&seen.json()["holds"], &seen.json()["generation"]), (&"tokens".into(), &0.into()));
    assert!(!seen.stdout.contains("JWS."), "no token");
    let own = user.run(&["--visitor", "shopper 3", "--json", "inspect"]).done().json();
    assert!(listed.contains(&own["visitor"].as_str().unwrap().to_owned()));
    user.run(&["inspect", "zz"]).failed(2, "first digits");
    user.run(&["inspect", "0123456789abcdef"]).failed(1, "no visitor whose hash begins");
    user.run(&["--visitor", "nobody", "inspect"]).failed(1, "there is no record");
    user.run(&["list", "--limit", "0"]).failed(2, "at least 1");
    user.run(&["--store", "file:none", "list"]).failed(2, "there is no store");
    assert!(!user.path("none").exists());
}

#[test]
fn every_store_is_moved_to_every_other_sealed_or_plain_and_back() {
    let sandbox = sandbox();
    let user = plain(&sandbox).with("WIX_VISITOR_STORE", "sqlite:one.db");
    let token = user.token();
    let (first, second) = (generate(&user, "first"), generate(&user, "second"));
    assert_ne!(first, second);
    let moved = |words: &[&str]| {
        let words = [&["--json"], words].concat();
        let done = user.run(&words).done().json();
        assert_eq!((&done["copied"], &done["verified"]), (&1.into(), &true.into()));
        let again = user.run(&words).done().json();
        assert_eq!((&again["copied"], &again["there"]), (&0.into(), &1.into()));
    };
    moved(&["migrate", "--from", "sqlite:one.db", "--to", "file:two"]);
    let refused = ["--keys", "first", "migrate", "--from", "file:two", "--to", "sqlite:three.db"];
    let said = user.run(&refused);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(
        said.errors().contains("--plain-records read"),
        "what somebody else may have written is not sealed: {said:?}"
    );
    moved(&[&["--plain-records", "read"], &refused[..]].concat());
    moved(&["--keys", "second", "migrate", "--from", "sqlite:three.db", "--to", "file:four", "--from-keys", "first"]);
    moved(&["migrate", "--from", "file:four", "--to", "sqlite:five.db", "--from-keys", "second"]);
    assert_eq!(user.run(&["--store", "sqlite:five.db", "token"]).done().stdout.trim(), token);
    assert_eq!(user.run(&["--store", "file:four", "--keys", "second", "token"]).done().stdout.trim(), token);
    assert_eq!(sandbox.mints(), 1);

    user.run(&["migrate", "--from", "sqlite:one.db", "--to", "sqlite:one.db"]).failed(2, "the same store");
    user.run(&["migrate", "--from", "memory:", "--to", "sqlite:one.db"]).failed(2, "memory:");
    user.run(&["migrate", "--from", "file:none", "--to", "sqlite:six.db"]).failed(2, "there is no store");
    assert!(!user.path("six.db").exists(), "nothing is made for nothing");
    let said = user.run(&["--json", "migrate", "--from", "sqlite:three.db", "--to", "sqlite:seven.db"]);
    assert_eq!((said.code, said.json()["failed"].as_u64()), (Some(5), Some(1)));
    assert!(said.stderr.contains("passed_over") && said.stderr.contains("no ring of keys"), "{said:?}");
}

#[test]
fn what_is_over_is_dropped_by_the_second_purge() {
    let sandbox = sandbox();
    let user = plain(&sandbox);
    user.token();
    for n in 0..3 {
        user.run(&["--visitor", &format!("old {n}"), "token"]).done();
    }
    let all = visitors(&user);
    age_all_but_one(&user.database());
    let purged = |words: &[&str]| user.run(&[&["--json", "purge"], words].concat()).done().json();
    let first = purged(&[]);
    assert_eq!((&first["dropped"], &first["over_at"]), (&0.into(), &serde_json::Value::Null));
    assert_eq!(visitors(&user), all);
    assert_eq!(purged(&[])["unreadable"], 0);
    let left = visitors(&user);
    assert_eq!((left.len(), all.contains(&left[0])), (1, true));
    assert_eq!(purged(&["--trust-clock"])["dropped"], 0);
}

/// Written once more as they are, to be kept no longer.
fn age_all_but_one(database: &Path) {
    let url = format!("sqlite:{}", database.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = wix_visitor::open_store(&url).await.unwrap();
        let page = store.list(None, None, 100).await.unwrap();
        let old = page.keys.iter().filter(|key| key.as_str().contains('/')).take(3);
        for key in old {
            let standing = store.load(key).await.unwrap().unwrap();
            let new = Stored { etag: Etag::from_bits(standing.etag.to_bits() ^ 1), bytes: standing.bytes };
            let swapped = store.compare_exchange(key, Some(&standing.etag), &new, Duration::ZERO).await.unwrap();
            assert_eq!(swapped, Exchange::Swapped);
        }
    });
}
