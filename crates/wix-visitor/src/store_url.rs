//! A store named by a URL.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::{Error, ErrorKind, Policy, TokenStore};

/// The kinds of store URL there are, the feature that each needs, and whether it is on.
const KINDS: [(&str, &str, bool); 8] = [
    ("memory:", "memory", cfg!(feature = "memory")),
    ("file:DIR", "file", cfg!(feature = "file")),
    ("sqlite:PATH", "sqlite", cfg!(feature = "sqlite")),
    ("redis://HOST", "redis", cfg!(feature = "redis")),
    ("rediss://HOST", "redis", cfg!(feature = "redis")),
    ("redis+unix:///SOCKET", "redis", cfg!(feature = "redis")),
    ("redis+sentinel://HOST,HOST/SERVICE", "redis", cfg!(feature = "redis")),
    ("redis+cluster://HOST,HOST", "redis", cfg!(feature = "redis")),
];

/// Opens the store that a URL names, with the feature of its kind: see the table in the [crate's documentation](crate#stores).
///
/// # Errors
/// Those of [`StoreUrl::parse`]; [`ErrorKind::Store`] if the store cannot be opened.
pub async fn open_store(url: &str) -> Result<Arc<dyn TokenStore>, Error> {
    StoreUrl::parse(url)?.open().await
}

/// A store's URL that can be used; nothing has been opened or created.
///
/// `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct StoreUrl(Kind);

#[derive(Clone, Debug)]
enum Kind {
    #[cfg(feature = "memory")]
    Memory,
    #[cfg(feature = "file")]
    File(wix_visitor_file::FileOptions),
    #[cfg(feature = "sqlite")]
    Sqlite(wix_visitor_sqlite::SqliteOptions),
    #[cfg(feature = "redis")]
    Redis(Box<wix_visitor_redis::RedisOptions>),
}

