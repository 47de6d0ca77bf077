//! Where the records are, and what is asked of the servers.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;
use wix_visitor_core::{Secret, StoreError, StoreErrorKind};

use crate::cluster;
use crate::error::{error, misconfigured};
use crate::link::Link;
use crate::replicas::Replicas;
use crate::sentinel::Group;
use crate::server::{Address, Login, Manner};
use crate::store::RedisStore;
use crate::tls::Tls;
use crate::wire::{Given, Wire};

/// How to reach the servers of a [`RedisStore`].
///
/// `Debug` shows the addresses, and neither users nor passwords.
///
/// ```no_run
/// # async fn example(password: String) -> Result<(), wix_visitor_core::StoreError> {
/// use std::time::Duration;
/// use wix_visitor_redis::RedisOptions;
///
/// let store = RedisOptions::new("cache.internal", 6379)
///     .password(password)
///     .timeout(Duration::from_secs(1))
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) place: Place,
    pub(crate) login: Login,
    pub(crate) sentinel_login: Login,
    pub(crate) database: u32,
    pub(crate) tls: bool,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) prefix: String,
    pub(crate) timeout: Duration,
    pub(crate) wait_replicas: u32,
    pub(crate) wait: Option<Duration>,
}

/// What there is to connect to.
#[derive(Clone)]
pub(crate) enum Place {
    Server(Address),
    Sentinel { sentinels: Vec<Address>, service: String },
    Cluster(Vec<Address>),
    Given(Arc<dyn Wire>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match self {
            Self::Server(address) => write!(f, "{address}"),
            Self::Sentinel { sentinels, service } => write!(f, "{service} by the Sentinels {}", list(sentinels)),
            Self::Cluster(nodes) => write!(f, "the cluster of {}", list(nodes)),
            Self::Given(_) => f.write_str("a connection of the application"),
        }
    }
}

impl RedisOptions {
    /// The longest that [`timeout`](Self::timeout) may be: an hour.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

