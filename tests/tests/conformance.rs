//! Every store against the contract: by value, boxed, and shared.

#![allow(clippy::expect_used)] // the fixtures too are tests

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use wix_visitor_core::{StoreError, StoreKey, TokenStore, async_trait};
use wix_visitor_memory::MemoryStore;
use wix_visitor_sqlite::SqliteOptions;
use wix_visitor_testkit::conformance::{self, Damage, StoreFixture};
use wix_visitor_tests::step_clock::StepClock;

/// How a store is handed over.
#[derive(Clone, Copy)]
enum As {
    Value,
    Boxed,
    Shared,
}

impl As {
    fn wrap(self, store: impl TokenStore) -> Arc<dyn TokenStore> {
        match self {
            Self::Value => Arc::new(store),
            Self::Boxed => Arc::new(Box::new(store) as Box<dyn TokenStore>),
            Self::Shared => Arc::new(Arc::new(store) as Arc<dyn TokenStore>),
        }
    }
}

struct Memory {
    handed: As,
    clock: StepClock,
    store: MemoryStore,
}

impl Memory {
    fn new(handed: As) -> Self {
        let clock = StepClock::default();
        Self { handed, store: MemoryStore::with_clock(Arc::new(clock.clone())), clock }
    }
}

#[async_trait]
impl StoreFixture for Memory {
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        Ok(self.handed.wrap(self.store.clone()))
    }

    async fn pass(&self, time: Duration) -> bool {
        self.clock.pass(time);
        true
    }
}

struct Sqlite {
    handed: As,
    clock: StepClock,
    directory: TempDir,
    /// Another application's connection: it has the database to itself while an outage lasts.
    intruder: Mutex<Option<Connection>>,
}

impl Sqlite {
    fn new(handed: As) -> Self {
        Self {
            handed,
            clock: StepClock::default(),
            directory: tempfile::tempdir().expect("a directory for the test"),
            intruder: Mutex::default(),
        }
    }

    async fn open_in(&self, directory: &str) -> Result<Arc<dyn TokenStore>, StoreError> {
        let options = SqliteOptions::new(self.directory.path().join(directory).join("visitors.db"))
            .timeout(self.deadline())
            .clock(Arc::new(self.clock.clone()));
        Ok(self.handed.wrap(options.open().await?))
    }

    fn connect(&self) -> Connection {
        let db = Connection::open(self.directory.path().join("here/visitors.db")).expect("the database");
        db.busy_timeout(Duration::from_secs(5)).expect("a timeout");
        db
    }
}

#[async_trait]
impl StoreFixture for Sqlite {
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        self.open_in("here").await
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn after_crash(&self) -> Option<Result<Arc<dyn TokenStore>, StoreError>> {
        // What is in the files while they are in use, without a word to the store. By another process, since closing a file
        // in this one would take SQLite's locks on it away.
        let copied = Command::new("cp")
            .args(["-r", "here", "copy"])
            .current_dir(self.directory.path())
            .status()
            .expect("cp runs");
        assert!(copied.success());
        assert!(self.directory.path().join("copy/visitors.db-wal").metadata().is_ok_and(|log| log.len() > 0));
        // The index of the log is shared memory, which does not survive its processes.
        std::fs::remove_file(self.directory.path().join("copy/visitors.db-shm")).expect("an index");
        Some(self.open_in("copy").await)
    }

    async fn damage(&self, key: &StoreKey, damage: Damage) -> bool {
        let change = match damage {
            Damage::CutShort => "bytes = substr(bytes, 1, length(bytes) - 1)",
            Damage::Emptied => "bytes = x''",
            Damage::FlippedBit => "bytes = CAST(x'FF' || substr(bytes, 2) AS BLOB)",
            _ => return false,
        };
        let changed = self
            .connect()
            .execute(&format!("UPDATE records SET {change} WHERE key = ?1"), [key.as_str()])
            .expect("the record");
        changed == 1
    }

    async fn begin_outage(&self) -> bool {
        let db = self.connect();
        db.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        *self.intruder.lock().expect("no panic") = Some(db);
        true
    }

    async fn end_outage(&self) {
        *self.intruder.lock().expect("no panic") = None;
    }

    async fn pass(&self, time: Duration) -> bool {
        self.clock.pass(time);
        true
    }
}

mod memory_by_value {
    wix_visitor_testkit::store_conformance!(super::Memory::new(super::As::Value));
}

mod memory_boxed {
    wix_visitor_testkit::store_conformance!(super::Memory::new(super::As::Boxed));
}

mod memory_shared {
    wix_visitor_testkit::store_conformance!(super::Memory::new(super::As::Shared));
}

mod sqlite_by_value {
    wix_visitor_testkit::store_conformance!(super::Sqlite::new(super::As::Value));
}

mod sqlite_boxed {
    wix_visitor_testkit::store_conformance!(super::Sqlite::new(super::As::Boxed));
}

mod sqlite_shared {
    wix_visitor_testkit::store_conformance!(super::Sqlite::new(super::As::Shared));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_place_holds_the_whole_suite_and_what_memory_cannot_show_is_known() {
    let report = conformance::all(&Memory::new(As::Value)).await;
    assert!(report.holds(), "{report}");
    let not_shown = [
        "an_acknowledged_write_survives_a_crash",
        "a_damaged_record_is_corrupt_and_never_absent",
        "what_is_reported_as_not_applied_never_is",
        "an_error_shows_nothing_of_the_record",
        "an_outage_is_an_error_within_the_deadline",
    ];
    assert_eq!(report.not_shown(), not_shown, "memory survives nothing, and nothing can happen to it");

    let report = conformance::all(&Sqlite::new(As::Value)).await;
    assert!(report.holds() && report.not_shown().is_empty(), "{report}");
}
