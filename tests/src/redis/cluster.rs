//! Three primaries with a replica each.

use super::server::{Server, ServerOptions};
use super::until;
use crate::port;

/// Whose slots are whose at first.
const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10_922), (10_923, 16_383)];

/// A cluster of six.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
    ids: Vec<String>,
}

/// What one node says of another, in `CLUSTER NODES`.
#[derive(Clone, Debug)]
struct Line {
    id: String,
    flags: Vec<String>,
    follows: String,
    connected: bool,
    slots: Vec<(u16, u16)>,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [id, _, flags, follows, _, _, _, link, slots @ ..] = words.as_slice() else { return None };
        let range = |word: &&str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        Some(Self {
            id: (*id).to_owned(),
            flags: flags.split(',').map(str::to_owned).collect(),
            follows: (*follows).to_owned(),
            connected: *link == "connected",
            slots: slots.iter().filter_map(range).collect(),
        })
    }

    fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|found| found == flag)
    }

    fn serves(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

impl Cluster {
    /// Starts all, and returns once every node serves and every replica follows.
    pub async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// As [`start`](Self::start), each node with these options.
    pub async fn start_with(options: ServerOptions) -> Self {
        let mut nodes = Vec::with_capacity(6);
        for _ in 0..6 {
            let options = options
                .clone()
                .line("appendfsync everysec")
                .line("cluster-enabled yes")
                .line("cluster-config-file nodes.conf")
                .line("cluster-node-timeout 1000")
                .line("cluster-allow-replica-migration no")
                .line(format!("cluster-port {}", port::free()));
            nodes.push(options.start().await);
        }
        let ids = nodes.iter().map(|node| node.command(&["CLUSTER", "MYID"]).expect("a node's id")).collect();
        let cluster = Self { nodes, ids };
        cluster.join().await;
        cluster.whole().await;
        cluster
    }

    async fn join(&self) {
        for (n, node) in self.nodes.iter().enumerate() {
            node.tell(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
        }
        for (node, (first, last)) in self.nodes.iter().zip(SLOTS) {
            node.tell(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
        for node in &self.nodes[1..] {
            let bus: String =
                node.command::<Vec<String>>(&["CONFIG", "GET", "cluster-port"]).expect("its port")[1].clone();
            self.nodes[0].tell(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), &bus]);
        }
        until("the nodes to meet", || {
            self.nodes.iter().all(|node| lines(node).iter().filter(|line| !line.is("handshake")).count() == 6)
        })
        .await;
        for (primary, replica) in [(0, 3), (1, 4), (2, 5)] {
            self.nodes[replica].tell(&["CLUSTER", "REPLICATE", &self.ids[primary]]);
        }
    }

    /// `redis+cluster://…`, naming three of the nodes.
    pub fn url(&self) -> String {
        let some: Vec<_> = self.nodes.iter().step_by(2).map(Server::address).collect();
        format!("redis+cluster://{}", some.join(","))
    }

    /// `redis://<address>` of every node.
    pub fn node_urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// The slot of a key.
    ///
    /// # Panics
    /// When no node answers.
    pub fn slot(&self, key: &str) -> u16 {
        self.nodes.iter().find_map(|node| node.command(&["CLUSTER", "KEYSLOT", key]).ok()).expect("a node")
    }

    /// Who serves a slot, by the word of all running nodes; nothing while they do not agree.
    pub fn primary_of(&self, slot: u16) -> Option<&Server> {
        self.primary_by(self.nodes.iter().filter(|node| node.is_running()), slot)
    }

    /// Who serves a slot, by the word of these.
    pub fn primary_by<'a>(&self, nodes: impl Iterator<Item = &'a Server>, slot: u16) -> Option<&Server> {
        let mut ids =
            nodes.filter_map(|node| lines(node).into_iter().find(|line| line.serves(slot)).map(|line| line.id));
        let id = ids.next()?;
        ids.all(|other| other == id).then(|| self.node(&id))?
    }

    /// All that serve slots.
    pub fn primaries(&self) -> Vec<&Server> {
        let first = self.nodes.iter().find(|node| node.is_running());
        let lines = first.map(lines).unwrap_or_default();
        lines.iter().filter(|line| !line.slots.is_empty()).filter_map(|line| self.node(&line.id)).collect()
    }

    /// Who follows this primary.
    ///
    /// # Panics
    /// When nobody does.
    pub fn replica_of(&self, primary: &Server) -> &Server {
        let id = self.id_of(primary);
        let lines = lines(primary);
        let line = lines.iter().find(|line| line.follows == id).expect("a replica");
        self.node(&line.id).expect("a node of this cluster")
    }

    fn node(&self, id: &str) -> Option<&Server> {
        let n = self.ids.iter().position(|own| own == id)?;
        self.nodes.get(n)
    }

    fn id_of(&self, node: &Server) -> &str {
        let n = self.nodes.iter().position(|own| own.port() == node.port()).expect("a node of this cluster");
        &self.ids[n]
    }

    /// Waits until all nodes agree that all are well, that all slots are served, and that each primary has a replica that follows.
    pub async fn whole(&self) {
        until("a cluster to be whole", || self.nodes.iter().all(|node| self.is_whole_for(node))).await;
    }

    fn is_whole_for(&self, node: &Server) -> bool {
        let said: Option<String> = node.command(&["CLUSTER", "INFO"]).ok();
        let lines = lines(node);
        let primaries = || lines.iter().filter(|line| line.is("master"));
        let followed = |primary: &Line| lines.iter().filter(|line| line.follows == primary.id).count() == 1;
        said.is_some_and(|said| said.contains("cluster_state:ok"))
            && lines.len() == 6
            && lines.iter().all(|line| {
                // A node does not check a link to itself.
                (line.connected || line.is("myself")) && !line.is("fail") && !line.is("fail?") && !line.is("handshake")
            })
            && primaries().count() == 3
            && primaries().all(|primary| followed(primary) && !primary.slots.is_empty())
            && self.has_all(node)
    }

    /// Whether a replica has all that its primary has written by now; a primary has.
    fn has_all(&self, node: &Server) -> bool {
        let written = |node: &Server| -> Option<u64> { node.info("master_repl_offset")?.parse().ok() };
        let Some(port) = node.info("master_port") else { return node.info("role").as_deref() == Some("master") };
        let Some(primary) = self.nodes.iter().find(|node| node.port().to_string() == port) else { return false };
        let by_now = written(primary);
        by_now.is_some() && node.info("master_link_status").as_deref() == Some("up") && written(node) >= by_now
    }

    /// Starts what was killed again; it finds its place by itself.
    pub async fn mend(&self) {
        for node in &self.nodes {
            if !node.is_running() {
                node.start_again().await;
            }
        }
        self.whole().await;
    }

    /// Moves a slot with its keys to another primary, one key at a time. In between, `halfway` is waited for: some keys are here,
    /// some there, and nodes answer ASK.
    pub async fn move_slot(&self, slot: u16, halfway: impl Future<Output = ()>) {
        let from = self.primary_of(slot).expect("a primary");
        let to = *self.primaries().iter().find(|node| node.port() != from.port()).expect("another primary");
        let (name, from_id, to_id) = (slot.to_string(), self.id_of(from).to_owned(), self.id_of(to).to_owned());
        to.tell(&["CLUSTER", "SETSLOT", &name, "IMPORTING", &from_id]);
        from.tell(&["CLUSTER", "SETSLOT", &name, "MIGRATING", &to_id]);
        let mut halfway = std::pin::pin!(halfway);
        let mut moved = 0;
        loop {
            let keys: Vec<Vec<u8>> =
                from.command(&["CLUSTER", "GETKEYSINSLOT", &name, "1"]).expect("the keys of the slot");
            let Some(key) = keys.first() else { break };
            let port = to.port().to_string();
            let words: [&[u8]; 6] = [b"MIGRATE", b"127.0.0.1", port.as_bytes(), key, b"0", b"2000"];
            from.command::<String>(&words).expect("a key to move");
            moved += 1;
            if moved == 1 {
                halfway.as_mut().await;
            }
        }
        for node in [to, from] {
            node.tell(&["CLUSTER", "SETSLOT", &name, "NODE", &to_id]);
        }
        for node in self.primaries() {
            node.tell(&["CLUSTER", "SETSLOT", &name, "NODE", &to_id]);
        }
    }
}

fn lines(node: &Server) -> Vec<Line> {
    let text: String = node.command(&["CLUSTER", "NODES"]).unwrap_or_default();
    text.lines().filter_map(Line::parse).collect()
}