    /// One server, or an address that always leads to the primary.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self::at(Place::Server(Address::Tcp { host: host.into(), port }))
    }

    /// One server on this machine, by the path of its socket.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::Server(Address::Unix(path.into())))
    }

    /// The servers that these Sentinels watch under the name `service`.
    pub fn sentinel<H: Into<String>>(
        sentinels: impl IntoIterator<Item = (H, u16)>,
        service: impl Into<String>,
    ) -> Self {
        Self::at(Place::Sentinel { sentinels: addresses(sentinels), service: service.into() })
    }

    /// The cluster that these nodes, or some of them, belong to.
    pub fn cluster<H: Into<String>>(nodes: impl IntoIterator<Item = (H, u16)>) -> Self {
        Self::at(Place::Cluster(addresses(nodes)))
    }

    /// A connection that the application has: redis' `MultiplexedConnection`, `ConnectionManager`, `ClusterConnection` and the
    /// like. It has to lead to a primary, and nobody but its owner repairs it.
    pub fn connection<C: ConnectionLike + Clone + Send + Sync + 'static>(connection: C) -> Self {
        Self::at(Place::Given(Arc::new(Given(connection))))
    }

    pub(crate) fn at(place: Place) -> Self {
        Self {
            place,
            login: Login::default(),
            sentinel_login: Login::default(),
            database: 0,
            tls: false,
            tls_ca: None,
            prefix: "wix-visitor:".to_owned(),
            timeout: Duration::from_millis(1500),
            wait_replicas: 0,
            wait: None,
        }
    }

    /// The user of the servers' access control list. Without one it is Redis' `default`.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.login.user = Some(user.into());
        self
    }

    /// The password of that user.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.login.password = Some(Secret::new(password));
        self
    }

    /// The user on the Sentinels, if they have users.
    #[must_use]
    pub fn sentinel_user(mut self, user: impl Into<String>) -> Self {
        self.sentinel_login.user = Some(user.into());
        self
    }

    /// The password of the Sentinels, if they have one.
    #[must_use]
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.sentinel_login.password = Some(Secret::new(password));
        self
    }

    /// The number of the database: 0 unless set. A cluster has only that.
    #[must_use]
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// Whether servers, and Sentinels, are spoken to through TLS. Needs the feature `rustls` or `native-tls`.
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// A file with the certificates (PEM) to trust, instead of those that the platform trusts.
    #[must_use]
    pub fn tls_ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(path.into());
        self
    }

    /// What the name of each of the store's keys begins with: `wix-visitor:` unless set.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The time within which each operation ends, connecting included: 1.5 s unless set.
    ///
    /// At least 1 ms and at most [`MAX_TIMEOUT`](Self::MAX_TIMEOUT). The flow itself stops listening after its policy's `save`: what
    /// is not below that only costs the store's own message.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(1), Self::MAX_TIMEOUT);
        self
    }

    /// The [`timeout`](Self::timeout).
    pub fn deadline(&self) -> Duration {
        self.timeout
    }

    /// A swap counts as done only when so many replicas have it, which are waited for no longer than half of the timeout.
    ///
    /// Not for a cluster, nor for a [`connection`](Self::connection) of the application.
    #[must_use]
    pub fn wait_replicas(mut self, replicas: u32) -> Self {
        self.wait_replicas = replicas;
        self
    }

    /// How long the replicas are waited for, if not for half of the timeout.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Connects, and looks whether the servers are set up to keep what they are given
    /// ([`warnings`](wix_visitor_core::TokenStore::warnings)).
    ///
    /// # Errors
    /// A [`StoreError`] of the kind
    /// - *misconfigured*: options that do not go together, a wrong password, missing rights, a service that the Sentinels do not
    ///   know, no tokio runtime;
    /// - *unsupported*: a server older than Redis 6.2, or TLS in a build without it;
    /// - *unavailable*: no primary could be reached within the timeout.
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        RedisStore::start(self).await
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.tls_ca.is_some() && !self.tls {
            return Err(misconfigured("tls_ca is of no use without TLS: use rediss: or tls=true"));
        }
        if self.wait.is_some() && self.wait_replicas == 0 {
            return Err(misconfigured("wait_ms is of no use without wait_replicas"));
        }
        let login = &self.sentinel_login;
        if (login.user.is_some() || login.password.is_some()) && !matches!(self.place, Place::Sentinel { .. }) {
            return Err(misconfigured("sentinel_user and sentinel_password are for redis+sentinel: alone"));
        }
        let alone = matches!(self.place, Place::Cluster(_) | Place::Given(_));
        if self.wait_replicas > 0 && alone {
            let message =
                "wait_replicas is for one server or a Sentinel group, not for a cluster or an application's connection";
            return Err(error(StoreErrorKind::Unsupported, message));
        }
        if self.wait_replicas > 0 && self.patience_for_replicas() >= self.timeout {
            return Err(misconfigured("wait_ms has to be shorter than timeout_ms: the write itself takes time too"));
        }
        if self.wait_replicas > i32::MAX as u32 {
            return Err(misconfigured("wait_replicas is larger than any number of replicas"));
        }
        match &self.place {
            Place::Cluster(_) if self.tls_ca.is_some() && !cfg!(feature = "rustls") => Err(error(
                StoreErrorKind::Unsupported,
                "tls_ca for a cluster needs the feature `rustls` of wix-visitor-redis",
            )),
            Place::Cluster(_) if self.database != 0 => Err(misconfigured("a cluster has no database but 0")),
            Place::Sentinel { sentinels: list, .. } | Place::Cluster(list) if list.is_empty() => {
                Err(misconfigured("at least one Sentinel or node of the cluster has to be named"))
            }
            Place::Server(Address::Unix(_)) if self.tls => Err(misconfigured("there is no TLS over a socket's path")),
            _ => Ok(()),
        }
    }

    fn patience_for_replicas(&self) -> Duration {
        self.wait.unwrap_or(self.timeout / 2)
    }

    /// How the store reaches its servers: one connection for all, and some for those that wait for replicas.
    pub(crate) fn links(&self) -> Result<(Link, Option<Replicas>), StoreError> {
        self.check()?;
        let tls = self.read_tls()?;
        let replicas = (self.wait_replicas > 0)
            .then(|| Replicas::new(self.wait_replicas, self.patience_for_replicas(), || self.link(tls.as_ref())));
        Ok((self.link(tls.as_ref()), replicas))
    }

    fn link(&self, tls: Option<&Tls>) -> Link {
        let patience = self.timeout / 2;
        let manner = |login: &Login, database| Manner { login: login.clone(), database, tls: tls.cloned(), patience };
        let servers = Arc::new(manner(&self.login, self.database.into()));
        let timeout = self.timeout;
        match self.place.clone() {
            Place::Given(wire) => Link::given(wire),
            Place::Server(address) => {
                let connect = move || {
                    let (address, servers) = (address.clone(), Arc::clone(&servers));
                    async move { servers.connect_primary(&address).await }
                };
                Link::new(connect, timeout, false)
            }
            Place::Sentinel { sentinels, service } => {
                let group = Arc::new(Group { sentinels, service, manner: manner(&self.sentinel_login, 0) });
                let connect = move || {
                    let (group, servers) = (Arc::clone(&group), Arc::clone(&servers));
                    async move { group.connect_primary(&servers).await }
                };
                // Shorter: the Sentinels may meanwhile know of another primary than the one that does not answer.
                Link::new(connect, patience, false)
            }
            Place::Cluster(nodes) => {
                let connect = move || {
                    let (nodes, servers) = (nodes.clone(), Arc::clone(&servers));
                    async move { cluster::connect(&nodes, &servers, timeout).await }
                };
                Link::new(connect, timeout, true)
            }
        }
    }

    fn read_tls(&self) -> Result<Option<Tls>, StoreError> {
        if !self.tls {
            return Ok(None);
        }
        let trusted = self.tls_ca.as_deref().map(certificates).transpose()?;
        Tls::prepare(trusted).map(Some)
    }
}

/// More than all certificates of a platform have, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

fn certificates(path: &Path) -> Result<Vec<u8>, StoreError> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let fail =
        |e: io::Error| misconfigured(format!("cannot read the certificates in {}: {e}", path.display())).with_source(e);
    // Of a pipe or a device the end may never come.
    if !std::fs::metadata(path).map_err(fail)?.is_file() {
        return Err(misconfigured(format!("{} is not a file with certificates", path.display())));
    }
    let mut pem = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut pem)).map_err(fail)?;
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(misconfigured(format!("{} holds no certificate as PEM", path.display())));
    }
    Ok(pem)
}

fn addresses<H: Into<String>>(list: impl IntoIterator<Item = (H, u16)>) -> Vec<Address> {
    list.into_iter().map(|(host, port)| Address::Tcp { host: host.into(), port }).collect()
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("place", &format_args!("{}", self.place))
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("wait_replicas", &self.wait_replicas)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use wix_visitor_core::StoreErrorKind;

    use super::*;

    #[test]
    fn certificates_are_read_from_a_file_and_from_nothing_without_an_end() {
        for path in ["/dev/zero", "/", "/nowhere", "a\0b", ""] {
            let error = certificates(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{path:?}: {error}");
        }
    }
}
