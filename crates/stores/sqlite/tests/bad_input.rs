//! Whatever is in the database's place: a clear error of the right kind, and nothing lost.

#![allow(clippy::unwrap_used)] // the helpers too are tests

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tempfile::tempdir;
use wix_visitor_core::{ClientId, Etag, Exchange, StoreError, StoreErrorKind, StoreKey, Stored, Timestamp, TokenStore};
use wix_visitor_sqlite::{SqliteOptions, SqliteStore};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn key(n: u32) -> StoreKey {
    StoreKey::parse(&format!("site/{n}")).unwrap()
}

fn record(n: u128, size: usize) -> Stored {
    Stored { etag: Etag::from_bits(n), bytes: vec![u8::try_from(n % 256).unwrap(); size] }
}

/// Where a key of eight letters stands in a database: in its row, and in the index. Each is known by the types of the columns before it,
/// of which a text of eight letters is one.
fn places(database: &[u8], key: &str) -> [usize; 2] {
    const TEXT: u8 = 13 + 2 * 8;
    let all: Vec<_> =
        database.windows(key.len()).enumerate().filter(|(_, part)| *part == key.as_bytes()).map(|(at, _)| at).collect();
    [7, 2].map(|before| {
        let here: Vec<_> = all.iter().copied().filter(|at| database[at - before] == TEXT).collect();
        assert_eq!(here.len(), 1, "{key}");
        here[0]
    })
}

async fn refused(path: impl AsRef<Path>, kind: StoreErrorKind, says: &str) -> StoreError {
    let error = SqliteStore::open(path.as_ref()).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
    error
}

async fn one_record(path: &Path) -> Stored {
    let store = SqliteStore::open(path).await.unwrap();
    let first = record(1, 2000);
    assert_eq!(store.compare_exchange(&key(1), None, &first, YEAR).await.unwrap(), Exchange::Swapped);
    first
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt_and_left_as_it_is() {
    let directory = tempdir().unwrap();
    for (name, content) in
        [("one", b"x".to_vec()), ("short", b"hello".to_vec()), ("long", b"not a database ".repeat(1000))]
    {
        let path = directory.path().join(name);
        fs::write(&path, &content).unwrap();
        refused(&path, StoreErrorKind::Corrupt, "not an SQLite database").await;
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_schema_is_unsupported_and_left_as_it_is() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let first = one_record(&path).await;
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let before = fs::read(&path).unwrap();
    refused(&path, StoreErrorKind::Unsupported, "schema version 99").await;
    assert_eq!(fs::read(&path).unwrap(), before);

    Connection::open(&path).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(first));
}

#[tokio::test]
async fn the_database_of_another_application_is_never_touched() {
    let directory = tempdir().unwrap();
    for (name, sql) in [
        ("plain", "CREATE TABLE shoes (size)"),
        ("marked", "PRAGMA application_id = 42; CREATE TABLE records (key)"),
        ("marked-and-empty", "PRAGMA application_id = 42; PRAGMA user_version = 1"),
        ("wal", "PRAGMA journal_mode = WAL; CREATE TABLE shoes (size)"),
    ] {
        let path = directory.path().join(name);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = fs::read(&path).unwrap();
        refused(&path, StoreErrorKind::Misconfigured, "another application").await;
        assert_eq!(fs::read(&path).unwrap(), before, "{name}");
    }
}

#[tokio::test]
async fn what_another_application_left_in_its_log_stays_there() {
    let directory = tempdir().unwrap();
    let (live, path) = (directory.path().join("live"), directory.path().join("crashed"));
    let db = Connection::open(&live).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE shoes (size)").unwrap();
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        fs::copy(name(&live), name(&path)).unwrap();
    }
    let files = || [fs::read(&path).unwrap(), fs::read(format!("{}-wal", path.display())).unwrap()];
    let before = files();
    refused(&path, StoreErrorKind::Misconfigured, "another application").await;
    assert_eq!(files(), before);
}

