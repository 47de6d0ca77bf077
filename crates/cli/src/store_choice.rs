//! Which store was chosen, and how it is called where others may read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Handle, RuntimeFlavor};
use wix_visitor::housekeeping::Housekeeper;
use wix_visitor::{
    KeyRing, PlainRecords, Policy, SealedStore, Secret, StoreUrl, TokenStore, key_ring_from_environment, read_key_ring,
};

use crate::args::{PlainRecordsArg, SiteArgs};
use crate::data_dir::data_dir;
use crate::exit::{Exit, Failure};
use crate::output::Console;
use crate::watch;

/// Holds the store's URL.
const STORE: &str = "WIX_VISITOR_STORE";

/// Names a file that holds the store's URL.
const STORE_FILE: &str = "WIX_VISITOR_STORE_FILE";

/// The largest such file.
const LARGEST: u64 = 64 * 1024;

/// The store that was asked for, or the default.
#[derive(Clone, Debug)]
pub(crate) struct StoreChoice {
    read: StoreUrl,
    sealing: Option<Sealing>,
}

/// By which keys records are sealed, and what is done about those that are not.
#[derive(Clone, Debug)]
pub(crate) struct Sealing {
    pub(crate) ring: KeyRing,
    pub(crate) plain: PlainRecords,
}

impl Sealing {
    /// From `--keys` or its variables, if records are to be sealed.
    pub(crate) fn of(args: &SiteArgs) -> Result<Option<Self>, Failure> {
        let ring = match &args.keys {
            Some(path) => Some(read_key_ring(path)?),
            None => key_ring_from_environment()?,
        };
        let plain = args.plain_records.map(|plain| match plain {
            PlainRecordsArg::Refuse => PlainRecords::Refused,
            PlainRecordsArg::Read => PlainRecords::Read,
            PlainRecordsArg::Write => PlainRecords::Written,
        });
        match (ring, plain) {
            (None, Some(_)) => {
                Err(Failure::usage("--plain-records says what to do beside a ring of keys, and there is none")
                    .advise("give --keys, or leave --plain-records (or WIX_VISITOR_PLAIN_RECORDS) out"))
            }
            (ring, plain) => Ok(ring.map(|ring| Self { ring, plain: plain.unwrap_or_default() })),
        }
    }
}

/// What may be shown of a store: never its URL, which may hold a password.
#[derive(Debug, Serialize)]
pub(crate) struct StoreLabel {
    pub(crate) kind: &'static str,
    pub(crate) path: Option<PathBuf>,
    /// False where there is a path and nothing there yet.
    pub(crate) exists: bool,
}

impl StoreChoice {
    /// From `--store`, from its variables, or the default: for the sandbox another one than for Wix.
    pub(crate) async fn of(args: &SiteArgs) -> Result<Self, Failure> {
        let url = match &args.store {
            Some(url) => url.clone(),
            None => match (variable(STORE)?, variable(STORE_FILE)?) {
                (Some(_), Some(_)) => {
                    return Err(Failure::usage(format!("the store is named twice: by {STORE} and by {STORE_FILE}"))
                        .advise("unset one of them, or give --store"));
                }
                (Some(url), None) => Secret::new(url),
                (None, Some(file)) => url_in(&file).await?,
                (None, None) => Secret::new(sqlite_url(&default_path(args.sandbox)?)),
            },
        };
        Self::at(&url, Sealing::of(args)?)
    }

