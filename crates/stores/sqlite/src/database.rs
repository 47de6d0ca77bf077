//! One connection: opened with care, and never waiting beyond its deadline.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use wix_visitor_core::{StoreError, StoreKey, Stored};
use wix_visitor_local::Pause;

use crate::config::{SqliteOptions, Synchronous};
use crate::error::{BACKEND, from_sqlite, is_busy};
use crate::place::Place;
use crate::row;
use crate::schema::{inspect, is_current, migrate};

/// How much of the database a connection keeps in memory once it has read it, until another one commits: the inner pages of a million
/// visitors, by which each of them is found, are 9 MiB. SQLite's own 2 MiB hold those of a quarter of that.
const CACHE_KIB: u32 = 16 * 1024;

/// How long a connection may wait for others, from now on.
type Deadline = Arc<Mutex<Instant>>;

pub(crate) struct Database {
    connection: Connection,
    place: Place,
    deadline: Deadline,
}

impl Database {
    pub(crate) fn open(options: &SqliteOptions, place: Place, until: Instant) -> Result<Self, StoreError> {
        let path = place.path();
        let fail = |e| from_sqlite(path, e);
        // Not `CREATE`: the file is there, with its mode. Not `URI`: a path is a path.
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(path, flags).map_err(fail)?;
        let deadline = Arc::new(Mutex::new(until));
        wait_politely(&mut connection, Arc::clone(&deadline)).map_err(fail)?;

        // Until it is known as ours, not even what another application left in its log is to be moved.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fail)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(fail)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(fail)?;
        if connection.is_readonly("main").map_err(fail)? {
            return Err(BACKEND.read_only(path.display()));
        }
        let found = {
            // One transaction, so that what is read is of one moment.
            let reading = connection.unchecked_transaction().map_err(fail)?;
            inspect(path, &reading)?
        };
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(fail)?;

        if let Some(pages) = options.max_pages {
            connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).map_err(fail)?;
        }
        if !is_current(found) {
            place.make_lasting()?;
            // In the first journal mode of a new file: so its header says whose it is before a log can hold anything.
            connection.execute_batch("PRAGMA synchronous = FULL").map_err(fail)?;
            migrate(path, &mut connection)?;
        }
        write_ahead(&connection, &place, until)?;
        let synchronous = match options.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        // `fullfsync`: on macOS only that reaches the disk. `secure_delete`: a replaced token is overwritten.
        connection
            .execute_batch(&format!(
                "PRAGMA synchronous = {synchronous}; PRAGMA fullfsync = ON; PRAGMA secure_delete = ON;
                 PRAGMA cell_size_check = ON; PRAGMA cache_size = -{CACHE_KIB};"
            ))
            .map_err(fail)?;
        // Opens the side files and finds missing tables now, not at the first visitor. No key is empty.
        let first = connection.prepare_cached(row::SELECT).and_then(|mut select| select.exists([""]));
        first.map_err(fail)?;
        #[cfg(test)]
        if let Some(crate::config::BeforeCommit(hook)) = options.before_commit.clone() {
            connection.commit_hook(Some(move || hook())).map_err(fail)?;
        }
        Ok(Self { connection, place, deadline })
    }

    /// The connection, which gives up waiting for others at `until`; an error if its file is no longer in its place.
    pub(crate) fn until(&self, until: Instant) -> Result<&Connection, StoreError> {
        self.check()?;
        self.wait_until(until);
        Ok(&self.connection)
    }

    /// An error if the file is no longer in its place.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.place.check()
    }

    pub(crate) fn wait_until(&self, until: Instant) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The outer error is SQLite's, the inner one says that the row is not what was written.
    pub(crate) fn select(&self, key: &StoreKey) -> rusqlite::Result<Result<Option<Stored>, StoreError>> {
        let mut select = self.connection.prepare_cached(row::SELECT)?;
        let mut rows = select.query([key.as_str()])?;
        match rows.next()? {
            None => Ok(row::check_absence(key, &self.connection)?.map(|()| None)),
            Some(row) => Ok(row::read(key, row)?.map(Some)),
        }
    }

    pub(crate) fn fail(&self, error: rusqlite::Error) -> StoreError {
        from_sqlite(self.place.path(), error)
    }

    /// One statement without parameters and rows.
    pub(crate) fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Ends a transaction that failed, if SQLite has not done so itself.
    pub(crate) fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // Should even this fail, the next `BEGIN` says so, and every write with it.
            let _ = self.run("ROLLBACK");
        }
    }
}

/// SQLite's own busy timeout sleeps longer and longer, up to 100 ms: of two busy processes one gets no turn at all.
fn wait_politely(connection: &mut Connection, deadline: Deadline) -> rusqlite::Result<()> {
    let mut pause = Pause::default();
    connection.busy_handler(Some(move |_| {
        let left = deadline.lock().unwrap_or_else(PoisonError::into_inner).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(pause.draw().min(left));
        true
    }))
}

/// Switches to the write-ahead log, if that was not done once before. SQLite does not wait for this by itself.
fn write_ahead(connection: &Connection, place: &Place, until: Instant) -> Result<(), StoreError> {
    let mut pause = Pause::default();
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(BACKEND.misconfigured(format!(
                    "{} stays in journal mode {mode}: its file system has no shared memory, as network ones do not; \
                     choose a local path",
                    place.path().display()
                )));
            }
            Err(e) if is_busy(&e) && Instant::now() < until => thread::sleep(pause.draw()),
            Err(e) => return Err(from_sqlite(place.path(), e)),
        }
    }
}