#[tokio::test]
async fn a_path_that_cannot_be_one_is_refused_with_the_reason() {
    use StoreErrorKind::Misconfigured;
    let directory = tempdir().unwrap();
    let here = directory.path();
    refused("", Misconfigured, "is empty").await;
    refused(":memory:", Misconfigured, "memory store").await;
    refused(here, Misconfigured, "is a directory").await;
    refused(format!("{}/new/", here.display()), Misconfigured, "is a directory").await;
    refused("/", Misconfigured, "is a directory").await;
    refused(here.join("a\0b"), Misconfigured, "cannot create").await;
    refused(here.join("x".repeat(300)), Misconfigured, "cannot create").await;
    fs::write(here.join("file"), "").unwrap();
    refused(here.join("file/v.db"), Misconfigured, "file").await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    use StoreErrorKind::Misconfigured;
    let directory = tempdir().unwrap();
    let here = directory.path();
    let _listener = std::os::unix::net::UnixListener::bind(here.join("socket")).unwrap();
    refused(here.join("socket"), Misconfigured, "not a regular file").await;
    refused("/dev/null", Misconfigured, "not a regular file").await;
    refused("/proc/visitors.db", Misconfigured, "cannot create").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_symbolic_link_is_refused_for_the_database_and_for_its_side_files() {
    use std::os::unix::fs::symlink;
    let directory = tempdir().unwrap();
    let here = directory.path();
    one_record(&here.join("real.db")).await;
    symlink(here.join("real.db"), here.join("link.db")).unwrap();
    symlink(here.join("nowhere"), here.join("dangling.db")).unwrap();
    refused(here.join("link.db"), StoreErrorKind::Misconfigured, "symbolic link").await;
    refused(here.join("dangling.db"), StoreErrorKind::Misconfigured, "symbolic link").await;
    assert!(!here.join("nowhere").exists());

    symlink(here.join("nowhere"), here.join("real.db-wal")).unwrap();
    refused(here.join("real.db"), StoreErrorKind::Misconfigured, "symbolic link").await;
    fs::remove_file(here.join("real.db-wal")).unwrap();

    // A linked directory is the administrator's business.
    symlink(here, here.join("linked")).unwrap();
    let store = SqliteStore::open(here.join("linked/real.db")).await.unwrap();
    assert_eq!(store.path(), here.canonicalize().unwrap().join("real.db"));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_over_once_there_is_room() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let store = SqliteOptions::new(&path).max_pages(20).open().await.unwrap();
    let mut kept = 0;
    let error = loop {
        match store.compare_exchange(&key(kept), None, &record(kept.into(), 8000), YEAR).await {
            Ok(done) => assert_eq!(done, Exchange::Swapped),
            Err(error) => break error,
        }
        kept += 1;
    };
    assert_eq!((error.kind(), error.is_transient()), (StoreErrorKind::Unavailable, true), "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(kept > 3);
    for n in 0..kept {
        assert_eq!(store.load(&key(n)).await.unwrap(), Some(record(n.into(), 8000)));
    }
    assert_eq!(store.load(&key(kept)).await.unwrap(), None);
    // What needs no room still goes, also in one batch with what does.
    let (small, large) = (record(1000, 8000), record(1001, 8000));
    let (etag, first, more) = (Etag::from_bits(0), key(0), key(kept));
    let (small, large) = tokio::join!(
        store.compare_exchange(&first, Some(&etag), &small, YEAR),
        store.compare_exchange(&more, None, &large, YEAR),
    );
    assert_eq!(small.unwrap(), Exchange::Swapped);
    assert_eq!(large.unwrap_err().kind(), StoreErrorKind::Unavailable);
    drop(store);

    let store = SqliteStore::open(&path).await.unwrap();
    let more = store.compare_exchange(&key(kept), None, &record(1001, 8000), YEAR).await.unwrap();
    assert_eq!(more, Exchange::Swapped);
}

#[tokio::test]
async fn a_damaged_record_is_corrupt_wherever_the_damage_is() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let first = one_record(&path).await;
    let other = {
        let store = SqliteStore::open(&path).await.unwrap();
        let other = record(2, 100);
        store.compare_exchange(&key(2), None, &other, YEAR).await.unwrap();
        other
    };
    let db = Connection::open(&path).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    for damage in [
        "etag = substr(etag, 1, 15)",
        "etag = x''",
        "etag = zeroblob(16)",
        "bytes = substr(bytes, 1, 1999)",
        "bytes = x''",
        "bytes = CAST(substr(bytes, 1, 999) || x'00' || substr(bytes, 1001) AS BLOB)",
        "keep_until = 0",
        "crc = crc + 1",
        "crc = 0",
    ] {
        db.execute_batch(&format!(
            "CREATE TABLE aside AS SELECT * FROM records; UPDATE records SET {damage} WHERE key = 'site/1'"
        ))
        .unwrap();
        let error = store.load(&key(1)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (StoreErrorKind::Corrupt, false), "{damage}: {error}");
        let new = record(3, 10);
        let error = store.compare_exchange(&key(1), None, &new, YEAR).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}: {error}");
        let stale = Etag::from_bits(77);
        let error = store.compare_exchange(&key(1), Some(&stale), &new, YEAR).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}: {error}");
        assert_eq!(store.load(&key(2)).await.unwrap(), Some(other.clone()), "the others are unharmed");
        // What stands under an etag of the right length can be written over by whoever means to.
        let short = damage.contains("etag, 1, 15") || damage == "etag = x''";
        assert_eq!(error.standing().is_none(), short, "{damage}");
        if let Some(standing) = error.standing() {
            assert_eq!(store.compare_exchange(&key(1), Some(&standing), &new, YEAR).await.unwrap(), Exchange::Swapped);
            assert_eq!(store.load(&key(1)).await.unwrap(), Some(new));
        }
        db.execute_batch("DELETE FROM records; INSERT INTO records SELECT * FROM aside; DROP TABLE aside").unwrap();
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(first.clone()));
    }
}

