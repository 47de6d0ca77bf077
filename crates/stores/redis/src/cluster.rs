//! A cluster: each key has one primary, which the client finds.
//!
//! The client repeats nothing by itself: it would send a swap twice without our knowing, and take the conflict with itself for one
//! with somebody else. What was certainly not applied is repeated by the store, as with any other server.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, ErrorKind, ProtocolVersion, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::broadcast::Receiver;
use wix_visitor_core::StoreError;

use crate::ears::{Ears, Heard};
use crate::error::not_connected;
use crate::listing::parts_of_a_cluster;
use crate::server::{Address, Manner};
use crate::wire::{Answer, Part, Wire};

struct Cluster {
    connection: ClusterConnection,
    ears: Ears,
    manner: Manner,
}

/// A connection to the cluster that these nodes belong to.
pub(crate) async fn connect(
    nodes: &[Address],
    manner: &Manner,
    timeout: Duration,
) -> Result<Arc<dyn Wire>, StoreError> {
    let place = "the cluster";
    let ears = Ears::default();
    let client = client(nodes, manner, timeout, &ears).map_err(|e| not_connected(place, &e))?;
    match client.get_async_connection().await {
        Ok(connection) => {
            tracing::debug!("connected to a Redis Cluster");
            Ok(Arc::new(Cluster { connection, ears, manner: manner.clone() }))
        }
        Err(e) => Err(what_is_wrong(nodes, manner).await.unwrap_or_else(|| not_connected(place, &e))),
    }
}

/// What its nodes themselves say: the client says little of why it made nothing of them.
async fn what_is_wrong(nodes: &[Address], manner: &Manner) -> Option<StoreError> {
    let mut passing = None;
    for node in nodes {
        match manner.try_node(node).await {
            Err(error) if error.is_transient() => passing = Some(error),
            Err(lasting) => return Some(lasting),
            Ok(()) => {}
        }
    }
    passing
}

fn client(nodes: &[Address], manner: &Manner, timeout: Duration, ears: &Ears) -> RedisResult<ClusterClient> {
    let taking = ears.clone();
    let nodes = nodes.iter().map(|node| manner.info(node, ProtocolVersion::RESP3)).collect::<RedisResult<Vec<_>>>()?;
    let builder = ClusterClient::builder(nodes)
        .use_protocol(ProtocolVersion::RESP3)
        .tcp_settings(manner.tcp())
        .retries(0)
        .push_sender(move |push| -> Result<(), ()> {
            taking.take(push);
            Ok(())
        })
        // It connects to the nodes it is given, then to all: both, one of them frozen, within the time of a try.
        .connection_timeout(timeout / 3)
        .response_timeout(timeout)
        .overall_response_timeout(Some(timeout));
    #[cfg(feature = "rustls")]
    if let Some(tls) = &manner.tls {
        return builder.tls(redis::TlsMode::Secure).certs(tls.certificates.clone()).build();
    }
    // With the system's library the client takes no certificates here; the nodes' addresses say that TLS is wanted.
    builder.build()
}

impl Cluster {
    /// A key that is on its way from one node to another: the new one answers if it is told that it was sent there.
    async fn ask_moving(&self, moved: &RedisError, command: &Cmd) -> Option<RedisResult<Value>> {
        let (host, port) = moved.redirect_node()?.0.rsplit_once(':')?;
        let address = Address::Tcp { host: host.to_owned(), port: port.parse().ok()? };
        let mut there = self.manner.connect(&address).await.ok()?.connection;
        let mut both = redis::pipe();
        both.cmd("ASKING").add_command(command.clone());
        Some(match there.send_packed_commands(&both, 1, 1).await {
            Ok(mut answers) => answers.pop().unwrap_or_default().extract_error(),
            Err(e) => Err(e),
        })
    }
}

impl Wire for Cluster {
    fn ask<'a>(&'a self, command: &'a Cmd) -> Answer<'a> {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let answer = connection.req_packed_command(command).await.and_then(Value::extract_error);
            match &answer {
                Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
                    self.ask_moving(e, command).await.unwrap_or(answer)
                }
                _ => answer,
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

    fn ask_each<'a>(&'a self, command: &'a Cmd) -> Answer<'a, Vec<Value>> {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
            match connection.route_command(command.clone(), all).await?.extract_error()? {
                Value::Map(answers) => Ok(answers.into_iter().map(|(_, answer)| answer).collect()),
                other => Ok(vec![other]),
            }
        })
    }

    fn parts(&self) -> Option<Answer<'_, Vec<Part>>> {
        Some(Box::pin(async {
            let slots = self.ask(redis::cmd("CLUSTER").arg("SLOTS")).await?;
            let nonsense = || RedisError::from((ErrorKind::UnexpectedReturnType, "CLUSTER SLOTS"));
            parts_of_a_cluster(&slots).ok_or_else(nonsense)
        }))
    }

    fn ask_part<'a>(&'a self, part: &'a Part, command: &'a Cmd) -> Answer<'a> {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let primary = SingleNodeRoutingInfo::SpecificNode(Route::new(part.slot, SlotAddr::Master));
            connection.route_command(command.clone(), RoutingInfo::SingleNode(primary)).await?.extract_error()
        })
    }
}
