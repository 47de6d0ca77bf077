//! `migrate`: all is brought over, of all sites, and what was not is told.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wix_visitor::{Etag, Exchange, SqliteOptions, SqliteStore, StoreKey, Stored, Synchronous, TokenStore};
use wix_visitor_testkit::ledger::note_secret;

use crate::support::{User, generate, sandbox};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn open(path: &Path) -> SqliteStore {
    SqliteOptions::new(path).synchronous(Synchronous::Normal).open().await.unwrap()
}

/// The one visitor's record there.
async fn only(store: &SqliteStore) -> (StoreKey, Stored) {
    let page = store.list(None, None, 100).await.unwrap();
    assert_eq!(page.keys.len(), 1);
    (page.keys[0].clone(), store.load(&page.keys[0]).await.unwrap().unwrap())
}

/// Puts such a record under a key that has none.
async fn put(store: &SqliteStore, key: &StoreKey, number: u128, bytes: &[u8]) {
    let new = Stored { etag: Etag::from_bits(number), bytes: bytes.to_vec() };
    assert_eq!(store.compare_exchange(key, None, &new, YEAR).await.unwrap(), Exchange::Swapped);
}

/// A later one comes before all earlier ones in the store's order, behind who goes through it.
fn later(number: u128) -> StoreKey {
    StoreKey::parse(&format!("site/{:09}", 999_999_999 - number)).unwrap()
}

#[test]
fn while_instances_write_to_the_old_store_its_exit_code_says_so_and_once_they_have_ended_all_is_there() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "").with("WIX_VISITOR_STORE", "sqlite:old.db");
    user.token();
    let path = user.path("old.db");
    let bytes = wait(async {
        let store = open(&path).await;
        let (_, record) = only(&store).await;
        // So many that a look at them takes longer than new ones take to come.
        for n in 0..300_u128 {
            put(&store, &later(n), n, &record.bytes).await;
        }
        record.bytes
    });
    let ended = Arc::new(AtomicBool::new(false));
    let instance = {
        let ended = Arc::clone(&ended);
        std::thread::spawn(move || {
            wait(async {
                let store = open(&path).await;
                let mut n = 300;
                while !ended.load(Ordering::SeqCst) {
                    put(&store, &later(n), n, &bytes).await;
                    n += 1;
                }
                n
            })
        })
    };
    let migrate = ["--json", "migrate", "--from", "sqlite:old.db", "--to", "sqlite:new.db"];
    let said = user.run(&migrate);
    ended.store(true, Ordering::SeqCst);
    let written = u64::try_from(instance.join().unwrap()).unwrap();
    assert_eq!((said.code, &said.json()["verified"], &said.json()["failed"]), (Some(8), &false.into(), &0.into()));
    assert!(said.json()["copied"].as_u64().unwrap() > 301 && said.errors().contains("end the instances"), "{said:?}");

    let said = user.run(&migrate).done().json();
    assert_eq!((&said["verified"], said["there"].as_u64()), (&true.into(), Some(written + 1)));
}

#[test]
fn both_stores_may_be_named_by_variables_which_are_not_repeated_and_options_win_over_them() {
    const PASSWORD: &str = "staple-battery-horse-correct";
    note_secret(PASSWORD);
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "").with("WIX_VISITOR_STORE", "sqlite:one.db");
    let token = user.token();
    let user = user.with("WIX_VISITOR_FROM", "sqlite:one.db").with("WIX_VISITOR_TO", "file:two");
    assert_eq!(user.run(&["--json", "migrate"]).done().json()["copied"], 1);
    assert!(user.run(&["--store", "file:two", "token"]).done().stdout.trim() == token, "another token");
    user.run(&["migrate", "--to", "sqlite:one.db"]).failed(2, "the same store");
    assert_eq!(user.run(&["--json", "migrate", "--to", "sqlite:three.db"]).done().json()["copied"], 1);

    let user = user.with("WIX_VISITOR_FROM", format!("redis://user:{PASSWORD}@127.0.0.1:1?timeout_ms=300"));
    for (words, code) in [(&["migrate"][..], 5), (&["migrate", "--help"], 0), (&["migrate", "--form"], 2)] {
        let said = user.run(words);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(!said.stdout.contains(PASSWORD) && !said.stderr.contains(PASSWORD), "the password is repeated");
    }
    let user = User::of(&sandbox).with("WIX_VISITOR_TO", "file:two");
    user.run(&["migrate"]).failed(2, "--from");
    assert_eq!(sandbox.mints(), 1);
}

