//! A store named by a URL.

use std::path::Path;
use std::sync::Arc;

use wix_visitor_core::{Error, ErrorKind, TokenStore};

/// The kinds of store URL there are, and the feature that each needs.
const KINDS: [(&str, bool); 3] = [
    ("memory:", cfg!(feature = "memory")),
    ("file:DIR", cfg!(feature = "file")),
    ("sqlite:PATH", cfg!(feature = "sqlite")),
];

/// Opens the store that a URL names: `memory:`, `file:DIR` or `sqlite:PATH`, with the features of the same names.
///
/// # Errors
/// Those of [`StoreUrl::parse`]; [`ErrorKind::Store`] if the store cannot be opened.
pub async fn open_store(url: &str) -> Result<Arc<dyn TokenStore>, Error> {
    StoreUrl::parse(url)?.open().await
}

/// A store's URL that can be used; nothing has been opened or created.
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
        match (kind.as_str(), rest) {
            #[cfg(feature = "memory")]
            ("memory", "") => Ok(Self(Kind::Memory)),
            #[cfg(feature = "memory")]
            ("memory", _) => Err(invalid("a memory: store URL takes nothing after the colon".to_owned())),
            #[cfg(feature = "file")]
            ("file", rest) => file(rest),
            #[cfg(feature = "sqlite")]
            ("sqlite", rest) => sqlite(rest),
            _ => Err(unknown(&kind)),
        }
    }

    /// `memory`, `file` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        match self.0 {
            #[cfg(feature = "memory")]
            Kind::Memory => "memory",
            #[cfg(feature = "file")]
            Kind::File(_) => "file",
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(_) => "sqlite",
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
        }
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
        }
    }
}

#[cfg(feature = "file")]
fn file(rest: &str) -> Result<StoreUrl, Error> {
    let options = wix_visitor_file::FileOptions::from_url(&format!("file:{rest}")).map_err(unusable)?;
    check_path(options.path(), "file:/home/me/visitors")?;
    Ok(StoreUrl(Kind::File(options)))
}

#[cfg(feature = "sqlite")]
fn sqlite(rest: &str) -> Result<StoreUrl, Error> {
    let options = wix_visitor_sqlite::SqliteOptions::from_url(&format!("sqlite:{rest}")).map_err(unusable)?;
    if options.path().to_string_lossy().contains(":memory:") {
        return Err(Error::new(
            ErrorKind::Misconfigured,
            "SQLite in memory would forget every visitor; if that is what you want, the store URL for it is memory:",
        ));
    }
    check_path(options.path(), "sqlite:/home/me/visitors.db")?;
    Ok(StoreUrl(Kind::Sqlite(options)))
}

#[cfg(any(feature = "file", feature = "sqlite"))]
fn unusable(error: wix_visitor_core::StoreError) -> Error {
    Error::new(ErrorKind::InvalidInput, error.to_string()).with_source(error)
}

#[cfg(any(feature = "file", feature = "sqlite"))]
fn check_path(path: &Path, example: &str) -> Result<(), Error> {
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
    let list = |on: bool| {
        let names: Vec<_> = KINDS.iter().filter(|(_, enabled)| *enabled == on).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    if let Some((name, _)) = KINDS.iter().find(|(name, on)| !on && name.split(':').next() == Some(kind)) {
        return invalid(format!(
            "{name} needs the feature `{kind}` of wix-visitor, which this program was built without"
        ));
    }
    let known = list(true);
    let known = if known.is_empty() { "none: turn on a store's feature".to_owned() } else { known };
    let shown: String = kind.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let what = if shown.is_empty() {
        "the store URL names no kind of store".to_owned()
    } else {
        format!("there is no kind of store called {shown:?}")
    };
    invalid(format!("{what}; known here: {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_store_url_names_the_known_ones_and_quotes_no_password() {
        for url in ["", "sqlit:x", "visitors.db", "mongodb://user:hunter2@host/", "memory:x"] {
            let error = open_store(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
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
