//! Who may read the files.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // the helpers too are tests

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::tempdir;
use wix_visitor_core::{Etag, StoreErrorKind, StoreKey, Stored, TokenStore};
use wix_visitor_file::FileStore;

async fn written(path: &Path) -> FileStore {
    let store = FileStore::open(path).await.unwrap();
    let key = StoreKey::parse("site/1").unwrap();
    let new = Stored { etag: Etag::from_bits(1), bytes: vec![1; 100] };
    store.compare_exchange(&key, None, &new, Duration::from_secs(60)).await.unwrap();
    store.reserve(&key, 100).await.unwrap();
    store
}

fn all(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { [vec![path.clone()], all(&path)].concat() } else { vec![path] })
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn everything_is_for_its_owner_alone() {
    let directory = tempdir().unwrap();
    written(&directory.path().join("new/deep")).await;
    let paths = all(directory.path());
    // The marker, two locks here and two there, the record and its room; and three directories.
    assert_eq!(paths.len(), 7 + 3, "{paths:?}");
    for path in paths {
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[tokio::test]
async fn what_was_open_to_others_is_closed_unless_it_is_refused() {
    let directory = tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    let store = written(&directory.path().join("visitors")).await;
    open(store.path());
    open(directory.path());
    FileStore::open(store.path()).await.unwrap();
    assert_eq!((mode(store.path()), mode(directory.path())), (0o700, 0o755));
    FileStore::open(directory.path()).await.unwrap_err();
    assert_eq!(mode(directory.path()), 0o755);

    let key = StoreKey::parse("site/1").unwrap();
    let ours = all(store.path());
    let shard = ours.iter().find(|path| path.is_dir()).unwrap();
    let record =
        ours.iter().find(|path| path.extension().is_some_and(|it| it == "json") && path.parent() == Some(shard));
    for path in [shard, record.unwrap()] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        store.load(&key).await.unwrap().unwrap();
        assert_eq!(mode(path) & 0o077, 0, "{}", path.display());
    }
}

#[tokio::test]
async fn what_belongs_to_another_user_is_refused() {
    let directory = tempdir().unwrap();
    let store = written(&directory.path().join("visitors")).await;
    // Only root may give a file away; for others there is a directory of root's that everybody may look at.
    if chown(store.path(), Some(12345), None).is_err() {
        let error = FileStore::open("/usr").await.unwrap_err();
        assert!(error.to_string().contains("another user"), "{error}");
        return;
    }
    let error = FileStore::open(store.path()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("another user"), "{error}");
    let key = StoreKey::parse("site/1").unwrap();
    let shard = all(store.path()).into_iter().find(|path| path.is_dir()).unwrap();
    chown(&shard, Some(12345), None).unwrap();
    for answer in [store.load(&key).await.map(drop), store.reserve(&key, 1).await] {
        let error = answer.unwrap_err();
        assert!(error.to_string().contains("another user"), "{error}");
    }
    chown(&shard, Some(0), None).unwrap();
    for path in all(store.path()).into_iter().filter(|path| path.to_str().unwrap().contains("/v-")) {
        chown(&path, Some(12345), None).unwrap();
        let answers = [store.load(&key).await.map(drop), store.reserve(&key, 1).await];
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        let refused: Vec<_> = refused.map(|error| (error.kind(), error.to_string())).collect();
        assert_eq!(refused.len(), 1, "{}", path.display());
        assert!(refused[0].0 == StoreErrorKind::Misconfigured && refused[0].1.contains("another user"), "{refused:?}");
        chown(&path, Some(0), None).unwrap();
    }
}
