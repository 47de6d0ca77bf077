//! A store that is damaged, foreign, full or closed: an error, never a new visitor.

use rusqlite::Connection;

use crate::support::{User, generate, run, sandbox};

type Bytes = Vec<u8>;

/// What fails must not mint, and with the damage undone the visitor is the same.
fn fails_and_loses_nothing(damage: impl FnOnce(&User), says: &str, repair: impl FnOnce(&User)) {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let token = user.token();
    // A command that ends may leave its last writes in the log beside the database: they are to be in it.
    database(&user).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    damage(&user);
    for words in [&["token"][..], &["renew"], &["status"], &["export"], &["call", "GET", "/"]] {
        let said = user.run(words).failed(5, says);
        assert!(said.errors().contains("what to do: "), "{said:?}");
    }
    let said = user.run(&["doctor"]);
    assert!(said.code == Some(5) && said.stdout.contains("✗"), "{}", said.stdout);
    repair(&user);
    assert_eq!(user.token(), token);
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 1));
}

fn database(user: &User) -> Connection {
    Connection::open(user.database()).unwrap()
}

#[test]
fn a_database_that_is_none() {
    let mut good = Bytes::new();
    let kept = std::cell::RefCell::new(&mut good);
    fails_and_loses_nothing(
        |user| {
            **kept.borrow_mut() = std::fs::read(user.database()).unwrap();
            std::fs::write(user.database(), "this is a shopping list, not a database\n".repeat(200)).unwrap();
        },
        "is not an SQLite database",
        |user| {
            let text = std::fs::read_to_string(user.database()).unwrap();
            assert!(text.starts_with("this is a shopping list"), "it was written over");
            std::fs::write(user.database(), &**kept.borrow()).unwrap();
        },
    );
}