#[tokio::test]
async fn who_knows_the_etag_can_put_a_whole_record_over_a_damaged_one() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let first = one_record(&path).await;
    let store = SqliteStore::open(&path).await.unwrap();
    Connection::open(&path).unwrap().execute_batch("UPDATE records SET bytes = x'00'").unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let new = record(2, 100);
    assert_eq!(store.compare_exchange(&key(1), Some(&first.etag), &new, YEAR).await.unwrap(), Exchange::Swapped);
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_flipped_bit_never_makes_another_record_and_makes_none_only_in_a_page_s_row_count() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let first = one_record(&path).await;
    let whole = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged.db");
    let mut errors = 0;
    // All bits of the file's header and of the headers of its pages, and a sample of the rest.
    assert_eq!(whole.len(), 3 * 4096);
    let headers = (0..112).chain(4096..4112).chain(8192..8208).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let sample = (112..whole.len()).step_by(23).map(|at| (at, at % 8));
    for (at, bit) in headers.chain(sample) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(&damaged, bytes).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", damaged.display()));
        }
        let found = async {
            let store = SqliteOptions::new(&damaged).timeout(Duration::from_secs(2)).open().await?;
            store.load(&key(1)).await
        };
        match found.await {
            Ok(Some(found)) => assert_eq!(found, first, "bit {bit} of byte {at}"),
            // How many keys are in the page of the index, from one to none: SQLite keeps no checksum of it.
            Ok(None) => assert_eq!((at, bit), (8196, 0)),
            Err(error) if error.is_transient() => panic!("bit {bit} of byte {at}: {error}"),
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 100, "{errors}");
}

