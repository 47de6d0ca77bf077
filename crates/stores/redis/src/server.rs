//! One server: how it is reached, and that it is a primary.

use std::fmt;
use std::path::{Path, PathBuf};
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

use crate::checkup;
use crate::ears::{Ears, Heard};
use crate::error::{Failure, Next, misconfigured, not_connected, unavailable};
use crate::second::Second;
use crate::tls::Tls;
use crate::wire::{Answer, Part, Wire};

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

    /// A connection to this server, whatever its role, to database 0. Whoever calls this sees to the time it takes.
    pub(crate) async fn connect(&self, address: &Address) -> Result<Server, StoreError> {
        let (closed, ears) = (Arc::new(AtomicBool::new(false)), Ears::default());
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
        let connection = self.open(address, &address.to_string(), ProtocolVersion::RESP3, &config).await?;
        Ok(Server { connection, closed, ears, second: None })
    }

    /// By hand: the client does not say why it was refused.
    async fn select_database(&self, server: &Server, address: &Address) -> Result<(), StoreError> {
        if self.database == 0 {
            return Ok(());
        }
        let answer = server.ask(redis::cmd("SELECT").arg(self.database)).await.map_err(Failure::from);
        answer.map(drop).map_err(|failure| {
            if failure.is("NOPERM") {
                misconfigured(format!(
                    "{address}: the user may not choose a database: grant it +select, or use database 0"
                ))
            } else {
                failure.into_error_of(address)
            }
        })
    }

    /// A connection to this server if it is a primary, and has every key. It takes a second one to the same while many read.
    pub(crate) async fn connect_primary(&self, address: &Address) -> Result<Arc<dyn Wire>, StoreError> {
        let mut server = self.primary(address).await?;
        let (manner, address, first) = (self.clone(), address.clone(), server.connection.clone());
        let connect = move || {
            let (manner, address, first) = (manner.clone(), address.clone(), first.clone());
            async move {
                let server = manner.primary(&address).await?;
                // By the same name one may come to another.
                if process(first).await? != process(server.connection.clone()).await? {
                    return Err(unavailable("a second connection led to another server"));
                }
                Ok(Arc::new(server) as Arc<dyn Wire>)
            }
        };
        server.second = Some(Second::new(connect, self.patience));
        Ok(Arc::new(server))
    }

    async fn primary(&self, address: &Address) -> Result<Server, StoreError> {
        let server = self.connect(address).await?;
        match server.says_it_is(address).await? {
            Kind::Primary => {
                self.select_database(&server, address).await?;
                tracing::debug!(%address, "connected to Redis");
                Ok(server)
            }
            Kind::Replica => {
                let of = server.primary().await.map(|primary| format!(" of {primary}")).unwrap_or_default();
                Err(unavailable(format!(
                    "{address} is a replica{of}, which may lag: name its primary, or its Sentinels with redis+sentinel:"
                )))
            }
            Kind::Node => Err(Failure::of_a_cluster().into_error_of(address)),
            Kind::Sentinel => Err(is_a_sentinel(address)),
        }
    }

    /// Why this is no node of a cluster that we can ask, if it is none.
    pub(crate) async fn try_node(&self, address: &Address) -> Result<(), StoreError> {
        let server = self.connect(address).await?;
        if let Kind::Sentinel = server.says_it_is(address).await? {
            return Err(is_a_sentinel(address));
        }
        let answer = server.ask(redis::cmd("CLUSTER").arg("SLOTS")).await;
        answer.map(drop).map_err(|e| Failure::from(e).into_error_of(address))
    }

    /// A connection on which a Sentinel can be asked.
    pub(crate) async fn connect_sentinel(&self, address: &Address) -> Result<MultiplexedConnection, StoreError> {
        let place = format!("the Sentinel {address}");
        self.open(address, &place, ProtocolVersion::RESP2, &patient()).await
    }

    async fn open(
        &self,
        address: &Address,
        place: &str,
        protocol: ProtocolVersion,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, StoreError> {
        let client = self.client(address, protocol).map_err(|e| not_connected(place, &e))?;
        let connected = tokio::select! {
            connected = client.get_multiplexed_async_connection_with_config(config) => connected,
            () = self.finds_no_tls(address) => return Err(misconfigured(format!(
                "{place} does not speak TLS: use redis: instead of rediss:, leave tls=true out, or name its port for TLS"
            ))),
        };
        connected.map_err(|e| match address {
            Address::Unix(path) => no_socket(path).unwrap_or_else(|| not_connected(place, &e)),
            Address::Tcp { .. } => not_connected(place, &e),
        })
    }

    /// Ends if TLS has got no answer for a while, and the server answers without. It takes a greeting in TLS for the beginning
    /// of a command, and waits for the rest.
    async fn finds_no_tls(&self, address: &Address) {
        if self.tls.is_some() {
            tokio::time::sleep(self.patience).await;
            // Nothing of ours is told in the clear, not even who we are.
            let stranger = Self { login: Login::default(), database: 0, tls: None, patience: self.patience };
            if let Ok(client) = stranger.client(address, ProtocolVersion::RESP2)
                && let Ok(mut connection) = client.get_multiplexed_async_connection_with_config(&patient()).await
                && let Ok(_) = connection.send_packed_command(&redis::cmd("PING")).await
            {
                return;
            }
        }
        std::future::pending().await
    }
}