#[test]
fn a_store_that_another_process_holds_is_said_to_be_held() {
    let sandbox = sandbox();
    let user = User::of(&sandbox).with("WIX_VISITOR_STORE", "file:visitors");
    user.token();
    let shards = std::fs::read_dir(user.path("visitors")).unwrap().map(|entry| entry.unwrap().path());
    let lock = shards.map(|path| path.join("lock")).find(|path| path.exists()).unwrap();
    let held = std::fs::File::options().write(true).open(lock).unwrap();
    held.lock().unwrap();
    user.run(&["renew"]).failed(5, "another process holds the lock");
    drop(held);
    user.run(&["renew"]).done();

    let user = user.with("WIX_VISITOR_STORE", "sqlite:visitors.db");
    user.token();
    let db = Connection::open(user.path("visitors.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    user.run(&["renew"]).failed(5, "another process");
    db.execute_batch("ROLLBACK").unwrap();
    user.run(&["renew"]).done();
}

#[test]
fn a_database_of_another_application() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let db = Connection::open(user.path("theirs.db")).unwrap();
    db.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    let store = format!("sqlite:{}", user.path("theirs.db").display());
    user.run(&["--store", &store, "token"]).failed(5, "another application");
    assert_eq!(db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert!(sandbox.log().is_empty());
}

#[test]
fn a_database_from_a_newer_release() {
    let version = |user: &User, version: u32| database(user).pragma_update(None, "user_version", version).unwrap();
    fails_and_loses_nothing(|user| version(user, 99), "schema version 99", |user| version(user, 1));
}

fn record(user: &User) -> Bytes {
    database(user).query_row("SELECT bytes FROM records", [], |row| row.get(0)).unwrap()
}

fn set_record(user: &User, bytes: &[u8]) {
    assert_eq!(database(user).execute("UPDATE records SET bytes = ?1", [bytes]).unwrap(), 1);
}

#[test]
fn a_record_that_was_cut_off() {
    let good = std::cell::RefCell::new(Bytes::new());
    fails_and_loses_nothing(
        |user| {
            let bytes = record(user);
            set_record(user, &bytes[..bytes.len() / 2]);
            *good.borrow_mut() = bytes;
        },
        "damaged",
        |user| set_record(user, &good.borrow()),
    );
}

#[test]
fn a_record_with_a_flipped_bit() {
    for part in 1..5 {
        let at = std::cell::Cell::new(0);
        let flip = |user: &User| {
            let mut bytes = record(user);
            at.set(bytes.len() * part / 5);
            bytes[at.get()] ^= 1;
            set_record(user, &bytes);
        };
        fails_and_loses_nothing(flip, "damaged", flip);
    }
}

/// What a script prints between its steps.
fn steps(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|line| line.starts_with("exit ")).collect()
}

/// Runs a script where it may mount file systems that only it sees.
#[cfg(target_os = "linux")]
fn with_mounts(user: &User, script: &str) -> crate::support::Said {
    let mut command = user.shell(&format!("exec unshare --map-root-user --mount sh -c '{script}'"));
    // The script is quoted once.
    assert!(!script.contains('\''));
    command.env("STORE_DIR", user.database().parent().unwrap());
    run(command, b"")
}

#[cfg(target_os = "linux")]
const CANNOT_MOUNT: &str = "this test mounts file systems in a namespace of its own, which `unshare --map-root-user --mount` \
     must be allowed to do: run it as root, or where user namespaces are allowed";

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    std::fs::create_dir_all(user.database().parent().unwrap()).unwrap();
    let said = with_mounts(
        &user,
        r#"mount -t tmpfs -o size=2m,mode=0700 tmpfs "$STORE_DIR" || exit 99
           wix-visitor token >/dev/null; echo "exit $?"
           wix-visitor export >before
           dd if=/dev/zero of="$STORE_DIR/filler" bs=4k 2>/dev/null
           wix-visitor renew; echo "exit $?"
           # Room for the index of the log, and not for what is written.
           truncate -s -36864 "$STORE_DIR/filler"
           wix-visitor renew; echo "exit $?"
           wix-visitor forget; echo "exit $?"
           rm "$STORE_DIR/filler"
           wix-visitor export >after
           cmp before after && wix-visitor renew; echo "exit $?""#,
    );
    assert_ne!(said.code, Some(99), "{CANNOT_MOUNT}");
    assert_eq!(steps(&said.stdout), ["exit 0", "exit 5", "exit 5", "exit 5", "exit 0"], "{said:?}");
    assert_eq!(said.errors().matches("make room").count(), 3, "{said:?}");
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_database() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let token = user.token();
    let said = with_mounts(
        &user,
        r#"mount --bind "$STORE_DIR" "$STORE_DIR" && mount -o remount,ro,bind "$STORE_DIR" || exit 99
           wix-visitor token; echo "exit $?"
           wix-visitor forget; echo "exit $?"
           wix-visitor doctor; echo "exit $?""#,
    );
    assert_ne!(said.code, Some(99), "{CANNOT_MOUNT}");
    assert_eq!(steps(&said.stdout), ["exit 5", "exit 5", "exit 5"], "{said:?}");
    assert!(said.errors().contains("is read-only"), "{said:?}");
    assert_eq!(user.token(), token);
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 1));
}

#[test]
fn a_damaged_record_can_be_forgotten_and_imported_over_and_nothing_else_replaces_it() {
    for damage in ["bytes = x'00'", "crc = crc + 1", "etag = zeroblob(16)", "keep_until = 0"] {
        for words in [&["forget"][..], &["import"]] {
            let sandbox = sandbox();
            let user = User::of(&sandbox);
            user.token();
            let tokens = user.run(&["export"]).stdout;
            database(&user).execute_batch(&format!("UPDATE records SET {damage}")).unwrap();
            user.run(&["token"]).failed(5, "or forget this visitor");
            assert_eq!(sandbox.mints(), 1);
            user.run_with(words, &tokens).done();
            let again = user.run(&["status"]).done();
            assert_eq!(again.stdout.contains("forgotten"), words[0] == "forget", "{again:?}");
            user.token();
            assert_eq!(sandbox.mints(), if words[0] == "forget" { 2 } else { 1 }, "{damage}");
        }
    }
}