#[tokio::test]
async fn a_damaged_key_is_not_taken_for_an_absent_record() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for n in 100..600 {
        store.compare_exchange(&key(n), None, &record(n.into(), 700), YEAR).await.unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    for n in [100, 101, 256, 377, 598, 599] {
        for (from, to) in [("site", "sitf"), ("site", "rite")] {
            let (key, damaged) = (format!("{from}/{n}"), format!("{to}/{n}"));
            let mut bytes = whole.clone();
            let [_, at] = places(&whole, &key);
            bytes[at..at + key.len()].copy_from_slice(damaged.as_bytes());
            fs::write(&path, bytes).unwrap();

            let store = SqliteStore::open(&path).await.unwrap();
            let key = StoreKey::parse(&key).unwrap();
            let error = store.load(&key).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            let error = store.compare_exchange(&key, None, &record(9, 9), YEAR).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            let elsewhere = StoreKey::parse("another/site").unwrap();
            let far = n == 100 || n == 101 && to == "rite";
            assert!(far || store.load(&elsewhere).await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn a_key_that_is_no_text_any_more_keeps_nobody_else_from_being_listed_and_purged() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for n in 0..9 {
        store.compare_exchange(&key(n), None, &record(n.into(), 9), Duration::ZERO).await.unwrap();
    }
    let db = Connection::open(&path).unwrap();
    for (n, flipped) in [(3, "73697465ff33"), (5, "f8697465"), (8, "736974652fb8")] {
        let damage = format!("UPDATE records SET key = CAST(x'{flipped}' AS TEXT) WHERE key = 'site/{n}'");
        assert_eq!(db.execute(&damage, []).unwrap(), 1);
    }
    drop(db);
    for most in [1, 2, 1000] {
        let (mut found, mut from) = (Vec::new(), None);
        for _ in 0..20 {
            let page = store.list(None, from.as_ref(), most).await.unwrap();
            found.extend(page.keys);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(found, [0, 1, 2, 4, 6, 7].map(key), "pages of {most}");
    }
    let (mut dropped, mut from) = (0, None);
    for _ in 0..20 {
        let purged = store.purge(Timestamp::from_millis(i64::MAX), from.as_ref(), 1).await.unwrap();
        dropped += purged.dropped;
        from = purged.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((dropped, from), (6, None));
}

#[tokio::test]
async fn a_database_cut_short_is_corrupt() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    {
        let store = SqliteStore::open(&path).await.unwrap();
        for n in 0..50 {
            store.compare_exchange(&key(n), None, &record(n.into(), 4000), YEAR).await.unwrap();
        }
    }
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let store = SqliteStore::open(&path).await;
    let error = match store {
        Err(error) => error,
        Ok(store) => {
            let mut error = None;
            for n in 0..50 {
                match store.load(&key(n)).await {
                    Ok(found) => assert_eq!(found, Some(record(n.into(), 4000))),
                    Err(e) => error = Some(e),
                }
            }
            error.unwrap()
        }
    };
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_database_without_its_table_is_corrupt() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    one_record(&path).await;
    Connection::open(&path).unwrap().execute_batch("DROP TABLE records").unwrap();
    refused(&path, StoreErrorKind::Corrupt, "tables").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_that_is_taken_away_in_use_is_an_error_until_it_is_back() {
    let directory = tempdir().unwrap();
    let (path, aside) = (directory.path().join("v.db"), directory.path().join("aside.db"));
    let first = one_record(&path).await;
    let store = SqliteStore::open(&path).await.unwrap();
    for replaced in [false, true] {
        fs::rename(&path, &aside).unwrap();
        if replaced {
            fs::write(&path, "").unwrap();
        }
        let error = store.load(&key(1)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
        let error = store.compare_exchange(&key(1), Some(&first.etag), &record(2, 1), YEAR).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
        fs::rename(&aside, &path).unwrap();
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(first.clone()));
    }
}

#[tokio::test]
async fn a_database_locked_for_the_whole_timeout_is_unavailable_when_opened() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = SqliteOptions::new(&path).timeout(Duration::from_millis(200)).open().await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (StoreErrorKind::Unavailable, true), "{error}");
    db.execute_batch("ROLLBACK").unwrap();
    one_record(&path).await;
}

#[tokio::test]
async fn a_record_over_64_kib_is_unsupported() {
    let directory = tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("v.db")).await.unwrap();
    let large = record(1, Stored::MAX_SEALED_BYTES + 1);
    let error = store.compare_exchange(&key(1), None, &large, YEAR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn debug_output_shows_the_path_and_no_record() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    one_record(&path).await;
    let store = SqliteStore::open(&path).await.unwrap();
    let shown = format!("{store:?}");
    assert!(shown.contains("v.db") && !shown.contains("[1"), "{shown}");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let directory = tempdir().unwrap();
    let mut open = Box::pin(SqliteStore::open(directory.path().join("v.db")));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match open.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), StoreErrorKind::Misconfigured),
        other => panic!("{other:?}"),
    }
}