    /// Whether one was named, so that it is not the default.
    pub(crate) fn is_named(args: &SiteArgs) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        args.store.is_some() || set(STORE) || set(STORE_FILE)
    }

    pub(crate) fn at(url: &Secret, sealing: Option<Sealing>) -> Result<Self, Failure> {
        let read = StoreUrl::parse(url.expose())?;
        read.check(&Policy::default())?;
        Ok(Self { read, sealing })
    }

    /// Whether both are the same store, as far as names tell: a path by what it leads to, a server by its URL without options.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        let path =
            |choice: &Self| choice.read.path().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        self.read.kind() == other.read.kind() && path(self).is_some() && path(self) == path(other)
    }

    /// For whoever only looks: this store, or in place of one that is not there an empty one, so that none is made.
    pub(crate) fn to_look_at(&self) -> Result<Self, Failure> {
        if self.label().exists { Ok(self.clone()) } else { Self::memory() }
    }

    /// For whoever keeps nothing.
    pub(crate) fn memory() -> Result<Self, Failure> {
        Self::at(&Secret::new("memory:"), None)
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn TokenStore>, Failure> {
        self.open_as(self.read.clone()).await
    }

    /// The same for a command that may have one thread for everything: it reads the store there, and is watched over meanwhile.
    pub(crate) async fn open_in_place(&self, console: Console) -> Result<Arc<dyn TokenStore>, Failure> {
        if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
            return self.open().await;
        }
        let watch = watch::over(move || {
            let failure = Failure::new(Exit::Store, "store", "the disk of the store does not answer");
            let failure = failure.advise("nothing was minted; run the same command again once the store works");
            let (said, heard) = mpsc::channel();
            // Where there is no room for a thread, it ends without a word.
            let _ = thread::Builder::new().spawn(move || {
                console.failure(&failure);
                said.send(())
            });
            // Nor is it waited for one that takes no error.
            let _ = heard.recv_timeout(Duration::from_secs(1));
            std::process::exit(i32::from(Exit::Store.code()));
        });
        self.open_as(self.read.clone().in_place(watch)).await
    }

    async fn open_as(&self, read: StoreUrl) -> Result<Arc<dyn TokenStore>, Failure> {
        let store = read.open().await?;
        Ok(match self.sealing.clone() {
            Some(Sealing { ring, plain }) => Arc::new(SealedStore::new(store, ring).plain_records(plain)),
            None => store,
        })
    }

    /// For who keeps house in it. It has to be there.
    pub(crate) async fn housekeeper(&self) -> Result<Housekeeper, Failure> {
        if !self.label().exists {
            return Err(Failure::usage(format!("there is no store at {}", self.label()))
                .advise("nothing was made; name the store that is meant"));
        }
        let housekeeper = Housekeeper::new(self.read.clone().open().await?);
        Ok(match self.sealing.clone() {
            Some(Sealing { ring, plain }) => housekeeper.sealed(ring, plain),
            None => housekeeper,
        })
    }

    pub(crate) fn label(&self) -> StoreLabel {
        let path = self.read.path().map(Path::to_owned);
        let is_missing = |path: &PathBuf| {
            std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        StoreLabel { kind: self.read.kind(), exists: !path.as_ref().is_some_and(is_missing), path }
    }

    /// Where an embedded sandbox keeps its state: beside the store, or with the user's own data if the store is elsewhere; for a
    /// store that forgets, nowhere.
    pub(crate) fn sandbox_state(&self) -> Result<Option<PathBuf>, Failure> {
        let beside = match self.read.path() {
            // Without a slash at its end: that would make it something in the store.
            Some(path) => path.components().collect::<PathBuf>(),
            None if self.read.kind() == "memory" => return Ok(None),
            None => data_dir()?.join("sandbox").join(self.read.kind()),
        };
        let mut name = beside.into_os_string();
        name.push(".sandbox.json");
        Ok(Some(name.into()))
    }
}

/// One that is set to nothing is not set.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    value.into_string().map(Some).map_err(|_| Failure::usage(format!("the variable {name} does not hold UTF-8")))
}

async fn url_in(file: &str) -> Result<Secret, Failure> {
    let bytes = crate::input::read(file, LARGEST, "the store's URL").await?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("the file that {STORE_FILE} names does not hold a URL")))?;
    let url = text.trim();
    if url.contains(['\n', '\r']) {
        return Err(Failure::usage(format!("the file that {STORE_FILE} names holds more than one line"))
            .advise("put one store URL into it, and nothing else"));
    }
    Ok(Secret::new(url))
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
        match &self.path {
            Some(path) => write!(f, "{} {}", self.kind, path.display()),
            None => f.write_str(self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(url: &str) -> StoreChoice {
        StoreChoice::at(&Secret::new(url), None).unwrap()
    }

    #[test]
    fn the_label_shows_kind_and_path_and_not_the_rest_of_the_url() {
        for (url, shown) in [("memory:", "memory"), ("SQLITE:/a/b.db?timeout_ms=5", "sqlite /a/b.db")] {
            assert_eq!(choice(url).label().to_string(), shown);
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
        for (url, path) in [("sqlite:/a/b.db", "/a/b.db.sandbox.json"), ("file:/a/b/", "/a/b.sandbox.json")] {
            assert_eq!(choice(url).sandbox_state().unwrap().as_deref(), Some(Path::new(path)));
        }
        let elsewhere = choice("redis://127.0.0.1/2").sandbox_state().unwrap().unwrap();
        assert!(elsewhere.ends_with("sandbox/redis.sandbox.json"), "{}", elsewhere.display());
    }
}
