//! The database is moved away, deleted or replaced under a running process.
//!
//! The store says so and takes no write that would be gone at the next start; what it held goes on in memory. It is not put
//! back into another file by itself: that file may be somebody else's.

use std::fs;
use std::path::{Path, PathBuf};

use wix_visitor::{ErrorKind, StoreErrorKind};
use wix_visitor_testkit::sandbox::Rotation;

use crate::child::Pace;
use crate::herd::Herd;
use crate::place::Kind;
use crate::scene::{LATER, Scene};

/// The database with its side files, those that are there.
fn files(database: &Path) -> Vec<PathBuf> {
    let name = database.display();
    ["", "-wal", "-shm"]
        .iter()
        .map(|side| PathBuf::from(format!("{name}{side}")))
        .filter(|file| file.exists())
        .collect()
}

#[tokio::test]
async fn a_database_that_was_moved_away_is_an_error_that_says_so_and_once_it_is_back_nothing_is_lost() {
    let scene = Scene::new(Kind::Sqlite, Rotation::Strict, Pace::PATIENT).await;
    let (site, clock) = scene.site().await;
    let visitor = site.visitor(&scene.key);
    let token = Herd::send(&visitor, 1).one_token().await;
    let identity = scene.identity_of(&token);
    let elsewhere = tempfile::tempdir_in(scene.directory.path()).unwrap();
    let moved: Vec<_> = files(&scene.database())
        .into_iter()
        .map(|from| {
            let to = elsewhere.path().join(from.file_name().unwrap());
            fs::rename(&from, &to).unwrap();
            (from, to)
        })
        .collect();

    assert_eq!(Herd::send(&visitor, 1).one_token().await, token, "a token that is good is served");
    scene.sandbox.advance(LATER);
    clock.advance(LATER);
    let error = visitor.authorization().await.unwrap_err();
    let store = error.store_error().expect("the store's error").kind();
    assert_eq!((error.kind(), store), (ErrorKind::Store, StoreErrorKind::Misconfigured));
    assert!(error.to_string().contains("removed or replaced while in use; put it back"), "{error}");
    assert_eq!(scene.sandbox.token_requests(), 1, "no grant whose reply could not be kept");
    assert!(!scene.database().exists(), "nor was an empty database put there");

    for (from, to) in moved {
        fs::rename(to, from).unwrap();
    }
    assert_eq!(scene.identity_of(&Herd::send(&visitor, 1).one_token().await), identity);
    site.shutdown().await.unwrap();
    let (again, clock) = scene.site().await;
    clock.advance(LATER);
    assert_eq!(scene.identity_of(&Herd::send(&again.visitor(&scene.key), 1).one_token().await), identity);
    assert_eq!((scene.sandbox.mints(), scene.sandbox.renewals()), (1, 1));
}

#[tokio::test]
async fn a_database_that_was_deleted_leaves_the_tokens_in_memory_for_a_new_one() {
    let scene = Scene::new(Kind::Sqlite, Rotation::Strict, Pace::PATIENT).await;
    let (site, clock) = scene.site().await;
    let visitor = site.visitor(&scene.key);
    let identity = scene.identity_of(&Herd::send(&visitor, 1).one_token().await);
    for file in files(&scene.database()) {
        fs::remove_file(file).unwrap();
    }
    scene.sandbox.advance(LATER);
    clock.advance(LATER);
    for round in ["deleted", "replaced by another process that starts"] {
        let error = visitor.authorization().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{round}: {error}");
        let (other, _) = scene.site().await;
        other.shutdown().await.unwrap();
    }
    assert_eq!(scene.sandbox.token_requests(), 1);

    // The process still has them: it can hand them to the database that is there now.
    let (fresh, clock) = scene.site().await;
    clock.advance(LATER);
    fresh.visitor(&scene.key).set_tokens(visitor.tokens().await.unwrap()).await.unwrap();
    assert_eq!(scene.identity_of(&Herd::send(&fresh.visitor(&scene.key), 1).one_token().await), identity);
    assert_eq!(scene.sandbox.mints(), 1);
}