/// Each bit is flipped where the row is, as a disk does it; to damage a row through SQLite moves it to where its new key belongs.
#[tokio::test]
async fn a_bit_flipped_in_a_key_is_counted_and_hides_nobody_else_from_a_listing_or_a_purge() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for n in 100..600 {
        store.compare_exchange(&key(n), None, &record(n.into(), 700), YEAR).await.unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let site = ClientId::new("site").unwrap();
    for n in [100, 101, 256, 377, 598, 599] {
        let [_, at] = places(&whole, &format!("site/{n}"));
        // Before the key there is the type of its column: of eight letters of text, or of eight bytes.
        for (at, bit) in (0..8).map(|bit| (at, bit)).chain([(at + 7, 0), (at + 7, 7), (at - 2, 0)]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            let store = SqliteStore::open(&path).await.unwrap();
            for (site, most) in [(None, 7), (None, 1000), (Some(&site), 100)] {
                let (mut found, mut unreadable, mut from) = (Vec::new(), 0, None);
                for _ in 0..=600 {
                    let page = store.list(site, from.as_ref(), most).await.unwrap();
                    found.extend(page.keys);
                    unreadable += page.unreadable;
                    from = page.next;
                    if from.is_none() {
                        break;
                    }
                }
                found.sort();
                let others: Vec<_> = (100..600).filter(|other| *other != n).map(key).collect();
                assert!(found == others, "{} of 499, with bit {bit} of byte {at} in pages of {most}", found.len());
                assert_eq!(unreadable, 1, "bit {bit} of byte {at} in pages of {most}");
            }
            let (mut looked_at, mut unreadable, mut from) = (0, 0, None);
            for _ in 0..=600 {
                let purged = store.purge(Timestamp::from_millis(0), from.as_ref(), 100).await.unwrap();
                looked_at += purged.looked_at;
                unreadable += purged.unreadable;
                from = purged.next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!((looked_at, unreadable), (500, 1), "bit {bit} of byte {at}");
        }
    }
}

#[tokio::test]
async fn a_bit_flipped_in_the_key_of_a_row_harms_nobody() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for n in 100..110 {
        store.compare_exchange(&key(n), None, &record(n.into(), 700), Duration::ZERO).await.unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let [at, _] = places(&bytes, "site/104");
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    let listed = store.list(None, None, 100).await.unwrap();
    assert_eq!((listed.keys, listed.unreadable), ((100..110).map(key).collect(), 0));
    assert_eq!(store.load(&key(104)).await.unwrap(), Some(record(104, 700)));
    let (old, new) = (Etag::from_bits(104), record(204, 700));
    let done = store.compare_exchange(&key(104), Some(&old), &new, Duration::ZERO).await.unwrap();
    assert_eq!((done, store.load(&key(104)).await.unwrap()), (Exchange::Swapped, Some(new)));
    let purged = store.purge(Timestamp::from_millis(i64::MAX), None, 100).await.unwrap();
    assert_eq!((purged.looked_at, purged.dropped, purged.unreadable), (10, 10, 0));
    assert_eq!(store.load(&key(104)).await.unwrap(), None);
}

#[tokio::test]
async fn an_index_that_leads_to_the_row_of_another_gives_nobody_that_row_nor_its_etag() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for n in 100..110 {
        store.compare_exchange(&key(n), None, &record(n.into(), 700), YEAR).await.unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let [_, at] = places(&bytes, "site/104");
    // Behind the key there is the number of its row.
    assert_eq!(bytes[at + 8], 5);
    bytes[at + 8] = 4;
    fs::write(&path, bytes).unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    let error = store.load(&key(104)).await.unwrap_err();
    assert_eq!((error.kind(), error.standing()), (StoreErrorKind::Corrupt, None), "{error}");
    for expected in [None, Some(&Etag::from_bits(104))] {
        let error = store.compare_exchange(&key(104), expected, &record(9, 9), YEAR).await.unwrap_err();
        assert_eq!((error.kind(), error.standing()), (StoreErrorKind::Corrupt, None), "{error}");
    }
    assert_eq!(store.load(&key(103)).await.unwrap(), Some(record(103, 700)));
    let purged = store.purge(Timestamp::from_millis(i64::MAX), None, 100).await.unwrap();
    assert_eq!((purged.dropped, purged.unreadable), (9, 1));
}

/// Before, rows stood in the index itself, half of each in a page of its own.
#[tokio::test]
async fn a_database_laid_out_as_before_is_used_as_it_is() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    let first = one_record(&path).await;
    let db = Connection::open(&path).unwrap();
    let table: String =
        db.query_row("SELECT sql FROM sqlite_schema WHERE name = 'records'", [], |row| row.get(0)).unwrap();
    db.execute_batch(&format!(
        "ALTER TABLE records RENAME TO aside; {table}, WITHOUT ROWID;
         INSERT INTO records SELECT * FROM aside; DROP TABLE aside;"
    ))
    .unwrap();
    drop(db);

    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(store.load(&key(2)).await.unwrap(), None);
    for expected in [None, Some(&first.etag)] {
        let new = record(2, 2000);
        let done = store.compare_exchange(&key(1), expected, &new, Duration::ZERO).await.unwrap();
        assert_eq!(done == Exchange::Swapped, expected.is_some());
    }
    assert_eq!(store.compare_exchange(&key(2), None, &first, YEAR).await.unwrap(), Exchange::Swapped);
    let tomorrow = (SystemTime::now() + YEAR / 365).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let purged = store.purge(Timestamp::from_secs(tomorrow.as_secs() as i64), None, 100).await.unwrap();
    assert_eq!((purged.looked_at, purged.dropped), (2, 1));
    assert_eq!(store.list(None, None, 100).await.unwrap().keys, [key(2)]);
}
