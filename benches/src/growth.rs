//! Stores with more and more visitors, and how long a load takes in them.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use wix_visitor_core::{Etag, StoreError, StoreErrorKind, StoreKey, Stored, TokenStore};
use wix_visitor_file::FileOptions;
use wix_visitor_memory::MemoryStore;
use wix_visitor_redis::RedisOptions;
use wix_visitor_sqlite::{SqliteOptions, Synchronous};

use crate::{ROUNDS, site::Random};

/// How many visitors the store has that others are held against, and how many are loaded in each.
pub const FEW: usize = 1_000;

/// The kinds of store that are measured.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A directory.
    File,
    /// A database.
    Sqlite,
    /// This process's memory.
    Memory,
    /// A Redis server of its own.
    Redis,
}

impl Kind {
    /// As in a store's URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Sqlite => "sqlite",
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }
}

/// A store that grows.
#[derive(Debug)]
pub struct Growing {
    store: Arc<dyn TokenStore>,
    len: usize,
    /// Only for what happens when it is dropped.
    _server: Option<Server>,
}

/// Ends with its owner.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Growing {
    /// An empty one at this path. It does not wait for the disk when it is filled: only loads are measured.
    ///
    /// # Errors
    /// The store's.
    pub async fn new(kind: Kind, path: &Path) -> Result<Self, StoreError> {
        let minute = Duration::from_secs(60);
        let mut server = None;
        let store: Arc<dyn TokenStore> = match kind {
            Kind::File => Arc::new(FileOptions::new(path).without_sync().timeout(minute).open().await?),
            Kind::Sqlite => {
                let options = SqliteOptions::new(path).synchronous(Synchronous::Normal).timeout(minute);
                Arc::new(options.open().await?)
            }
            Kind::Memory => Arc::new(MemoryStore::new()),
            Kind::Redis => {
                server = Some(start(path)?);
                Arc::new(RedisOptions::unix(path.join("socket")).timeout(minute).connect().await?)
            }
        };
        Ok(Self { store, len: 0, _server: server })
    }

    /// Adds visitors until there are so many.
    ///
    /// # Errors
    /// The store's.
    pub async fn grow(&mut self, len: usize) -> Result<(), StoreError> {
        const TOGETHER: usize = 64;
        let mut writing = JoinSet::new();
        for n in self.len..len {
            let store = Arc::clone(&self.store);
            writing.spawn(async move { store.compare_exchange(&key(n), None, &record(n), YEAR).await });
            if writing.len() == TOGETHER {
                joined(&mut writing).await?;
            }
        }
        while !writing.is_empty() {
            joined(&mut writing).await?;
        }
        self.len = len;
        Ok(())
    }

    /// How long a load takes: the middle one of [`FEW`], spread evenly over all.
    async fn load(&self) -> Result<Duration, StoreError> {
        let mut times = Vec::with_capacity(FEW);
        for n in (0..FEW).map(|n| n * self.len / FEW) {
            let key = key(n);
            let start = Instant::now();
            let found = self.store.load(&key).await?;
            times.push(start.elapsed());
            assert!(found == Some(record(n)), "what was written is there");
        }
        times.sort_unstable();
        Ok(times[FEW / 2])
    }

    /// How long a load takes here, and how many times as long as in the other store: measured in turns, the middle one of the
    /// rounds. The same visitors again and again, so that the system has them in memory and what is measured is how they are found.
    ///
    /// # Errors
    /// The stores'.
    pub async fn against(&self, few: &Self) -> Result<(Duration, f64), StoreError> {
        let mut rounds = Vec::new();
        self.load().await?;
        for _ in ROUNDS {
            let (floor, load) = (few.load().await?, self.load().await?);
            rounds.push((load.as_secs_f64() / floor.as_secs_f64(), load));
        }
        rounds.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, load) = rounds[rounds.len() / 2];
        Ok((load, ratio))
    }
}

/// A server that saves nothing, with its socket in this directory.
fn start(directory: &Path) -> Result<Server, StoreError> {
    let failed = |e: std::io::Error| {
        StoreError::new(StoreErrorKind::Misconfigured, "redis", format!("redis-server cannot be started: {e}"))
    };
    fs::create_dir_all(directory).map_err(failed)?;
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxmemory-policy",
        "noeviction",
        "--unixsocket",
    ]);
    let started = command.arg(directory.join("socket")).arg("--dir").arg(directory).stdout(Stdio::null()).spawn();
    started.map(Server).map_err(failed)
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

async fn joined<T: 'static>(writing: &mut JoinSet<Result<T, StoreError>>) -> Result<(), StoreError> {
    match writing.join_next().await {
        Some(Ok(done)) => done.map(drop),
        _ => Ok(()),
    }
}

/// As a visitor's is: one site, and a hash. Those of consecutive visitors have nothing to do with each other.
#[expect(clippy::expect_used, reason = "it is one")]
fn key(n: usize) -> StoreKey {
    let mut hash = Random(n as u64);
    let text = format!(
        "00000000-0000-4000-8000-000000000000/{:016x}{:016x}{:016x}{:016x}",
        hash.next(),
        hash.next(),
        hash.next(),
        hash.next()
    );
    StoreKey::parse(&text).expect("a key")
}

/// About as large as a visitor's.
fn record(n: usize) -> Stored {
    let token = format!("{n:0>700}");
    Stored { etag: Etag::from_bits(n as u128), bytes: format!(r#"{{"accessToken":"{token}"}}"#).into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_grew_holds_the_visitors_that_are_loaded() {
        for kind in [Kind::File, Kind::Sqlite, Kind::Memory] {
            let directory = tempfile::tempdir().unwrap();
            let mut store = Growing::new(kind, &directory.path().join("store")).await.unwrap();
            for len in [FEW, 2 * FEW] {
                store.grow(len).await.unwrap();
                // It looks for itself whether each is there.
                assert!(store.load().await.unwrap() > Duration::ZERO);
            }
        }
    }
}
