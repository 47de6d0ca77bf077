//! A store that is damaged, foreign, full or closed: an error, never a new visitor.

use rusqlite::Connection;

use crate::support::{User, run, sandbox};

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
