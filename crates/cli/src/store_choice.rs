//! Which store was chosen, and how it is called where others may read.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wix_visitor::{Secret, SqliteOptions};

use crate::args::SiteArgs;
use crate::data_dir::data_dir;
use crate::exit::Failure;

/// Names a file that holds the store's URL.
pub(crate) const STORE_FILE: &str = "WIX_VISITOR_STORE_FILE";

/// The largest such file.
const LARGEST: u64 = 64 * 1024;

/// The store that was asked for, or the default.
#[derive(Debug)]
pub(crate) struct StoreChoice {
    url: Secret,
}

/// What may be shown of a store: never its URL, which may hold a password.
#[derive(Debug, Serialize)]
pub(crate) struct StoreLabel {
    pub(crate) kind: String,
    pub(crate) path: Option<PathBuf>,
}

impl StoreChoice {
    /// From `--store` and its variable, from the file that `WIX_VISITOR_STORE_FILE` names, or the default: for the sandbox another
    /// one than for Wix.
    pub(crate) async fn of(args: &SiteArgs) -> Result<Self, Failure> {
        let file = std::env::var_os(STORE_FILE);
        match (&args.store, file) {
            (Some(_), Some(_)) => Err(Failure::usage(format!(
                "the store is named twice: by --store or WIX_VISITOR_STORE, and by {STORE_FILE}"
            ))
            .advise("unset one of them")),
            (Some(url), None) => Ok(Self { url: url.clone() }),
            (None, Some(file)) => {
                let Some(file) = file.to_str() else {
                    return Err(Failure::usage(format!("the file's name in {STORE_FILE} is not UTF-8")));
                };
                let bytes = crate::input::read(file, LARGEST, "the store's URL").await?;
                let url = String::from_utf8(bytes)
                    .map_err(|_| Failure::usage(format!("the file that {STORE_FILE} names does not hold a URL")))?;
                Ok(Self { url: Secret::new(url.trim()) })
            }
            (None, None) => Ok(Self { url: Secret::new(sqlite_url(&default_path(args.sandbox)?)) }),
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.url.expose()
    }

    pub(crate) fn label(&self) -> StoreLabel {
        let url = self.url();
        let kind: String = url.split_once(':').map_or("", |(kind, _)| kind).to_ascii_lowercase();
        let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let path = SqliteOptions::from_url(url).ok().map(|options| options.path().to_owned());
        StoreLabel { kind, path }
    }

    /// Where an embedded sandbox keeps its state: beside the store; for a store that forgets, nowhere.
    pub(crate) fn sandbox_state(&self) -> Result<Option<PathBuf>, Failure> {
        let StoreLabel { kind, path } = self.label();
        let beside = match path {
            Some(path) => path,
            None if kind == "memory" => return Ok(None),
            None => default_path(true)?,
        };
        let mut name = beside.into_os_string();
        name.push(".sandbox.json");
        Ok(Some(name.into()))
    }
}

fn default_path(sandbox: bool) -> Result<PathBuf, Failure> {
    let directory = data_dir()?;
    let directory = if sandbox { directory.join("sandbox") } else { directory };
    Ok(directory.join("visitors.db"))
}

fn sqlite_url(path: &Path) -> String {
    let mut url = "sqlite:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'\\' | b':' | b'.' | b'-' | b'_' | b' ' => {
                url.push(char::from(*byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

impl fmt::Display for StoreLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.kind.as_str()) {
            (Some(path), kind) => write!(f, "{kind} {}", path.display()),
            (None, "") => f.write_str("(of no known kind)"),
            (None, kind) => f.write_str(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(url: &str) -> StoreChoice {
        StoreChoice { url: Secret::new(url) }
    }

    #[test]
    fn the_label_shows_kind_and_path_and_no_password() {
        for (url, shown) in [
            ("memory:", "memory"),
            ("sqlite:/a/b.db?timeout_ms=5", "sqlite /a/b.db"),
            ("redis://user:hunter2@host/", "redis"),
            ("hunter2@host", "(of no known kind)"),
        ] {
            assert_eq!(choice(url).label().to_string(), shown);
            assert!(!format!("{:?}", choice(url)).contains("hunter2"));
        }
    }

    #[test]
    fn a_path_of_any_characters_goes_through_the_url_unharmed() {
        for path in ["/home/a b/x.db", "/tmp/50%?/ä.db", "relative/x#y.db"] {
            assert_eq!(choice(&sqlite_url(Path::new(path))).label().path.as_deref(), Some(Path::new(path)));
        }
    }

    #[test]
    fn the_sandboxs_state_lies_beside_its_store() {
        assert_eq!(choice("memory:").sandbox_state().unwrap(), None);
        let state = choice("sqlite:/a/b.db").sandbox_state().unwrap().unwrap();
        assert_eq!(state, Path::new("/a/b.db.sandbox.json"));
    }
}