fn is_a_sentinel(address: &Address) -> StoreError {
    misconfigured(format!("{address} is a Sentinel: use a redis+sentinel: URL"))
}

/// What is wrong with a path that should be a socket's, as far as the path shows it.
#[cfg(unix)]
fn no_socket(path: &Path) -> Option<StoreError> {
    use std::io::ErrorKind;
    use std::os::unix::fs::FileTypeExt;

    let is_socket = |path: &Path| path.metadata().map(|found| found.file_type().is_socket());
    let shown = path.display();
    match is_socket(path) {
        Ok(true) => None,
        Ok(false) => Some(misconfigured(format!("{shown} is not a socket; Redis' own setting `unixsocket` names it"))),
        Err(e) if e.kind() == ErrorKind::NotADirectory => {
            let parent = path.parent().filter(|parent| is_socket(parent).unwrap_or_default())?;
            let rest = path.file_name().unwrap_or_default().display();
            Some(misconfigured(format!(
                "{} is the socket, and nothing follows it in a redis+unix: URL; its database is named by ?db={rest}",
                parent.display()
            )))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Some(unavailable(format!(
            "there is no socket {shown}: Redis is down, or its own setting `unixsocket` names another path"
        ))),
        Err(_) => None,
    }
}

#[cfg(not(unix))]
fn no_socket(_: &Path) -> Option<StoreError> {
    None
}

/// Without limits of the client's own: every operation has its deadline.
fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

/// What a server is, by its own word.
enum Kind {
    Primary,
    Replica,
    Node,
    Sentinel,
}

/// A connection to one server.
pub(crate) struct Server {
    pub(crate) connection: MultiplexedConnection,
    closed: Arc<AtomicBool>,
    ears: Ears,
    second: Option<Second>,
}

impl Server {
    /// By `HELLO`, which everybody may ask.
    async fn says_it_is(&self, address: &Address) -> Result<Kind, StoreError> {
        let answer = self.ask(&redis::cmd("HELLO")).await.map_err(|e| Failure::from(e).into_error_of(address))?;
        match (field(&answer, "mode"), field(&answer, "role")) {
            (Some("sentinel"), _) => Ok(Kind::Sentinel),
            (Some("cluster"), _) => Ok(Kind::Node),
            (_, Some("master")) => Ok(Kind::Primary),
            (_, Some("replica")) => Ok(Kind::Replica),
            _ => Err(Failure::nonsense().into_error_of(address)),
        }
    }

    /// Whom a replica follows, if we may know.
    async fn primary(&self) -> Option<Address> {
        let Value::Array(parts) = self.ask(&redis::cmd("ROLE")).await.ok()? else { return None };
        let [_, host, Value::Int(port), ..] = &parts[..] else { return None };
        Some(Address::Tcp { host: text(host)?.to_owned(), port: u16::try_from(*port).ok()? })
    }
}

/// Which process a server is, by its own word.
async fn process(mut connection: MultiplexedConnection) -> Result<String, StoreError> {
    let info: RedisResult<String> = redis::cmd("INFO").arg("server").query_async(&mut connection).await;
    let info = info.map_err(|e| Failure::from(e).into_error())?;
    checkup::line(&info, "run_id").ok_or_else(|| unavailable("the server does not say which process it is"))
}

fn field<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    let Value::Map(fields) = answer else { return None };
    fields.iter().find(|(found, _)| text(found) == Some(name)).and_then(|(_, value)| text(value))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(text) => std::str::from_utf8(text).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

impl Wire for Server {
    fn ask<'a>(&'a self, command: &'a Cmd) -> Answer<'a> {
        let mut connection = self.connection.clone();
        Box::pin(async move { connection.send_packed_command(command).await?.extract_error() })
    }

    fn read<'a>(&'a self, command: &'a Cmd, under_way: usize) -> Answer<'a> {
        let at_hand = |second: &'a Second| second.at_hand(under_way).map(|live| (second, live));
        let Some((second, live)) = self.second.as_ref().and_then(at_hand) else { return self.ask(command) };
        Box::pin(async move {
            match live.wire.ask(command).await {
                Err(e) if Failure::from(e.clone()).next == Next::Reconnect => {
                    second.spoil(&live);
                    self.ask(command).await
                }
                answer => answer,
            }
        })
    }

    fn subscribe<'a>(&'a self, channels: [&'a str; 2]) -> Option<Answer<'a, Receiver<Heard>>> {
        let mut connection = self.connection.clone();
        Some(Box::pin(async move {
            let heard = self.ears.listen();
            connection.subscribe(&channels).await?;
            Ok(heard)
        }))
    }

    fn parts(&self) -> Option<Answer<'_, Vec<Part>>> {
        Some(Box::pin(async { Ok(vec![Part { slot: 0, name: String::new() }]) }))
    }

    fn is_to_one_server(&self) -> bool {
        true
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
