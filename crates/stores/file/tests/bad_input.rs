//! Whatever is in the directory's place: a clear error of the right kind, and nothing lost.

#![allow(clippy::unwrap_used)] // the helpers too are tests

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::tempdir;
use wix_visitor_core::{Etag, Exchange, StoreError, StoreErrorKind, StoreKey, Stored, Timestamp, TokenStore};
use wix_visitor_file::{FileOptions, FileStore};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn key(n: u32) -> StoreKey {
    StoreKey::parse(&format!("site/{n}")).unwrap()
}

fn record(n: u128) -> Stored {
    Stored { etag: Etag::from_bits(n), bytes: format!(r#"{{"number":{n}}}"#).into_bytes() }
}

async fn refused(path: impl AsRef<Path>, kind: StoreErrorKind, says: &str) -> StoreError {
    let error = FileStore::open(path.as_ref()).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
    error
}

async fn one_record(path: &Path) -> FileStore {
    let store = FileStore::open(path).await.unwrap();
    assert_eq!(store.compare_exchange(&key(1), None, &record(1), YEAR).await.unwrap(), Exchange::Swapped);
    store
}

/// The file of the one record.
fn file(store: &FileStore) -> PathBuf {
    let shards = fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().path());
    shards.map(|shard| shard.join("v-site_1.json")).find(|file| file.exists()).unwrap()
}

fn listing(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_record_is_a_file_that_a_person_can_read() {
    let directory = tempdir().unwrap();
    let store = one_record(&directory.path().join("visitors")).await;
    let text = fs::read_to_string(file(&store)).unwrap();
    assert!(text.contains(r#""record":{"number":1}}"#), "{text}");
    assert_eq!(listing(file(&store).parent().unwrap()), ["lock", "turn", "v-site_1.json"], "nothing else is left");
    assert_eq!(fs::read_to_string(store.path().join("wix-visitor.json")).unwrap(), "{\"wix-visitor-file\":1}\n");
}

#[tokio::test]
async fn a_look_at_its_health_writes_and_leaves_nothing() {
    let directory = tempdir().unwrap();
    let store = one_record(&directory.path().join("visitors")).await;
    let shard = file(&store).parent().unwrap().to_owned();
    let all = || (listing(store.path()), listing(&shard));
    let before = all();
    for n in 1..20 {
        store.health(&key(n), Stored::MAX_BYTES).await.unwrap();
    }
    assert_eq!(all(), before);
    store.reserve(&key(1), 100).await.unwrap();
    store.health(&key(1), 50).await.unwrap();
    assert!(shard.join("v-site_1.new").exists(), "what a grant counts on is left to it");

    // It is seen where nothing can be written, be there a record or not.
    for (place, n) in [(store.path().join("wix-visitor.json.new"), 2), (shard.join("v-site_1.new"), 1)] {
        let _ = fs::remove_file(&place);
        fs::create_dir(&place).unwrap();
        let error = store.health(&key(n), 100).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    }
}

#[tokio::test]
async fn a_directory_with_other_things_is_refused_and_left_as_it_is() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("shoes"), "size 42").unwrap();
    refused(directory.path(), StoreErrorKind::Misconfigured, "other things").await;
    assert_eq!(listing(directory.path()), ["shoes"]);
}

#[tokio::test]
async fn an_empty_directory_is_taken_and_one_that_was_left_half_made_too() {
    let directory = tempdir().unwrap();
    for leftover in ["lock", "turn", "wix-visitor.json.new"] {
        fs::write(directory.path().join(leftover), "").unwrap();
    }
    one_record(directory.path()).await;
    assert_eq!(FileStore::open(directory.path()).await.unwrap().load(&key(1)).await.unwrap(), Some(record(1)));
}

#[tokio::test]
async fn many_may_make_the_same_directory_at_once() {
    let directory = tempdir().unwrap();
    let mut opens = tokio::task::JoinSet::new();
    for n in 0..16 {
        let path = directory.path().join("new/deep");
        opens.spawn(async move {
            let store = FileStore::open(path).await.unwrap();
            store.compare_exchange(&key(n), None, &record(n.into()), YEAR).await.unwrap()
        });
    }
    assert!(opens.join_all().await.iter().all(|done| *done == Exchange::Swapped));
}

#[tokio::test]
async fn a_damaged_marker_is_corrupt_and_a_newer_one_unsupported() {
    let directory = tempdir().unwrap();
    let store = one_record(directory.path()).await;
    let marker = store.path().join("wix-visitor.json");
    for (text, kind, says) in [
        ("", StoreErrorKind::Corrupt, "damaged"),
        ("{\"wix-visitor-file\":0}", StoreErrorKind::Corrupt, "damaged"),
        ("{\"wix-visitor-f\u{e9}le\":1}", StoreErrorKind::Corrupt, "damaged"),
        ("{\"wix-visitor-file\":99}", StoreErrorKind::Unsupported, "version 99"),
    ] {
        fs::write(&marker, text).unwrap();
        refused(directory.path(), kind, says).await;
        assert_eq!(fs::read_to_string(&marker).unwrap(), text);
    }
    fs::write(&marker, b"\xff\xff").unwrap();
    refused(directory.path(), StoreErrorKind::Corrupt, "damaged").await;
    fs::write(&marker, "{\"wix-visitor-file\":1}").unwrap();
    assert_eq!(FileStore::open(directory.path()).await.unwrap().load(&key(1)).await.unwrap(), Some(record(1)));
}

#[tokio::test]
async fn a_path_that_cannot_be_one_is_refused_with_the_reason() {
    use StoreErrorKind::Misconfigured;
    let directory = tempdir().unwrap();
    let here = directory.path();
    refused("", Misconfigured, "is empty").await;
    refused(here.join("a\0b"), Misconfigured, "a\0b").await;
    refused(here.join("x".repeat(300)), Misconfigured, "").await;
    fs::write(here.join("file"), "").unwrap();
    refused(here.join("file"), Misconfigured, "not a directory").await;
    refused(here.join("file/visitors"), Misconfigured, "file").await;
    #[cfg(unix)]
    refused("/dev/null", Misconfigured, "not a directory").await;
    #[cfg(target_os = "linux")]
    refused("/proc/visitors", Misconfigured, "cannot create").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_symbolic_link_is_refused_for_the_directory_and_for_every_file_in_it() {
    use std::os::unix::fs::symlink;
    let directory = tempdir().unwrap();
    let here = directory.path();
    let store = one_record(&here.join("real")).await;
    symlink(here.join("real"), here.join("link")).unwrap();
    symlink(here.join("nowhere"), here.join("dangling")).unwrap();
    for name in ["link", "link/", "dangling", "dangling/"] {
        refused(here.join(name), StoreErrorKind::Misconfigured, "symbolic link").await;
    }
    assert!(!here.join("nowhere").exists());

    let (record_file, outside) = (file(&store), here.join("outside"));
    let shard = record_file.parent().unwrap();
    for name in ["v-site_1.json", "v-site_1.new", "lock", "turn"] {
        let aside = here.join("aside");
        let was_there = fs::rename(shard.join(name), &aside).is_ok();
        fs::write(&outside, "theirs").unwrap();
        symlink(&outside, shard.join(name)).unwrap();
        let answer = match name {
            "v-site_1.new" => store.reserve(&key(1), 100).await,
            _ => store.compare_exchange(&key(1), Some(&Etag::from_bits(1)), &record(2), YEAR).await.map(drop),
        };
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{name}: {error}");
        assert!(error.to_string().contains("symbolic link"), "{name}: {error}");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "theirs");
        fs::remove_file(shard.join(name)).unwrap();
        if was_there {
            fs::rename(&aside, shard.join(name)).unwrap();
        }
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(1)));
    }

    let real = shard.with_extension("real");
    fs::rename(shard, &real).unwrap();
    symlink(&real, shard).unwrap();
    for store in [&store, &FileStore::open(here.join("real")).await.unwrap()] {
        for answer in [
            store.load(&key(1)).await.map(drop),
            store.compare_exchange(&key(1), None, &record(2), YEAR).await.map(drop),
            store.reserve(&key(1), 100).await,
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
    }
    fs::remove_file(shard).unwrap();
    fs::rename(real, shard).unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(1)));

    // A linked directory further up is the administrator's business.
    symlink(here, here.join("linked")).unwrap();
    let store = FileStore::open(here.join("linked/real")).await.unwrap();
    assert_eq!(store.path(), here.canonicalize().unwrap().join("real"));
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let directory = tempdir().unwrap();
    let store = one_record(directory.path()).await;
    let path = file(&store);
    fs::remove_file(&path).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = store.load(&key(1)).await.unwrap_err();
    assert!(!error.to_string().is_empty() && error.kind() != StoreErrorKind::Corrupt, "{error}");
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = store.load(&key(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    for error in [
        store.load(&key(1)).await.unwrap_err(),
        store.compare_exchange(&key(1), None, &record(2), YEAR).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    }
    fs::remove_dir(&path).unwrap();
    for name in ["v-site_1.new", "lock", "turn"] {
        let path = path.with_file_name(name);
        let _ = fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        // With somebody at its other end and without.
        let other_end = || fs::File::options().read(true).write(true).open(&path).unwrap();
        for answered in [false, true] {
            let reader = answered.then(other_end);
            let error = store.compare_exchange(&key(1), None, &record(2), YEAR).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
            assert!(error.to_string().contains("not a regular file"), "{error}");
            drop(reader);
        }
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_record_is_corrupt_and_can_be_written_over_by_whoever_names_it() {
    let directory = tempdir().unwrap();
    let store = one_record(directory.path()).await;
    let path = file(&store);
    let whole = fs::read(&path).unwrap();
    store.compare_exchange(&key(2), None, &record(2), YEAR).await.unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut damages = vec![vec![], whole[..whole.len() - 1].to_vec(), vec![0; 1 << 20], whole.repeat(2)];
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    damages.extend([0, 15, 30, line / 2, line - 1].map(flipped));
    for damage in damages {
        fs::write(&path, &damage).unwrap();
        let first = store.load(&key(1)).await.unwrap_err();
        assert_eq!((first.kind(), first.is_transient()), (StoreErrorKind::Corrupt, false), "{first}");
        for expected in [None, Some(Etag::from_bits(1)), Some(Etag::from_bits(77))] {
            let error = store.compare_exchange(&key(1), expected.as_ref(), &record(3), YEAR).await.unwrap_err();
            assert_eq!((error.kind(), error.standing()), (StoreErrorKind::Corrupt, first.standing()), "{error}");
        }
        assert_eq!(store.load(&key(2)).await.unwrap(), Some(record(2)), "the others are unharmed");
        let standing = first.standing().unwrap();
        let over = store.compare_exchange(&key(1), Some(&standing), &record(3), YEAR).await.unwrap();
        assert_eq!(over, Exchange::Swapped);
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(3)));
    }
    // Another's file under its name is not its record.
    fs::copy(&path, path.with_file_name("aside")).unwrap();
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("\"number\":3", "\"number\":4")).unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn what_a_crash_left_of_a_write_is_completed_by_whoever_comes_next() {
    let directory = tempdir().unwrap();
    let store = one_record(directory.path()).await;
    let path = file(&store);
    let swap = |from: u128, to: u128| {
        let store = store.clone();
        async move {
            let swapped = store.compare_exchange(&key(1), Some(&Etag::from_bits(from)), &record(to), YEAR).await;
            assert_eq!(swapped.unwrap(), Exchange::Swapped);
        }
    };
    let first = fs::read(&path).unwrap();
    swap(1, 2).await;
    let second = fs::read(&path).unwrap();
    assert_eq!((first.len(), second.len()), (8192, 8192), "no new room is taken up");
    for (torn, stands) in [
        ([&first[..4096], &second[4096..4130], &first[4130..]].concat(), 1),
        ([&first[..4096], &first[4096..4100], &second[4100..]].concat(), 1),
        ([&first[..4096], &second[4096..]].concat(), 2),
        ([&second[..30], &first[30..4096], &second[4096..]].concat(), 2),
    ] {
        fs::write(&path, &torn).unwrap();
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(stands)));
        let left = fs::read_to_string(&path).unwrap();
        assert_eq!(left.trim().lines().count(), 1, "what was left undone is done: {left}");
        swap(stands, 3).await;
        swap(3, 4).await;
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(4)));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_backup_links_to_is_not_written_into() {
    let directory = tempdir().unwrap();
    let store = one_record(&directory.path().join("visitors")).await;
    let backup = directory.path().join("backup");
    fs::hard_link(file(&store), &backup).unwrap();
    let before = fs::read(&backup).unwrap();
    for n in 1..4 {
        store.compare_exchange(&key(1), Some(&Etag::from_bits(n)), &record(n + 1), YEAR).await.unwrap();
        assert_eq!(fs::read(&backup).unwrap(), before);
    }
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(4)));
}