impl StoreUrl {
    /// Reads a URL. Its kind may be in capitals.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the URL is of no known kind, of one whose feature is off, or holds an unknown option or a
    /// path that only a shell would understand; [`ErrorKind::Misconfigured`] if it asks SQLite to keep nothing.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let (kind, rest) = url.trim().split_once(':').unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        #[cfg(any(feature = "file", feature = "sqlite", feature = "redis"))]
        let url = format!("{kind}:{rest}");
        match (kind.as_str(), rest) {
            #[cfg(feature = "memory")]
            ("memory", "") => Ok(Self(Kind::Memory)),
            #[cfg(feature = "memory")]
            ("memory", _) => Err(invalid("a memory: store URL takes nothing after the colon".to_owned())),
            #[cfg(feature = "file")]
            ("file", _) => {
                let options = wix_visitor_file::FileOptions::from_url(&url).map_err(refused)?;
                in_full(options.path(), "file:/home/me/visitors")?;
                Ok(Self(Kind::File(options)))
            }
            #[cfg(feature = "sqlite")]
            ("sqlite", _) => {
                let options = wix_visitor_sqlite::SqliteOptions::from_url(&url).map_err(refused)?;
                on_disk(options.path())?;
                in_full(options.path(), "sqlite:/home/me/visitors.db")?;
                Ok(Self(Kind::Sqlite(options)))
            }
            #[cfg(feature = "redis")]
            ("redis" | "rediss" | "redis+unix" | "redis+sentinel" | "redis+cluster", _) => {
                let options = wix_visitor_redis::RedisOptions::from_url(&url).map_err(refused)?;
                Ok(Self(Kind::Redis(Box::new(options))))
            }
            _ => Err(unknown(&kind)),
        }
    }

    /// `memory`, `file`, `sqlite` or `redis`.
    pub fn kind(&self) -> &'static str {
        match self.0 {
            #[cfg(feature = "memory")]
            Kind::Memory => "memory",
            #[cfg(feature = "file")]
            Kind::File(_) => "file",
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(_) => "sqlite",
            #[cfg(feature = "redis")]
            Kind::Redis(_) => "redis",
        }
    }

    /// The file or directory that it keeps visitors in, if it does.
    pub fn path(&self) -> Option<&Path> {
        match self.0 {
            #[cfg(feature = "memory")]
            Kind::Memory => None,
            #[cfg(feature = "file")]
            Kind::File(ref options) => Some(options.path()),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(ref options) => Some(options.path()),
            #[cfg(feature = "redis")]
            Kind::Redis(_) => None,
        }
    }

    /// Within which each operation ends: its `timeout_ms`. `memory:` needs no time.
    pub fn deadline(&self) -> Option<Duration> {
        match self.0 {
            #[cfg(feature = "memory")]
            Kind::Memory => None,
            #[cfg(feature = "file")]
            Kind::File(ref options) => Some(options.deadline()),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(ref options) => Some(options.deadline()),
            #[cfg(feature = "redis")]
            Kind::Redis(ref options) => Some(options.deadline()),
        }
    }

    /// Whether the store ends each operation before a flow of this policy stops listening, so that its own word is heard. No
    /// policy is made from a URL: what a lease is has to be the same for all who share the store.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it does not.
    pub fn check(&self, policy: &Policy) -> Result<(), Error> {
        let save = policy.save;
        match self.deadline() {
            Some(deadline) if deadline >= save => Err(invalid(format!(
                "the store's timeout_ms of {} is not below {}, the milliseconds after which the flow itself stops listening \
                 (`save` in its policy): set a smaller timeout_ms in the store URL",
                deadline.as_millis(),
                save.as_millis()
            ))),
            _ => Ok(()),
        }
    }

    /// The same store for a program that does one thing at a time: it may be opened and read in the thread of whoever asks, which calls
    /// `watch` before and after, so that the program can watch over a disk that hangs.
    #[doc(hidden)]
    #[must_use]
    #[cfg(feature = "sqlite")]
    pub fn in_place(self, watch: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self(match self.0 {
            Kind::Sqlite(options) => Kind::Sqlite(options.in_place(watch)),
            #[cfg(feature = "memory")]
            Kind::Memory => Kind::Memory,
            #[cfg(feature = "file")]
            Kind::File(options) => Kind::File(options),
            #[cfg(feature = "redis")]
            Kind::Redis(options) => Kind::Redis(options),
        })
    }

    /// Opens the store, and creates it if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if it cannot be opened.
    pub async fn open(self) -> Result<Arc<dyn TokenStore>, Error> {
        match self.0 {
            #[cfg(feature = "memory")]
            Kind::Memory => Ok(Arc::new(wix_visitor_memory::MemoryStore::new())),
            #[cfg(feature = "file")]
            Kind::File(options) => Ok(Arc::new(options.open().await?)),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(options) => Ok(Arc::new(options.open().await?)),
            #[cfg(feature = "redis")]
            // The largest by far, and in every future that opens a store.
            Kind::Redis(options) => Ok(Arc::new(Box::pin(options.connect()).await?)),
        }
    }
}

/// What a store says of its own URL is the caller's mistake.
#[cfg(any(feature = "file", feature = "sqlite", feature = "redis"))]
fn refused(error: wix_visitor_core::StoreError) -> Error {
    Error::new(ErrorKind::InvalidInput, error.to_string()).with_source(error)
}

#[cfg(feature = "sqlite")]
fn on_disk(path: &Path) -> Result<(), Error> {
    if path.to_string_lossy().contains(":memory:") {
        return Err(Error::new(
            ErrorKind::Misconfigured,
            "SQLite in memory would forget every visitor; if that is what you want, the store URL for it is memory:",
        ));
    }
    Ok(())
}

