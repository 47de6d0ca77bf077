//! Records whose very keys cannot be read, and a damaged mark of the last purge: told of and left as they are, and all else goes on.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use wix_visitor_core::housekeeping::Housekeeper;
use wix_visitor_core::{KeyRing, PlainRecords, SealedStore, SealingKey, StoreErrorKind, StoreKey, TokenStore};
use wix_visitor_file::FileStore;
use wix_visitor_memory::MemoryStore;
use wix_visitor_sqlite::SqliteStore;
use wix_visitor_testkit::Rotation;
use wix_visitor_testkit::ledger::note_secret;
use wix_visitor_tests::instance::Instance;
use wix_visitor_tests::sealing::{RING, is_the_suites_own};

/// A store whose files can be damaged.
struct Place {
    directory: TempDir,
    store: Arc<dyn TokenStore>,
    is_sqlite: bool,
}

impl Place {
    async fn both() -> [Self; 2] {
        let [one, other] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let sqlite = SqliteStore::open(one.path().join("v.db")).await.unwrap();
        let file = FileStore::open(other.path().join("v")).await.unwrap();
        [
            Self { directory: one, store: Arc::new(sqlite), is_sqlite: true },
            Self { directory: other, store: Arc::new(file), is_sqlite: false },
        ]
    }

    fn change(&self, sql: &str) {
        let db = Connection::open(self.directory.path().join("v.db")).unwrap();
        assert_eq!(db.execute(sql, []).unwrap(), 1, "{sql}");
    }

    fn file(&self, name: &str) -> PathBuf {
        let shards = fs::read_dir(self.directory.path().join("v")).unwrap().map(|entry| entry.unwrap().path());
        shards.map(|shard| shard.join(name)).find(|path| path.exists()).unwrap()
    }

    /// Damages the key of this record, or takes that back.
    fn rename(&self, key: &StoreKey, back: bool) {
        let (right, wrong) = (key.as_str().to_owned(), key.as_str().replace('/', "/x"));
        let (from, to) = if back { (wrong, right) } else { (right, wrong) };
        if self.is_sqlite {
            return self.change(&format!("UPDATE records SET key = '{to}' WHERE key = '{from}'"));
        }
        let name = |key: &str| format!("v-{}.json", key.replace('/', "_"));
        let path = self.file(&name(&from));
        fs::rename(&path, path.with_file_name(name(&to))).unwrap();
    }

    fn damage_mark(&self) {
        if self.is_sqlite {
            return self.change("UPDATE records SET crc = crc + 1 WHERE key = 'purge'");
        }
        let mark = self.file("v-purge.json");
        let mut bytes = fs::read(&mark).unwrap();
        // Of its line, whichever half of the file that is in.
        let last = bytes.iter().rposition(|byte| *byte != b' ').unwrap() - 2;
        bytes[last] ^= 1;
        fs::write(mark, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_record_whose_key_cannot_be_read_is_counted_and_holds_up_nobody() {
    let (new, old) = (SealingKey::generate().unwrap(), KeyRing::from_text(RING).unwrap());
    note_secret(new.to_text().expose());
    for place in Place::both().await {
        let store = Arc::clone(&place.store);
        is_the_suites_own();
        let instance = Instance::new(Rotation::Same).another_on(SealedStore::new(Arc::clone(&store), old.clone()));
        for n in 0..4 {
            instance.visitors.visitor(format!("visitor {n}")).authorization().await.unwrap();
        }
        let keys = store.list(None, None, 1000).await.unwrap().keys;
        // The mark is there: a store in which it may be the damaged one is none to begin with.
        Housekeeper::new(Arc::clone(&store)).purge().await.unwrap();
        place.rename(&keys[2], false);
        let mut others: Vec<_> = [0, 1, 3].map(|n| keys[n].clone()).to_vec();
        others.sort();
        is_counted(&store, &others).await;

        let ring = KeyRing::from_text(&format!("{}\n{RING}", new.to_text().expose())).unwrap();
        let housekeeper = Housekeeper::new(Arc::clone(&store)).sealed(ring, PlainRecords::Refused);
        let resealed = housekeeper.reseal().await.unwrap();
        assert_eq!((resealed.resealed, resealed.failed.count, resealed.failed.nameless), (3, 1, 1));
        let to = MemoryStore::new();
        for (copied, there) in [(3, 0), (0, 3)] {
            let moved = housekeeper.migrate(Arc::new(to.clone())).await.unwrap();
            assert_eq!((moved.copied, moved.there, moved.failed.count, moved.failed.nameless), (copied, there, 1, 1));
            assert!(moved.failed.first.is_empty() && !moved.is_settled());
        }
        let purged = housekeeper.purge_trusting_the_clock().await.unwrap();
        assert_eq!((purged.looked_at, purged.dropped, purged.unreadable), (4, 0, 1));
        // It may need any key of the ring.
        let error = housekeeper.seals().await.unwrap_err();
        assert!(error.kind() == StoreErrorKind::Corrupt && error.to_string().contains("restore"), "{error}");

        place.rename(&keys[2], true);
        let resealed = housekeeper.reseal().await.unwrap();
        assert_eq!((resealed.resealed, resealed.already, resealed.failed.count), (1, 3, 0));
        assert_eq!(housekeeper.seals().await.unwrap(), [(Some(new.name()), 4)].into());
        assert_eq!(housekeeper.migrate(Arc::new(to)).await.unwrap().copied, 1);
    }
}

async fn is_counted(store: &Arc<dyn TokenStore>, others: &[StoreKey]) {
    let housekeeper = Housekeeper::new(Arc::clone(store));
    let (mut found, mut unreadable, mut from) = (Vec::new(), 0, None);
    loop {
        let page = housekeeper.list(from.as_ref(), 2).await.unwrap();
        found.extend(page.keys);
        unreadable += page.unreadable;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    found.sort();
    assert_eq!((&*found, unreadable), (others, 1));
}

#[tokio::test]
async fn a_mark_of_the_last_purge_that_is_damaged_drops_nothing_and_goes_once_the_clock_is_trusted() {
    for place in Place::both().await {
        let housekeeper = Housekeeper::new(Arc::clone(&place.store));
        housekeeper.purge().await.unwrap();
        place.damage_mark();
        for _ in 0..2 {
            let error = housekeeper.purge().await.unwrap_err();
            assert!(error.kind() == StoreErrorKind::Corrupt && error.to_string().contains("--trust-clock"), "{error}");
        }
        let trusted = housekeeper.purge_trusting_the_clock().await.unwrap();
        assert_eq!((trusted.looked_at, trusted.unreadable), (0, 0));
        assert!(housekeeper.purge().await.unwrap().over_at.is_some());
    }
}
