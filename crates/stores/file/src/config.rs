//! Where the directory is, and what is asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::{Clock, StoreError, SystemClock};
use wix_visitor_local::LocalUrl;

use crate::error::BACKEND;
use crate::store::FileStore;

/// How to open a [`FileStore`].
///
/// ```no_run
/// # async fn example() -> Result<(), wix_visitor_core::StoreError> {
/// use std::time::Duration;
/// use wix_visitor_file::FileOptions;
///
/// let store = FileOptions::new("/var/lib/shop/visitors").timeout(Duration::from_secs(2)).open().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FileOptions {
    pub(crate) path: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) synced: bool,
}

impl FileOptions {
    /// The longest that [`timeout`](Self::timeout) may be: an hour.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

    /// The directory at this path, with a timeout of 1.5 s.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            timeout: Duration::from_millis(1500),
            clock: Arc::new(SystemClock::default()),
            synced: true,
        }
    }

    /// Reads `file:DIR[?timeout_ms=1500]`; `file://DIR` is taken too.
    ///
    /// In the path, `%XX` stands for the byte `XX`: so `%3F` is a question mark and `%25` a percent sign. The
    /// [options](https://docs.rs/wix-visitor/latest/wix_visitor/#stores) of all stores are in the documentation of `wix-visitor`.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if the URL is of another kind, or an option is not known, given twice or out of range.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let url = LocalUrl::parse(BACKEND, url, "file:visitors")?;
        let mut options = Self::new(url.path.clone());
        for (name, value) in url.options.iter().copied() {
            options = match name {
                "timeout_ms" => options.timeout(url.timeout(value, Self::MAX_TIMEOUT)?),
                _ => return Err(url.unknown_option(name, "timeout_ms")),
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

    /// The clock whose wall side says until when a record is kept. The system's, unless a test needs another.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Writes without waiting for the disk, so that a power loss may take what was acknowledged: for a benchmark that needs a
    /// million visitors first.
    #[doc(hidden)]
    #[must_use]
    pub fn without_sync(mut self) -> Self {
        self.synced = false;
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

    /// Opens the directory, and creates it if it is not there.
    ///
    /// # Errors
    /// A [`StoreError`] of the kind
    /// - *misconfigured*: the path is none that can be used (empty, no directory, a symbolic link, somebody else's, not writable),
    ///   or the directory holds something else, which is then left as it is;
    /// - *corrupt*: what marks the directory as ours is damaged;
    /// - *unsupported*: a newer version of this crate wrote it;
    /// - *unavailable*: the disk is full, or the like.
    pub async fn open(self) -> Result<FileStore, StoreError> {
        FileStore::start(self).await
    }
}

#[cfg(test)]
mod tests {
    use wix_visitor_core::StoreErrorKind;

    use super::*;

    #[test]
    fn a_url_says_path_and_timeout() {
        for url in ["file:/a%20b", "file:///a%20b"] {
            assert_eq!(FileOptions::from_url(url).unwrap().path(), Path::new("/a b"));
        }
        assert_eq!(FileOptions::from_url("file:v?timeout_ms=250").unwrap().timeout, Duration::from_millis(250));
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_is_known() {
        for (url, says) in [
            ("redis://x", "file:visitors"),
            ("file:", "file:visitors"),
            ("file:v?timeout=5", "known is timeout_ms"),
            ("file:v?timeout_ms=0", "from 1 to 3600000"),
            ("file:v?timeout_ms=3600001", "from 1 to 3600000"),
            ("file:v?timeout_ms=5&timeout_ms=5", "twice"),
            ("file://host/v", "file:///PATH"),
        ] {
            let error = FileOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
    }
}
