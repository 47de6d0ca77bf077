//! The stores that several processes share.

#[cfg(feature = "redis")]
use std::sync::Arc;

use tempfile::TempDir;
#[cfg(feature = "redis")]
use wix_visitor_tests::redis::{Server, ServerOptions};

/// Which kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Directory,
    #[cfg(feature = "redis")]
    Redis,
}

/// One store, empty at first.
#[derive(Clone)]
pub(crate) enum Place {
    Sqlite,
    Directory,
    #[cfg(feature = "redis")]
    Redis(Arc<Server>),
}

impl Place {
    pub(crate) async fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite,
            Kind::Directory => Self::Directory,
            #[cfg(feature = "redis")]
            Kind::Redis => Self::Redis(Arc::new(ServerOptions::default().start().await)),
        }
    }

    /// What a process opens it by; what is on the disk is in this folder.
    pub(crate) fn url(&self, folder: &TempDir, timeout_ms: u64) -> String {
        let folder = folder.path().display();
        let place = match self {
            Self::Sqlite => format!("sqlite:{folder}/visitors.db"),
            Self::Directory => format!("file:{folder}/visitors"),
            #[cfg(feature = "redis")]
            Self::Redis(server) => server.url(),
        };
        format!("{place}?timeout_ms={timeout_ms}")
    }
}

/// Each of these tests on each kind of store.
macro_rules! on_every_kind {
    ($(async fn $name:ident($kind:ident: Kind) $body:block)+) => {
        $(async fn $name($kind: $crate::place::Kind) $body)+
        $crate::place::on_every_kind!(on_sqlite, Sqlite: $($name),+);
        $crate::place::on_every_kind!(on_a_directory, Directory: $($name),+);
        #[cfg(feature = "redis")]
        $crate::place::on_every_kind!(on_redis, Redis: $($name),+);
    };
    ($module:ident, $kind:ident: $($name:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::place::Kind::$kind).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_kind;