#[cfg(any(feature = "file", feature = "sqlite"))]
fn in_full(path: &Path, example: &str) -> Result<(), Error> {
    let path = path.to_string_lossy();
    if path.starts_with('~') && (path.len() == 1 || path.contains('/')) {
        return Err(invalid(format!(
            "the path in the store URL begins with ~, which only a shell understands: write it in full, as in {example}"
        )));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// Never quotes the URL: it may hold a password.
fn unknown(kind: &str) -> Error {
    if let Some((name, feature, _)) = KINDS.iter().find(|(name, _, _)| name.split(':').next() == Some(kind)) {
        return invalid(format!(
            "{name} needs the feature `{feature}` of wix-visitor, which this program was built without"
        ));
    }
    let known: Vec<_> = KINDS.iter().filter(|(_, _, on)| *on).map(|(name, _, _)| *name).collect();
    let known = known.join(", ");
    let known = if known.is_empty() { "none: turn on a store's feature".to_owned() } else { known };
    // What stands before the colon of a port may be a password.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let what = if kind.is_empty() || kind.len() > 16 || !kind.bytes().all(plain) {
        "the store URL names no kind of store".to_owned()
    } else {
        format!("there is no kind of store called {kind:?}")
    };
    invalid(format!("{what}; known here: {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_store_url_names_the_known_ones_and_quotes_no_password() {
        for url in ["", "sqlit:x", "visitors.db", "mongodb://user:hunter2@host/", "hunter2@host:6379", "memory:x"] {
            let error = open_store(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(open_store("sqlit:x").await.unwrap_err().to_string().contains("\"sqlit\""));
    }

    #[cfg(feature = "file")]
    #[test]
    fn a_directory_is_named_as_a_database_is() {
        let url = StoreUrl::parse("FILE:/a%20b?timeout_ms=7").unwrap();
        assert_eq!((url.kind(), url.path()), ("file", Some(Path::new("/a b"))));
        for url in ["file:~/x", "file:", "file:x?synchronous=full"] {
            assert_eq!(StoreUrl::parse(url).unwrap_err().kind(), ErrorKind::InvalidInput, "{url}");
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn every_kind_of_redis_is_known_and_no_error_or_debug_output_shows_its_password() {
        for url in [
            "redis://user:hunter2hunter2@host:6380/2",
            "REDISS://:hunter2hunter2@host",
            "redis+unix:///run/redis.sock?db=1",
            "redis+sentinel://user:hunter2hunter2@one,two:26380/shop",
            "redis+cluster://:hunter2hunter2@one,two",
        ] {
            let read = StoreUrl::parse(url);
            let shown = format!("{read:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(url.starts_with("REDISS") || read.unwrap().kind() == "redis");
        }
        let error = StoreUrl::parse("redis://:hunter2hunter2@host?speed=high").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("timeout_ms") && !format!("{error:?}").contains("hunter2"), "{error}");
    }

    #[cfg(all(feature = "file", feature = "sqlite", feature = "redis"))]
    #[test]
    fn every_store_ends_its_operations_before_the_flow_stops_listening_or_is_refused() {
        let policy = Policy::default();
        for url in
            ["file:v", "sqlite:v.db", "redis://h", "redis+unix:///r", "redis+sentinel://h/s", "redis+cluster://h"]
        {
            let check = |query: &str| StoreUrl::parse(&format!("{url}{query}")).unwrap().check(&policy);
            check("").unwrap();
            check("?timeout_ms=1999").unwrap();
            let error = check("?timeout_ms=2000").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("timeout_ms of 2000 is not below 2000"), "{error}");
        }
    }

    #[cfg(not(feature = "sqlite"))]
    #[tokio::test]
    async fn a_store_that_was_left_out_says_which_feature_brings_it() {
        let error = open_store("sqlite:x").await.unwrap_err();
        assert!(error.to_string().contains("feature `sqlite`"), "{error}");
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn an_unknown_option_or_no_path_is_the_callers_mistake() {
        for url in ["sqlite:x?speed=high", "sqlite:", "sqlite:?synchronous=full"] {
            let error = open_store(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_path_for_a_shell_or_for_no_file_says_what_to_write() {
        for (url, kind, says) in [
            ("sqlite:~/x.db", ErrorKind::InvalidInput, "write it in full"),
            ("sqlite://~/x.db", ErrorKind::InvalidInput, "write it in full"),
            ("sqlite:~me/x.db", ErrorKind::InvalidInput, "write it in full"),
            ("sqlite:~", ErrorKind::InvalidInput, "write it in full"),
            ("sqlite::memory:", ErrorKind::Misconfigured, "memory:"),
            ("sqlite://:memory:", ErrorKind::Misconfigured, "memory:"),
            ("sqlite:file::memory:", ErrorKind::Misconfigured, "memory:"),
        ] {
            let error = StoreUrl::parse(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
        for url in ["sqlite:./~/x.db", "sqlite:a~b/x.db", "sqlite:~x.db"] {
            StoreUrl::parse(url).unwrap();
        }
    }

    #[cfg(all(feature = "sqlite", feature = "memory"))]
    #[test]
    fn a_kind_in_capitals_is_the_same_kind() {
        let url = StoreUrl::parse(" SQLite:/a/B.db ").unwrap();
        assert_eq!((url.kind(), url.path()), ("sqlite", Some(Path::new("/a/B.db"))));
        assert_eq!(StoreUrl::parse("MEMORY:").unwrap().kind(), "memory");
    }
}