#[tokio::test]
async fn what_was_replaced_is_no_longer_in_the_file_and_room_that_was_not_needed_is_given_back() {
    let directory = tempdir().unwrap();
    let store = one_record(directory.path()).await;
    for n in 1..4 {
        store.reserve(&key(1), 5000).await.unwrap();
        store.compare_exchange(&key(1), Some(&Etag::from_bits(n)), &record(n + 1), YEAR).await.unwrap();
        let text = fs::read_to_string(file(&store)).unwrap();
        assert_eq!((text.matches("record").count(), text.contains(&format!("{{\"number\":{}}}", n + 1))), (1, true));
        assert_eq!(listing(file(&store).parent().unwrap()), ["lock", "turn", "v-site_1.json"]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_is_taken_away_in_use_is_an_error_until_it_is_back() {
    let directory = tempdir().unwrap();
    let (path, aside) = (directory.path().join("visitors"), directory.path().join("aside"));
    let store = one_record(&path).await;
    let shard = file(&store).parent().unwrap().to_owned();
    for (taken, replaced) in [(&path, false), (&path, true), (&shard, false)] {
        fs::rename(taken, &aside).unwrap();
        if replaced {
            drop(one_record(taken).await);
        }
        for answer in [
            store.load(&key(1)).await.map(drop),
            store.compare_exchange(&key(1), None, &record(2), YEAR).await.map(drop),
            store.compare_exchange(&key(1), Some(&Etag::from_bits(1)), &record(2), YEAR).await.map(drop),
            store.reserve(&key(1), 100).await,
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
            assert!(error.to_string().contains("was removed"), "{error}");
        }
        assert_eq!(taken.exists(), replaced, "it is not begun anew");
        let _ = fs::remove_dir_all(taken);
        fs::rename(&aside, taken).unwrap();
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(1)));
    }
}

#[tokio::test]
async fn a_record_over_64_kib_is_unsupported() {
    let directory = tempdir().unwrap();
    let store = one_record(directory.path()).await;
    let large = Stored { etag: Etag::from_bits(2), bytes: vec![b'1'; Stored::MAX_SEALED_BYTES + 1] };
    let error = store.compare_exchange(&key(1), Some(&Etag::from_bits(1)), &large, YEAR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(1)));
}

