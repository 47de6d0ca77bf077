//! Where visitors are kept: stores of each kind, as many as are wanted.

use std::sync::Arc;

use tempfile::TempDir;
use wix_visitor::open_store;
use wix_visitor_core::TokenStore;
use wix_visitor_memory::MemoryStore;

use super::crowd::insist;
use crate::redis::{Cluster, SentinelGroup, Server, ServerOptions};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This process's memory.
    Memory,
    /// A directory.
    File,
    /// An SQLite file.
    Sqlite,
    /// One Redis server.
    Redis,
    /// Redis with Sentinels.
    Sentinel,
    /// A Redis Cluster.
    Cluster,
}

impl Kind {
    /// What it is called in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::File => "file",
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Sentinel => "redis, Sentinel",
            Self::Cluster => "redis, Cluster",
        }
    }
}

/// What stores of one kind stand on.
#[derive(Debug)]
pub(super) struct Ground {
    kind: Kind,
    directory: TempDir,
    servers: Servers,
}

#[derive(Debug)]
enum Servers {
    None,
    One(Server),
    Watched(SentinelGroup),
    Cluster(Cluster),
}

impl Ground {
    pub(super) async fn prepare(kind: Kind) -> Self {
        let servers = match kind {
            Kind::Memory | Kind::File | Kind::Sqlite => Servers::None,
            Kind::Redis => Servers::One(ServerOptions::default().start().await),
            Kind::Sentinel => Servers::Watched(SentinelGroup::start().await),
            Kind::Cluster => Servers::Cluster(Cluster::start().await),
        };
        let directory = tempfile::Builder::new().prefix("migrate-").tempdir().expect("a directory");
        Self { kind, directory, servers }
    }

    /// An empty store of this name.
    pub(super) fn place(&self, name: &str) -> Place {
        let url = match &self.servers {
            Servers::None => format!("{}:{}", self.kind.name(), self.directory.path().join(name).display()),
            Servers::One(server) => format!("{}?prefix={name}.", server.url()),
            Servers::Watched(group) => format!("{}?prefix={name}.", group.url()),
            Servers::Cluster(cluster) => format!("{}?prefix={name}.", cluster.url()),
        };
        Place { url, memory: (self.kind == Kind::Memory).then(MemoryStore::new) }
    }
}

/// One store, which each opens for itself.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: String,
    memory: Option<MemoryStore>,
}

impl Place {
    /// Whether nobody but this process has it.
    pub(super) fn is_in_memory(&self) -> bool {
        self.memory.is_some()
    }

    pub(super) async fn open(&self) -> Result<Arc<dyn TokenStore>, String> {
        match &self.memory {
            Some(memory) => Ok(Arc::new(memory.clone())),
            None => insist("open", || open_store(&self.url)).await,
        }
    }
}
