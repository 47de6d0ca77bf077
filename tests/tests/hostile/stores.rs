//! Stores, asked for anything.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use wix_visitor_core::{ClientId, Cursor, Etag, Exchange, StoreErrorKind, StoreKey, Stored, Timestamp, TokenStore};
use wix_visitor_file::FileStore;
use wix_visitor_memory::MemoryStore;
use wix_visitor_sqlite::SqliteStore;

use crate::{COUNTS, MOMENTS, is_not_repeated, texts};

struct Place {
    store: Arc<dyn TokenStore>,
    name: &'static str,
    _directory: TempDir,
}

async fn places() -> [Place; 3] {
    wix_visitor_tests::trace::to_stderr();
    let directory = || tempfile::tempdir().unwrap();
    let (of_files, of_sqlite) = (directory(), directory());
    let file: Arc<dyn TokenStore> = Arc::new(FileStore::open(of_files.path().join("v")).await.unwrap());
    let sqlite: Arc<dyn TokenStore> = Arc::new(SqliteStore::open(of_sqlite.path().join("v.db")).await.unwrap());
    [
        Place { store: Arc::new(MemoryStore::new()), name: "memory", _directory: directory() },
        Place { store: file, name: "file", _directory: of_files },
        Place { store: sqlite, name: "sqlite", _directory: of_sqlite },
    ]
}

fn key(site: &str, n: usize) -> StoreKey {
    StoreKey::parse(&format!("{site}/{n}")).unwrap()
}

/// Three records of one site and one of another, kept for ever.
async fn fill(store: &dyn TokenStore) -> HashSet<StoreKey> {
    let keys = [key("ours", 0), key("ours", 1), key("ours", 2), key("another", 0)];
    for (n, key) in keys.iter().enumerate() {
        let new = Stored { etag: Etag::from_bits(n as u128), bytes: vec![b'x'; n] };
        let answer = store.compare_exchange(key, None, &new, Duration::MAX).await.unwrap();
        assert_eq!(answer, Exchange::Swapped);
    }
    keys.into()
}

#[tokio::test]
async fn pages_of_any_size_show_every_record() {
    for Place { store, name, .. } in &places().await {
        let keys = fill(store).await;
        for most in COUNTS {
            let (mut found, mut from) = (HashSet::new(), None::<Cursor>);
            loop {
                let page = store.list(None, from.as_ref(), most).await.unwrap();
                found.extend(page.keys);
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(found, keys, "{name}, pages of {most}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_any_kind_shows_no_other_sites_records_or_is_refused() {
    let ours = ClientId::new("ours").unwrap();
    let foreign = ["ours", "another/", "0", "1f", "ffff", "100000", "18446744073709551615", "6f757273", "7e7e7e"];
    let strange = ["", " ", "\0", "-1", "x", "\u{202e}", "0.0.0", "f0f0f0f0f"];
    for Place { store, name, .. } in &places().await {
        fill(store).await;
        for text in texts().iter().map(String::as_str).chain(foreign).chain(strange) {
            let from = Cursor::new(text);
            match store.list(Some(&ours), Some(&from), 1).await {
                Ok(page) => assert!(page.keys.iter().all(|key| key.is_of(&ours)), "{name}: {text:.40?}"),
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{name}: {error:.200}");
                    is_not_repeated(&error, text);
                }
            }
            match store.purge(Timestamp::from_millis(i64::MAX), Some(&from), 1).await {
                Ok(purged) => assert_eq!(purged.dropped, 0, "{name}: {text:.40?}"),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{name}: {error:.200}"),
            }
        }
        for text in strange {
            let answer = store.list(None, Some(&Cursor::new(text)), 1).await;
            assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Unsupported, "{name}: {text:?}");
        }
    }
}

#[tokio::test]
async fn a_purge_of_any_moment_drops_what_is_over_and_never_what_is_kept_for_ever() {
    for Place { store, name, .. } in &places().await {
        let keys = fill(store).await;
        for (moment, most) in MOMENTS.into_iter().flat_map(|moment| COUNTS.map(|most| (moment, most))) {
            let purged = match store.purge(Timestamp::from_millis(moment), None, most).await {
                Err(error) if error.kind() == StoreErrorKind::Unsupported => break,
                purged => purged.unwrap(),
            };
            assert_eq!((purged.dropped, purged.unreadable), (0, 0), "{name}: {moment}");
        }
        for key in &keys {
            assert!(store.load(key).await.unwrap().is_some(), "{name}");
        }
    }
}

#[tokio::test]
async fn room_for_any_number_of_bytes_is_there_or_is_refused_and_the_next_write_works() {
    let (ours, nobody) = (key("ours", 0), key("ours", 99));
    for Place { store, name, .. } in &places().await {
        fill(store).await;
        for (bytes, key) in COUNTS.into_iter().flat_map(|bytes| [(bytes, &ours), (bytes, &nobody)]) {
            for answer in [store.reserve(key, bytes).await, store.health(key, bytes).await] {
                if let Err(error) = answer {
                    assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{name}, {bytes}: {error}");
                    assert!(bytes > Stored::MAX_SEALED_BYTES, "{name}, {bytes}");
                }
            }
        }
        let standing = store.load(&ours).await.unwrap().unwrap();
        let new = Stored { etag: Etag::from_bits(99), bytes: vec![0; Stored::MAX_BYTES] };
        let answer = store.compare_exchange(&ours, Some(&standing.etag), &new, Duration::ZERO).await.unwrap();
        assert_eq!(answer, Exchange::Swapped, "{name}");
        assert_eq!(store.load(&nobody).await.unwrap(), None, "{name}");
    }
}