#[tokio::test]
async fn a_write_that_did_not_get_its_turn_is_unavailable_and_never_applied() {
    let directory = tempdir().unwrap();
    drop(one_record(directory.path()).await);
    let store = FileOptions::new(directory.path()).timeout(Duration::from_millis(100)).open().await.unwrap();
    for name in ["lock", "turn"] {
        let held = fs::File::options().write(true).open(file(&store).with_file_name(name)).unwrap();
        held.lock().unwrap();
        let swap = store.compare_exchange(&key(1), Some(&Etag::from_bits(1)), &record(2), YEAR).await;
        let error = swap.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (StoreErrorKind::Unavailable, true), "{error}");
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(1)), "who only reads is not held up");
        drop(held);
        let more = store.compare_exchange(&key(1), None, &record(3), YEAR).await.unwrap();
        assert_eq!(more, Exchange::Conflict(Some(record(1))), "it does not come later");
    }
}

#[tokio::test]
async fn debug_output_shows_the_path_and_no_record() {
    let directory = tempdir().unwrap();
    let store = one_record(&directory.path().join("visitors")).await;
    let shown = format!("{store:?}");
    assert!(shown.contains("visitors") && !shown.contains("number"), "{shown}");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let directory = tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(one_record(&directory.path().join("visitors")));
    drop(runtime);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut now = |answer: std::pin::Pin<&mut dyn Future<Output = Result<(), StoreError>>>| match answer.poll(&mut cx) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), StoreErrorKind::Misconfigured),
        other => panic!("{other:?}"),
    };
    now(std::pin::pin!(async { FileStore::open(directory.path().join("other")).await.map(drop) }));
    now(std::pin::pin!(async { store.load(&key(1)).await.map(drop) }));
    now(std::pin::pin!(async { store.compare_exchange(&key(1), None, &record(1), YEAR).await.map(drop) }));
    now(std::pin::pin!(async { store.reserve(&key(1), 1).await }));
}

