//! One server: how it is reached, and that it is a primary.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, RedisConnectionInfo, RedisResult, Value,
};
use tokio::sync::broadcast::Receiver;
use wix_visitor_core::{Secret, StoreError};

use crate::ears::{Ears, Heard};
use crate::error::{Failure, misconfigured, not_connected, unavailable};
use crate::tls::Tls;
use crate::wire::{Answer, Wire};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Who we are to a server. `Debug` shows no password.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// How servers are spoken to: the same for all of a store.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) login: Login,
    pub(crate) database: i64,
    pub(crate) tls: Option<Tls>,
    /// How long what was sent may stay without even the network's acknowledgement.
    pub(crate) patience: Duration,
}

impl Manner {
    /// What the client needs to know of a server.
    pub(crate) fn info(&self, address: &Address, protocol: ProtocolVersion) -> RedisResult<ConnectionInfo> {
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(protocol)
            .set_db(self.database)
            // Not in every server and every user's rights, and of no use.
            .set_skip_set_lib_name();
        if let Some(user) = &self.login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.login.password {
            settings = settings.set_password(password.expose());
        }
        let address = match address {
            Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
            Address::Tcp { host, port } if self.tls.is_some() => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            Address::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let info = address.into_connection_info()?;
        Ok(info.set_tcp_settings(self.tcp()).set_redis_settings(settings))
    }

    /// The other machine's kernel acknowledges for a process that is slow or frozen. Where nobody does, the connection was dropped
    /// on the way without a word, as firewalls do with idle ones: then there has to be time for another.
    pub(crate) fn tcp(&self) -> TcpSettings {
        let settings = TcpSettings::default().set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let settings = settings.set_user_timeout(self.patience);
        settings
    }

    fn client(&self, address: &Address, protocol: ProtocolVersion) -> RedisResult<Client> {
        let info = self.info(address, protocol)?;
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        if let (Some(tls), Address::Tcp { .. }) = (&self.tls, address) {
            return Client::build_with_tls(info, tls.certificates.clone());
        }
        Client::open(info)
    }

    /// A connection to this server, whatever its role. Whoever calls this sees to the time it takes.
    pub(crate) async fn connect(&self, address: &Address) -> Result<Server, StoreError> {
        let (closed, ears) = (Arc::new(AtomicBool::new(false)), Ears::new());
        let (noted, taking) = (Arc::clone(&closed), ears.clone());
        // RESP3's gifts: to hear at once that an idle connection was closed, and on the same connection what is published.
        let listen = move |push: PushInfo| -> Result<(), ()> {
            if push.kind == PushKind::Disconnection {
                noted.store(true, Ordering::Release);
            }
            taking.take(push);
            Ok(())
        };
        let config = patient().set_push_sender(listen);
        let connected = match self.client(address, ProtocolVersion::RESP3) {
            Ok(client) => client.get_multiplexed_async_connection_with_config(&config).await,
            Err(e) => Err(e),
        };
        let connection = connected.map_err(|e| not_connected(address, &e))?;
        Ok(Server { connection, closed, ears })
    }

    /// A connection to this server if it is a primary.
    pub(crate) async fn connect_primary(&self, address: &Address) -> Result<Arc<dyn Wire>, StoreError> {
        let server = self.connect(address).await?;
        let answer = server.ask(&redis::cmd("ROLE")).await.map_err(|e| Failure::from(e).into_error_of(address))?;
        match role(&answer) {
            Some("master") => {
                tracing::debug!(%address, "connected to Redis");
                Ok(Arc::new(server))
            }
            Some("slave") => Err(unavailable(format!(
                "{address} is a replica, which may lag: name its primary, or its Sentinels with redis+sentinel:"
            ))),
            Some("sentinel") => Err(misconfigured(format!("{address} is a Sentinel: use a redis+sentinel: URL"))),
            _ => Err(Failure::nonsense().into_error_of(address)),
        }
    }

    /// A connection on which a Sentinel can be asked.
    pub(crate) async fn connect_sentinel(&self, address: &Address) -> Result<MultiplexedConnection, StoreError> {
        let connected = match self.client(address, ProtocolVersion::RESP2) {
            Ok(client) => client.get_multiplexed_async_connection_with_config(&patient()).await,
            Err(e) => Err(e),
        };
        connected.map_err(|e| not_connected(format_args!("the Sentinel {address}"), &e))
    }
}

/// Without limits of the client's own: every operation has its deadline.
fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

fn role(answer: &Value) -> Option<&str> {
    match answer {
        Value::Array(parts) => match parts.first()? {
            Value::BulkString(role) => std::str::from_utf8(role).ok(),
            Value::SimpleString(role) => Some(role),
            _ => None,
        },
        _ => None,
    }
}

/// A connection to one server.
pub(crate) struct Server {
    pub(crate) connection: MultiplexedConnection,
    closed: Arc<AtomicBool>,
    ears: Ears,
}

impl Wire for Server {
    fn ask<'a>(&'a self, command: &'a Cmd) -> Answer<'a> {
        let mut connection = self.connection.clone();
        Box::pin(async move { connection.send_packed_command(command).await?.extract_error() })
    }

    fn subscribe<'a>(&'a self, channels: [&'a str; 2]) -> Option<Answer<'a, Receiver<Heard>>> {
        let mut connection = self.connection.clone();
        Some(Box::pin(async move {
            let heard = self.ears.listen();
            connection.subscribe(&channels).await?;
            Ok(heard)
        }))
    }

    fn is_to_one_server(&self) -> bool {
        true
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