#[test]
fn the_visitors_of_all_sites_are_brought_over_whichever_site_is_set_up() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "").with("WIX_VISITOR_STORE", "sqlite:one.db");
    let own = user.token();
    let other = ["--client-id", "11111111-2222-4333-8444-555555555555"];
    let theirs = user.run(&[&other[..], &["token"]].concat()).done().stdout;
    let listed = user.run(&["list"]).done().stdout;
    assert_eq!(listed.lines().count(), 1, "this command goes by the site");
    let said = user.run(&["--json", "migrate", "--from", "sqlite:one.db", "--to", "file:two"]).done().json();
    assert_eq!((&said["copied"], &said["there"], &said["verified"]), (&2.into(), &2.into(), &true.into()));
    let user = user.with("WIX_VISITOR_STORE", "file:two");
    assert!(user.token() == own && user.run(&[&other[..], &["token"]].concat()).done().stdout == theirs);
    assert_eq!(sandbox.mints(), 2);
}

#[test]
fn a_plain_record_among_sealed_ones_is_brought_over_or_written_over_only_where_that_was_asked_for() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "");
    user.run(&["--store", "sqlite:plain.db", "token"]).done();
    generate(&user, "keys");
    user.run(&["--keys", "keys", "--store", "sqlite:old.db", "token"]).done();
    // Whoever may write into the stores puts a record of their own there, under a key of theirs, and under the visitor's.
    let forged = wait(async {
        let (key, record) = only(&open(&user.path("plain.db")).await).await;
        put(&open(&user.path("old.db")).await, &later(1), 1, &record.bytes).await;
        put(&open(&user.path("new.db")).await, &key, 2, &record.bytes).await;
        (key, record.bytes)
    });
    let migrate = ["--json", "--keys", "keys", "migrate", "--from", "sqlite:old.db", "--to", "sqlite:new.db"];
    let said = user.run(&migrate);
    assert_eq!((said.code, &said.json()["copied"], &said.json()["failed"]), (Some(5), &0.into(), &2.into()));
    assert!(said.errors().contains("--plain-records read"), "{said:?}");
    wait(async {
        let new = open(&user.path("new.db")).await;
        assert_eq!(only(&new).await, (forged.0, Stored { etag: Etag::from_bits(2), bytes: forged.1 }), "as it was");
    });

    let said = user.run(&[&["--plain-records", "read"], &migrate[..]].concat()).done().json();
    assert_eq!((&said["copied"], &said["failed"], &said["verified"]), (&1.into(), &0.into(), &true.into()));
}

#[test]
fn what_an_earlier_run_without_a_ring_brought_there_is_sealed_by_the_next_one_with_it() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "").with("WIX_VISITOR_STORE", "sqlite:old.db");
    let token = user.token();
    generate(&user, "keys");
    let moved = ["migrate", "--from", "sqlite:old.db", "--to", "sqlite:new.db"];
    user.run(&moved).done();
    user.run(&[&["--keys", "keys", "--plain-records", "read"][..], &moved].concat()).done();
    let sealed = user.run(&["--keys", "keys", "--store", "sqlite:new.db", "token"]).done().stdout;
    assert!(sealed.trim() == token.trim(), "another token");
}

#[test]
fn one_store_by_two_names_is_one_store() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "").with("WIX_VISITOR_STORE", "sqlite:old.db");
    user.token();
    let absolute = format!("sqlite:{}", user.path("old.db").display());
    for other in ["SQLITE:old.db", "sqlite:old.db?timeout_ms=900", "sqlite:./old.db", &absolute] {
        user.run(&["migrate", "--from", "sqlite:old.db", "--to", other]).failed(2, "name the same store");
    }
}
