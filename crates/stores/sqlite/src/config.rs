//! Where the database is, and what is asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::{Clock, StoreError, StoreErrorKind, SystemClock};

use crate::error::{BACKEND, misconfigured};
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
    #[cfg(test)]
    pub(crate) before_commit: Option<BeforeCommit>,
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

    /// The database at this path, with a timeout of 5 s and [`Synchronous::Full`].
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            timeout: Duration::from_secs(5),
            synchronous: Synchronous::default(),
            clock: Arc::new(SystemClock::default()),
            max_pages: None,
            #[cfg(test)]
            before_commit: None,
        }
    }

    /// Reads `sqlite:PATH[?timeout_ms=5000][&synchronous=full|normal]`; `sqlite://PATH` is taken too.
    ///
    /// In the path, `%XX` stands for the byte `XX`: so `%3F` is a question mark and `%25` a percent sign.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, naming what is known, if the URL is of another kind or an option is not known.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(misconfigured("a store URL for SQLite starts with sqlite: and a path"));
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(misconfigured("a sqlite: store URL names a file, as in sqlite:visitors.db"));
        }
        let mut options = Self::new(decode_path(path)?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options = match (name, value) {
                ("timeout_ms", millis) => {
                    let millis = millis.parse().ok().filter(|millis| *millis > 0);
                    let millis = millis.ok_or_else(|| {
                        misconfigured("timeout_ms in a store URL is a number of milliseconds above 0")
                    })?;
                    options.timeout(Duration::from_millis(millis))
                }
                ("synchronous", "full") => options.synchronous(Synchronous::Full),
                ("synchronous", "normal") => options.synchronous(Synchronous::Normal),
                ("synchronous", _) => return Err(misconfigured("synchronous in a store URL is full or normal")),
                _ => {
                    return Err(misconfigured(format!(
                        "{name:?} is not an option of a sqlite: URL; those are timeout_ms and synchronous"
                    )));
                }
            };
        }
        Ok(options)
    }

    /// The time within which each operation ends, waiting for other processes included: 5 s unless set.
    ///
    /// At least 1 ms and at most [`MAX_TIMEOUT`](Self::MAX_TIMEOUT).
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

fn decode_path(text: &str) -> Result<PathBuf, StoreError> {
    let wrong =
        || misconfigured("a % in the path of a store URL is followed by two hex digits; write %25 for the sign");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(wrong()) };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    path_of(bytes)
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // it can fail on the other systems
fn path_of(bytes: Vec<u8>) -> Result<PathBuf, StoreError> {
    use std::os::unix::ffi::OsStringExt;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Result<PathBuf, StoreError> {
    String::from_utf8(bytes).map(PathBuf::from).map_err(|_| misconfigured("the path in the store URL is not UTF-8"))
}

impl SqliteOptions {
    pub(crate) fn timed_out_opening(&self) -> StoreError {
        StoreError::new(
            StoreErrorKind::Unavailable,
            BACKEND,
            format!("{} could not be opened within {:?}", self.path.display(), self.timeout),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_path_and_options() {
        for (url, path) in [
            ("sqlite:visitors.db", "visitors.db"),
            ("sqlite:/var/lib/v.db", "/var/lib/v.db"),
            ("sqlite:///var/lib/v.db", "/var/lib/v.db"),
            ("sqlite:a%3Fb%25c%20d.db", "a?b%c d.db"),
            ("sqlite:ä.db", "ä.db"),
        ] {
            assert_eq!(SqliteOptions::from_url(url).unwrap().path(), Path::new(path), "{url}");
        }
        let options = SqliteOptions::from_url("sqlite:v.db?timeout_ms=250&synchronous=normal").unwrap();
        assert_eq!((options.timeout, options.synchronous), (Duration::from_millis(250), Synchronous::Normal));
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_is_known() {
        for (url, says) in [
            ("redis://x", "sqlite:"),
            ("sqlite:v.db?timeout=5", "timeout_ms and synchronous"),
            ("sqlite:v.db?timeout_ms=0", "milliseconds"),
            ("sqlite:v.db?timeout_ms=soon", "milliseconds"),
            ("sqlite:v.db?synchronous=off", "full or normal"),
            ("sqlite:100%.db", "%25"),
            ("sqlite:%+1.db", "%25"),
        ] {
            let error = SqliteOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
    }
}
