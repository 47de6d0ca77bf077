//! Rings of keys in a file or a variable: what is in the way of one is told, with what to do, and nothing is changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::process::Command;

use wix_visitor_testkit::ledger::note_secret;

use crate::support::{User, generate, sandbox};

#[test]
fn what_is_no_file_of_ones_own_is_no_ring_and_is_told_so_before_anything_is_opened() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "");
    generate(&user, "keys");
    fs::create_dir(user.path("directory")).unwrap();
    assert!(Command::new("mkfifo").arg(user.path("pipe")).status().unwrap().success());
    for mode in [0o640, 0o604, 0o620, 0o677] {
        let name = format!("mode {mode:o}");
        fs::copy(user.path("keys"), user.path(&name)).unwrap();
        fs::set_permissions(user.path(&name), Permissions::from_mode(mode)).unwrap();
        refused(&user, &name, "chmod 600");
        assert_eq!(fs::metadata(user.path(&name)).unwrap().mode() & 0o777, mode);
    }
    refused(&user, "directory", "is not a file: name one");
    refused(&user, "pipe", "is not a file: name one");
    assert!(sandbox.log().is_empty() && !user.database().exists());
}

fn refused(user: &User, ring: &str, says: &str) {
    for words in [&["token"][..], &["list"], &["reseal"], &["keys", "list"], &["keys", "generate"]] {
        user.run(&[&["--keys", ring], words].concat()).failed(3, says);
    }
    user.run(&["migrate", "--from", "file:a", "--to", "file:b", "--from-keys", ring]).failed(3, says);
}

#[test]
fn a_link_leads_to_its_ring_and_stays_a_link_and_one_to_nothing_is_refused() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "");
    // As a secret is put into a container.
    fs::create_dir(user.path("secrets")).unwrap();
    let first = generate(&user, "secrets/keys");
    symlink("secrets/keys", user.path("keys")).unwrap();
    let second = generate(&user, "keys");
    user.run(&["--keys", "keys", "keys", "promote", &second]).done();
    assert!(fs::symlink_metadata(user.path("keys")).unwrap().is_symlink());
    let names = user.run(&["--keys", "secrets/keys", "--json", "keys", "list"]).done().json();
    assert_eq!((&names["primary"], &names["others"][0]), (&second.into(), &first.into()));

    symlink("nowhere", user.path("dangling")).unwrap();
    user.run(&["--keys", "dangling", "keys", "generate"]).failed(2, "a link that leads to nothing: remove it");
    user.run(&["--keys", "dangling", "token"]).failed(3, "cannot be read");
    assert!(!user.path("nowhere").exists() && sandbox.log().is_empty());
}

#[test]
fn a_ring_that_belongs_to_another_user_stays_theirs_and_as_it_is() {
    let user = User::new();
    generate(&user, "keys");
    let before = fs::read(user.path("keys")).unwrap();
    // Only root may give a file away, and only root could read it then; others are told that they may not.
    let (code, says, ring) = match chown(user.path("keys"), Some(12345), None) {
        Ok(()) => (2, "belongs to another user: run this as that user", "keys"),
        Err(_) => (3, "the key ring /etc/shadow", "/etc/shadow"),
    };
    user.run(&["--keys", ring, "keys", "generate"]).failed(code, says);
    assert!(fs::read(user.path("keys")).unwrap() == before, "the ring was changed");
    let owned = fs::metadata(user.path("keys")).unwrap().uid() == fs::metadata(user.path(".")).unwrap().uid();
    assert_eq!(owned, ring != "keys");
}

#[test]
fn a_ring_whose_lines_became_one_holds_all_its_keys() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "");
    let first = generate(&user, "keys");
    let token = user.run(&["--keys", "keys", "token"]).done().stdout;
    let second = generate(&user, "keys");
    user.run(&["--keys", "keys", "keys", "promote", &second]).done();
    // As `KEYS=$(cat keys)` and `echo $KEYS` make it, or a file of variables.
    let text = fs::read_to_string(user.path("keys")).unwrap();
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    note_secret(&flat);
    user.file("flat", &flat);
    fs::set_permissions(user.path("flat"), Permissions::from_mode(0o600)).unwrap();
    let names = user.run(&["--keys", "flat", "--json", "keys", "list"]).done().json();
    assert_eq!((&names["primary"], &names["others"]), (&second.into(), &[first].to_vec().into()));

    let user = user.with("WIX_VISITOR_KEYS", flat);
    assert!(user.run(&["token"]).done().stdout == token, "another token");
    user.run(&["--json", "reseal"]).done();
    assert!(user.run(&["token"]).done().stdout == token, "another token");
    assert_eq!(sandbox.mints(), 1);
}

#[test]
fn a_key_in_place_of_a_files_name_is_neither_shown_nor_made_a_file_of() {
    let user = User::new().with("WIX_VISITOR_KEYS", "");
    generate(&user, "keys");
    let key = fs::read_to_string(user.path("keys")).unwrap().trim().to_owned();
    note_secret(&key);
    for words in [&["keys", "generate"][..], &["keys", "list"]] {
        let refused = user.run(&[&["--keys", &key], words].concat());
        refused.failed(2, "is a key itself");
    }
    assert!(!user.path(&key).exists());
}

#[test]
fn a_ring_is_never_written_that_could_not_be_read() {
    let user = User::new().with("WIX_VISITOR_KEYS", "");
    generate(&user, "keys");
    let mut ring = fs::read_to_string(user.path("keys")).unwrap();
    while ring.lines().count() < 100 {
        generate(&user, "more");
        ring.push_str(&fs::read_to_string(user.path("more")).unwrap());
        fs::remove_file(user.path("more")).unwrap();
    }
    user.file("keys", &ring);
    fs::set_permissions(user.path("keys"), Permissions::from_mode(0o600)).unwrap();
    user.run(&["--keys", "keys", "keys", "generate"]).failed(2, "more than 100 sealing keys");
    assert!(fs::read_to_string(user.path("keys")).unwrap() == ring, "the ring was changed");
}

#[test]
fn an_empty_store_does_not_show_that_a_key_is_unused_and_nothing_is_sealed_before_every_instance_has_the_ring() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "");
    generate(&user, "keys");
    let second = generate(&user, "keys");
    user.file("empty.db", "");
    let before = fs::read(user.path("keys")).unwrap();
    let removing = ["--keys", "keys", "--store", "sqlite:empty.db", "keys", "remove", &second];
    user.run(&removing).failed(2, "is empty, so it does not show");
    assert!(fs::read(user.path("keys")).unwrap() == before, "the ring was changed");
    user.token();
    user.run(&["--keys", "keys", "--plain-records", "write", "reseal"]).failed(2, "not every instance has the ring");
    user.run(&["token"]).done();
}