#[tokio::test]
async fn a_record_under_a_wrong_name_is_counted_and_left_and_hides_nobody_else() {
    let directory = tempdir().unwrap();
    let store = one_record(directory.path()).await;
    for n in 2..6 {
        store.compare_exchange(&key(n), None, &record(n.into()), Duration::ZERO).await.unwrap();
    }
    let right = file(&store);
    let elsewhere = store.path().join(if right.parent().unwrap().ends_with("000") { "001" } else { "000" });
    let mut places = ["v-SITE_1.json", "site_1.json", "v-site_9.json", "v-.json", ".json"]
        .map(|name| right.with_file_name(name))
        .to_vec();
    #[cfg(target_os = "linux")]
    places
        .push(right.with_file_name(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"v-site_\xff.json")));
    fs::create_dir(&elsewhere).unwrap();
    places.push(elsewhere.join("v-site_1.json"));
    for wrong in places {
        fs::rename(&right, &wrong).unwrap();
        assert_eq!(listed(&store).await, ((2..6).map(key).collect(), 1), "{}", wrong.display());
        assert_eq!(purged(&store, 0).await, [5, 0, 1], "{}", wrong.display());
        fs::rename(&wrong, &right).unwrap();
        assert_eq!(store.load(&key(1)).await.unwrap(), Some(record(1)));
    }
    let wrong = right.with_file_name("v-.json");
    fs::rename(&right, &wrong).unwrap();
    assert_eq!(purged(&store, i64::MAX).await, [5, 4, 1]);
    assert!(wrong.exists());
    assert_eq!(listed(&store).await, (vec![], 1));
}

/// All keys in their order, and how many cannot be read.
async fn listed(store: &FileStore) -> (Vec<StoreKey>, u64) {
    let (mut keys, mut unreadable, mut from) = (Vec::new(), 0, None);
    loop {
        let page = store.list(None, from.as_ref(), 1000).await.unwrap();
        keys.extend(page.keys);
        unreadable += page.unreadable;
        from = page.next;
        if from.is_none() {
            keys.sort();
            return (keys, unreadable);
        }
    }
}

/// How many were looked at, dropped, and could not be read.
async fn purged(store: &FileStore, moment: i64) -> [u64; 3] {
    let (mut counts, mut from) = ([0; 3], None);
    loop {
        let page = store.purge(Timestamp::from_millis(moment), from.as_ref(), 1000).await.unwrap();
        for (count, more) in counts.iter_mut().zip([page.looked_at, page.dropped, page.unreadable]) {
            *count += more;
        }
        from = page.next;
        if from.is_none() {
            return counts;
        }
    }
}
