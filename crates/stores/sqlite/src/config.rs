//! Where the database is, and what is asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::{Clock, StoreError, StoreErrorKind, SystemClock};
use wix_visitor_local::LocalUrl;

use crate::error::BACKEND;
use crate::store::SqliteStore;

/// What a write must have survived before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synchronous {
    /// Power loss: each commit waits for the disk. The default.
    #[default]
    Full,
    /// A crash of the process, but not of the machine: the last commits before a power loss may be missing afterwards. The
    /// database stays whole.
    Normal,
}

/// How to open a [`SqliteStore`].
///
/// ```no_run
/// # async fn example() -> Result<(), wix_visitor_core::StoreError> {
/// use std::time::Duration;
/// use wix_visitor_sqlite::SqliteOptions;
///
/// let store = SqliteOptions::new("/var/lib/shop/visitors.db").timeout(Duration::from_secs(2)).open().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(crate) path: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) synchronous: Synchronous,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) max_pages: Option<u32>,
    pub(crate) in_place: Option<Watch>,
    #[cfg(test)]
    pub(crate) before_commit: Option<BeforeCommit>,
}

/// Called before and after what the disk may hold up.
#[derive(Clone)]
pub(crate) struct Watch(Arc<dyn Fn() + Send + Sync>);

impl Watch {
    pub(crate) fn over<T>(&self, work: impl FnOnce() -> T) -> T {
        (self.0)();
        let done = work();
        (self.0)();
        done
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

#[cfg(test)]
#[derive(Clone)]
pub(crate) struct BeforeCommit(pub(crate) Arc<dyn Fn() -> bool + Send + Sync>);

#[cfg(test)]
impl std::fmt::Debug for BeforeCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeforeCommit")
    }
}

impl SqliteOptions {
    /// The longest that [`timeout`](Self::timeout) may be: an hour.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

    /// The database at this path, with a timeout of 1.5 s and [`Synchronous::Full`].
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            timeout: Duration::from_millis(1500),
            synchronous: Synchronous::default(),
            clock: Arc::new(SystemClock::default()),
            max_pages: None,
            in_place: None,
            #[cfg(test)]
            before_commit: None,
        }
    }

    /// Reads `sqlite:PATH[?timeout_ms=1500][&synchronous=full|normal]`; `sqlite://PATH` is taken too.
    ///
    /// In the path, `%XX` stands for the byte `XX`: so `%3F` is a question mark and `%25` a percent sign. The
    /// [options](https://docs.rs/wix-visitor/latest/wix_visitor/#stores) of all stores are in the documentation of `wix-visitor`.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if the URL is of another kind, or an option is not known, given twice or out of range.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let url = LocalUrl::parse(BACKEND, url, "sqlite:visitors.db")?;
        let mut options = Self::new(url.path.clone());
        for (name, value) in url.options.iter().copied() {
            options = match (name, value) {
                ("timeout_ms", value) => options.timeout(url.timeout(value, Self::MAX_TIMEOUT)?),
                ("synchronous", "full") => options.synchronous(Synchronous::Full),
                ("synchronous", "normal") => options.synchronous(Synchronous::Normal),
                ("synchronous", _) => {
                    return Err(BACKEND.misconfigured("synchronous in a store URL is full or normal"));
                }
                _ => return Err(url.unknown_option(name, "timeout_ms and synchronous")),
            };
        }
        Ok(options)
    }

    /// The time within which each operation ends, waiting for other processes included: 1.5 s unless set. Opening has three times
    /// as long.
    ///
    /// At least 1 ms and at most [`MAX_TIMEOUT`](Self::MAX_TIMEOUT). The flow itself stops listening after its policy's `save`: what
    /// is not below that only costs the store's own message.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(1), Self::MAX_TIMEOUT);
        self
    }

    /// What a write survives once it is acknowledged.
    #[must_use]
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// The clock whose wall side says until when a record is kept. The system's, unless a test needs another.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The most pages of 4 KiB the database may have: stands in for a full disk in tests.
    #[doc(hidden)]
    #[must_use]
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Opens the database, looks up records and closes it in the thread of whoever asks, until others have to be waited for or something
    /// is written: for a program that does one thing at a time, to which a thread's start would be most of it. `watch` is called before
    /// and after each of these, since nobody else watches over a disk that hangs.
    #[doc(hidden)]
    #[must_use]
    pub fn in_place(mut self, watch: Arc<dyn Fn() + Send + Sync>) -> Self {
        self.in_place = Some(Watch(watch));
        self
    }

    /// The [`timeout`](Self::timeout).
    pub fn deadline(&self) -> Duration {
        self.timeout
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database, and creates it with its directory if it is not there.
    ///
    /// # Errors
    /// A [`StoreError`] of the kind
    /// - *misconfigured*: the path is none that can be used (empty, a directory, a symbolic link, somebody else's file, not
    ///   writable), or the database belongs to another application, which is then left as it is;
    /// - *corrupt*: the file is no database, or a damaged one;
    /// - *unsupported*: a newer version of this crate wrote it;
    /// - *unavailable*: another process kept it locked for the whole timeout, the disk is full, or the like.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        SqliteStore::start(self).await
    }
}

impl SqliteOptions {
    /// The time to open it. Nobody's token waits for that, and what it finds may have to be recovered first.
    pub(crate) fn to_open(&self) -> Duration {
        self.timeout * 3
    }

    pub(crate) fn timed_out_opening(&self) -> StoreError {
        let message = format!("{} could not be opened within {:?}", self.path.display(), self.to_open());
        BACKEND.error(StoreErrorKind::Unavailable, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_path_and_options() {
        assert_eq!(SqliteOptions::from_url("sqlite:a%20b.db").unwrap().path(), Path::new("a b.db"));
        let options = SqliteOptions::from_url("sqlite:v.db?timeout_ms=250&synchronous=normal").unwrap();
        assert_eq!((options.timeout, options.synchronous), (Duration::from_millis(250), Synchronous::Normal));
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_is_known() {
        for (url, says) in [
            ("redis://x", "sqlite:"),
            ("sqlite:v.db?timeout=5", "timeout_ms and synchronous"),
            ("sqlite:v.db?timeout_ms=0", "from 1 to 3600000"),
            ("sqlite:v.db?timeout_ms=3600001", "from 1 to 3600000"),
            ("sqlite:v.db?synchronous=full&synchronous=normal", "twice"),
            ("sqlite://host/v.db", "sqlite:///PATH"),
            ("sqlite:v.db?synchronous=off", "full or normal"),
        ] {
            let error = SqliteOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
    }
}