/// Gives a record's file, or row, a key that is none, or its own back.
fn misname(user: &User, store: &str, from: &str, to: &str) {
    if store.starts_with("sqlite:") {
        let sql = "UPDATE records SET key = replace(key, ?1, ?2) WHERE key LIKE '%/' || ?1 || '%'";
        assert_eq!(Connection::open(user.path("v.db")).unwrap().execute(sql, [from, to]).unwrap(), 1);
        return;
    }
    let shards = std::fs::read_dir(user.path("v")).unwrap().map(|entry| entry.unwrap().path());
    let files = shards.filter(|path| path.is_dir()).flat_map(|shard| std::fs::read_dir(shard).unwrap());
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    let path = files.iter().find(|path| path.to_str().unwrap().contains(&format!("_{from}"))).unwrap();
    std::fs::rename(path, path.to_str().unwrap().replace(&format!("_{from}"), &format!("_{to}"))).unwrap();
}

#[test]
fn records_whose_keys_cannot_be_read_are_counted_and_all_else_goes_on_to_exit_5() {
    let sandbox = sandbox();
    for store in ["sqlite:v.db", "file:v"] {
        let user = User::of(&sandbox).with("WIX_VISITOR_KEYS", "").with("WIX_VISITOR_STORE", store);
        let old = generate(&user, "keys");
        let sealed = |words: &[&str]| user.run(&[&["--keys", "keys", "--json"], words].concat());
        for n in 0..3 {
            user.run(&["--keys", "keys", "--visitor", &format!("{store} {n}"), "token"]).done();
        }
        let listed = user.run(&["list"]).done().stdout;
        let hash = &listed[..8];
        user.run(&["purge"]).done();
        misname(&user, store, hash, "ZZZZ");

        let said = user.run(&["list"]);
        assert_eq!((said.code, said.stdout.lines().count()), (Some(5), 2), "{said:?}");
        assert!(said.errors().contains("the keys of 1 more records cannot be read"), "{said:?}");
        let said = user.run(&["--json", "purge"]);
        assert_eq!((said.code, &said.json()["looked_at"], &said.json()["unreadable"]), (Some(5), &3.into(), &1.into()));
        let new = generate(&user, "keys");
        sealed(&["keys", "promote", &new]).done();
        let said = sealed(&["reseal"]);
        assert_eq!((said.code, &said.json()["resealed"], &said.json()["failed"]), (Some(5), &2.into(), &1.into()));
        assert!(said.errors().contains("nobody knows whose they are"), "{said:?}");
        // The one that nobody can name may be sealed by it.
        sealed(&["keys", "remove", &old]).failed(5, "the keys of 1 records cannot be read");
        let migrate = ["migrate", "--from", store, "--to", "sqlite:other.db"];
        let said = sealed(&migrate);
        let told = said.json();
        assert_eq!((said.code, &told["copied"], &told["failed"]), (Some(5), &2.into(), &1.into()), "{said:?}");
        assert!(told["verified"] == false && said.errors().contains("nobody knows whose they are"), "{said:?}");

        misname(&user, store, "ZZZZ", hash);
        assert_eq!(user.run(&["list"]).done().stdout, listed);
        assert_eq!(sealed(&["reseal"]).done().json()["resealed"], 1);
        sealed(&["keys", "remove", &old]).done();
        assert_eq!(sealed(&migrate).done().json()["copied"], 1);
    }
    assert_eq!(sandbox.mints(), 6);
}

#[test]
fn a_damaged_mark_of_the_last_purge_is_refused_with_advice_and_written_anew_once_the_clock_is_trusted() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.token();
    for damage in ["crc = crc + 1", "bytes = x'7b7d'", "keep_until = 0"] {
        user.run(&["purge"]).done();
        let damaged = database(&user).execute(&format!("UPDATE records SET {damage} WHERE key = 'purge'"), []).unwrap();
        assert_eq!(damaged, 1);
        for _ in 0..2 {
            user.run(&["purge"]).failed(5, "`wix-visitor purge --trust-clock`");
        }
        let done = user.run(&["--json", "purge", "--trust-clock"]).done().json();
        assert_eq!((&done["looked_at"], &done["unreadable"]), (&1.into(), &0.into()), "{damage}");
        assert_eq!(user.run(&["--json", "purge"]).done().json()["looked_at"], 1);
    }
    user.token();
    assert_eq!(sandbox.mints(), 1);
}
