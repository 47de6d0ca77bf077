use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use wix_visitor_core::{Clock, StoreError, StoreKey, Timestamp, TokenStore, async_trait};
use wix_visitor_sqlite::SqliteOptions;
use wix_visitor_testkit::conformance::{Damage, StoreFixture};
use wix_visitor_tests::step_clock::StepClock;

use super::{As, copy_in_use};

pub(super) struct Sqlite {
    handed: As,
    clock: StepClock,
    directory: TempDir,
    in_place: bool,
    /// Another application's connection: it has the database to itself while an outage lasts.
    intruder: Mutex<Option<Connection>>,
}

impl Sqlite {
    pub(super) fn new(handed: As) -> Self {
        Self {
            handed,
            clock: StepClock::default(),
            directory: tempfile::tempdir().expect("a directory for the test"),
            in_place: false,
            intruder: Mutex::default(),
        }
    }

    fn in_place() -> Self {
        Self { in_place: true, ..Self::new(As::Value) }
    }

    async fn open_in(&self, directory: &str) -> Result<Arc<dyn TokenStore>, StoreError> {
        let options = SqliteOptions::new(self.directory.path().join(directory).join("visitors.db"))
            .timeout(self.deadline())
            .clock(Arc::new(self.clock.clone()));
        let options = if self.in_place { options.in_place(Arc::new(|| ())) } else { options };
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
        // By another process, since closing a file in this one would take SQLite's locks on it away.
        copy_in_use(self.directory.path());
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

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }
}

super::every_way!(Sqlite);
super::shows_everything!(Sqlite);

mod in_place {
    wix_visitor_testkit::store_conformance!(super::Sqlite::in_place());
}
