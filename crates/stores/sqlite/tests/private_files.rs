//! Who may read the files.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // the helpers too are tests

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use tempfile::tempdir;
use wix_visitor_core::{Etag, StoreErrorKind, StoreKey, Stored, TokenStore};
use wix_visitor_sqlite::SqliteStore;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

async fn write(store: &SqliteStore) {
    let new = Stored { etag: Etag::from_bits(1), bytes: vec![1; 100] };
    let key = StoreKey::parse("site/1").unwrap();
    store.compare_exchange(&key, None, &new, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn database_and_side_files_are_for_their_owner_alone_and_so_is_a_new_directory() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("new/deep/v.db");
    let store = SqliteStore::open(&path).await.unwrap();
    write(&store).await;
    for name in ["v.db", "v.db-wal", "v.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&directory.path().join("new")), 0o700);
    assert_eq!(mode(&directory.path().join("new/deep")), 0o700);
}

#[tokio::test]
async fn what_was_open_to_others_is_closed_and_a_directory_that_was_there_stays_as_it_is() {
    let directory = tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("v.db");
    drop(SqliteStore::open(&path).await.unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    write(&store).await;
    for name in ["v.db", "v.db-wal", "v.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(mode(directory.path()), 0o755);
}

#[tokio::test]
async fn the_file_of_another_user_is_refused() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("v.db");
    drop(SqliteStore::open(&path).await.unwrap());
    // Only root may give a file away; for others there is a file of root's that everybody may look at.
    let foreign = match std::os::unix::fs::chown(&path, Some(12345), None) {
        Ok(()) => path.as_path(),
        Err(_) => Path::new("/etc/passwd"),
    };
    let error = SqliteStore::open(foreign).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("another user"), "{error}");
}
