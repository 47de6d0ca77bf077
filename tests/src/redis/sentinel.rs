//! One primary, two replicas, three Sentinels.

use std::time::Duration;

use super::server::{Server, ServerOptions};
use super::until;

/// What the Sentinels call the group.
pub const SERVICE: &str = "visitors";

/// After how long without an answer a Sentinel takes the primary for down.
const DOWN_AFTER: Duration = Duration::from_secs(1);

/// A primary with two replicas, and three Sentinels that watch them.
#[derive(Debug)]
pub struct SentinelGroup {
    servers: Vec<Server>,
    sentinels: Vec<Server>,
}

impl SentinelGroup {
    /// Starts all, and returns once everybody knows everybody.
    pub async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// As [`start`](Self::start), all of them, the Sentinels too, with these options.
    pub async fn start_with(all: ServerOptions) -> Self {
        // What a crash of all machines at once would leave is not what a group is for.
        let options = || all.clone().line("appendfsync everysec");
        let primary = options().start().await;
        let mut servers = Vec::with_capacity(3);
        let mut sentinels = Vec::with_capacity(3);
        let replica = || options().line(format!("replicaof 127.0.0.1 {}", primary.port()));
        let (one, two) = tokio::join!(replica().start(), replica().start());
        for _ in 0..3 {
            let options = all
                .clone()
                .sentinel()
                .line(format!("sentinel monitor {SERVICE} 127.0.0.1 {} 2", primary.port()))
                .line(format!("sentinel down-after-milliseconds {SERVICE} {}", DOWN_AFTER.as_millis()))
                // A second failover is not begun before twice this time has passed.
                .line(format!("sentinel failover-timeout {SERVICE} 2000"))
                .line(format!("sentinel parallel-syncs {SERVICE} 2"));
            sentinels.push(options.start().await);
        }
        servers.extend([primary, one, two]);
        let group = Self { servers, sentinels };
        group.whole().await;
        group
    }

    /// Where the Sentinels are: `127.0.0.1:<port>` each.
    pub fn addresses(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::address).collect()
    }

    /// `redis+sentinel://…/visitors`.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/{SERVICE}", self.addresses().join(","))
    }

    /// The Sentinels, in the order of the URL.
    pub fn sentinels(&self) -> &[Server] {
        &self.sentinels
    }

    /// Primary and replicas.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The primary, as all Sentinels that answer see it; nothing while they do not agree.
    pub fn primary(&self) -> Option<&Server> {
        let mut ports: Vec<u16> = self.sentinels.iter().filter_map(port_of_primary).collect();
        ports.dedup();
        let [port] = ports.as_slice() else { return None };
        self.servers.iter().find(|server| server.port() == *port)
    }

    /// Waits until one is the primary, the others follow it closely, and every Sentinel knows all of them to be well.
    pub async fn whole(&self) {
        until("a group with its Sentinels to be whole", || self.is_whole()).await;
    }

    fn is_whole(&self) -> bool {
        let Some(primary) = self.primary() else { return false };
        let written = |server: &Server| -> Option<u64> { server.info("master_repl_offset")?.parse().ok() };
        let by_now = written(primary);
        let follows = |server: &Server| {
            server.info("master_port").is_some_and(|port| port == primary.port().to_string())
                && server.info("master_link_status").as_deref() == Some("up")
                && written(server) >= by_now
        };
        primary.info("role").as_deref() == Some("master")
            && self.servers.iter().filter(|server| server.port() != primary.port()).all(follows)
            && self.sentinels.iter().all(sees_all_well)
    }

    /// Starts what was killed again: as a replica, as an operator would.
    pub async fn mend(&self) {
        for server in &self.servers {
            if !server.is_running() {
                until("a primary", || self.primary().is_some_and(|primary| primary.port() != server.port())).await;
                let primary = self.primary().expect("a primary").port();
                server.start_again_as_replica(primary).await;
            }
        }
        self.whole().await;
    }
}

fn port_of_primary(sentinel: &Server) -> Option<u16> {
    let address: Vec<String> = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE]).ok()?;
    address.get(1)?.parse().ok()
}

fn sees_all_well(sentinel: &Server) -> bool {
    type Table = std::collections::HashMap<String, String>;
    let says = |table: &Table, name: &str, value: &str| table.get(name).is_some_and(|found| found == value);
    let Ok(primary) = sentinel.command::<Table>(&["SENTINEL", "MASTER", SERVICE]) else { return false };
    let Ok(replicas) = sentinel.command::<Vec<Table>>(&["SENTINEL", "REPLICAS", SERVICE]) else { return false };
    says(&primary, "flags", "master")
        && says(&primary, "num-other-sentinels", "2")
        && replicas.len() == 2
        && replicas.iter().all(|replica| says(replica, "flags", "slave"))
}
