//! Redis as the conformance suite needs it: it crashes, fails, harms records and lets time pass, for real.

use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::{StoreError, StoreKey, TokenStore, async_trait};
use wix_visitor_redis::{RedisOptions, RedisStore};
use wix_visitor_testkit::conformance::{Damage, StoreFixture};
use wix_visitor_tests::redis::{Cluster, SentinelGroup, Server, until};
use wix_visitor_tests::{sealing, trace};

/// What the store's own prefix is unless set.
const PREFIX: &str = "wix-visitor:";

/// How a store is handed over.
#[derive(Clone, Copy)]
pub(crate) enum As {
    Value,
    Boxed,
    Shared,
    Sealed,
}

/// What the records are on.
pub(crate) enum Servers {
    One(Box<Server>),
    Group(Box<SentinelGroup>),
    Cluster(Box<Cluster>),
}

impl Servers {
    /// Who has the record, or would.
    fn primary(&self, name: &str) -> &Server {
        match self {
            Self::One(server) => server,
            Self::Group(group) => group.primary().expect("a primary"),
            Self::Cluster(cluster) => cluster.primary_of(cluster.slot(name)).expect("a primary"),
        }
    }

    fn primaries(&self) -> Vec<&Server> {
        match self {
            Self::One(server) => vec![server],
            Self::Group(group) => vec![group.primary().expect("a primary")],
            Self::Cluster(cluster) => cluster.primaries(),
        }
    }
}

/// Servers, and how they are reached.
pub(crate) struct Redis {
    pub(crate) servers: Servers,
    pub(crate) handed: As,
    options: RedisOptions,
    /// Over a connection that the suite opens, instead of the store's own.
    given: bool,
}

impl Redis {
    pub(crate) fn new(servers: Servers, options: RedisOptions) -> Self {
        trace::to_stderr();
        let options = options.timeout(DEADLINE);
        Self { servers, handed: As::Value, options, given: false }
    }

    pub(crate) fn on(server: Server) -> Self {
        let options = RedisOptions::from_url(&server.url()).unwrap();
        Self::new(Servers::One(Box::new(server)), options)
    }

    pub(crate) fn handed(mut self, handed: As) -> Self {
        self.handed = handed;
        self
    }

    pub(crate) fn over_a_given_connection(mut self) -> Self {
        self.given = true;
        self
    }

    async fn connect(&self) -> Result<RedisStore, StoreError> {
        if !self.given {
            return self.options.clone().connect().await;
        }
        let Servers::One(server) = &self.servers else { panic!("one server") };
        let client = redis::Client::open(server.url()).expect("a URL");
        let connection = client.get_multiplexed_async_connection().await.expect("a connection");
        RedisOptions::connection(connection).timeout(DEADLINE).connect().await
    }
}

const DEADLINE: Duration = Duration::from_secs(2);

/// How many replicas no primary has.
const TOO_MANY: &str = "100";

#[async_trait]
impl StoreFixture for Redis {
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        let store = self.connect().await?;
        Ok(match self.handed {
            As::Value => Arc::new(store),
            As::Boxed => Arc::new(Box::new(store) as Box<dyn TokenStore>),
            As::Sealed => sealing::sealed(store),
            As::Shared => Arc::new(Arc::new(store) as Arc<dyn TokenStore>),
        })
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    async fn after_crash(&self) -> Option<Result<Arc<dyn TokenStore>, StoreError>> {
        match &self.servers {
            Servers::One(server) => {
                server.kill();
                server.start_again().await;
            }
            // Here a crash is one that another server takes over from.
            Servers::Group(group) => {
                let old = group.primary().expect("a primary");
                old.kill();
                until("a new primary", || group.primary().is_some_and(|now| now.port() != old.port())).await;
                group.mend().await;
            }
            Servers::Cluster(cluster) => {
                for old in cluster.primaries() {
                    // What a replica has not got yet is a failover's loss, not a crash's; and one that is just being filled anew must
                    // not be the one that takes over.
                    cluster.whole().await;
                    old.kill();
                    let replaced = || {
                        let now = cluster.primaries();
                        now.len() == 3 && now.iter().all(|now| now.port() != old.port())
                    };
                    until("a new primary", replaced).await;
                    cluster.mend().await;
                }
            }
        }
        Some(self.open().await)
    }

    async fn damage(&self, key: &StoreKey, damage: Damage) -> bool {
        let name = format!("{PREFIX}{}", key.as_str());
        let server = self.servers.primary(&name);
        let mut value: Vec<u8> = server.command(&["GET", &name]).expect("the record");
        match damage {
            Damage::CutShort => drop(value.pop()),
            Damage::Emptied => value.clear(),
            Damage::FlippedBit => value[30] ^= 4,
            _ => return false,
        }
        let words: [&[u8]; 4] = [b"SET", name.as_bytes(), &value, b"KEEPTTL"];
        server.command::<String>(&words).is_ok()
    }

    async fn begin_outage(&self) -> bool {
        match &self.servers {
            Servers::One(server) => server.freeze(),
            // A frozen primary would have a successor before the deadline. This one takes no writes, which loads count as.
            Servers::Group(_) | Servers::Cluster(_) => {
                for primary in self.servers.primaries() {
                    primary.tell(&["CONFIG", "SET", "min-replicas-to-write", TOO_MANY]);
                }
            }
        }
        true
    }

    async fn end_outage(&self) {
        match &self.servers {
            Servers::One(server) => server.thaw(),
            Servers::Group(_) | Servers::Cluster(_) => {
                for primary in self.servers.primaries() {
                    primary.tell(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
                }
            }
        }
    }

    /// What time does to a record in Redis is that less of it is left, and that at its end the record goes.
    async fn pass(&self, time: Duration) -> bool {
        for server in self.servers.primaries() {
            let names: Vec<String> = server.command(&["KEYS", &format!("{PREFIX}*")]).expect("the records");
            for name in names {
                let left: i64 = server.command(&["PTTL", &name]).expect("the time left");
                // It may have gone by itself meanwhile; what has no end stays.
                if left >= 0 {
                    let left = left - i64::try_from(time.as_millis()).expect("not so long");
                    server.tell(&["PEXPIRE", &name, &left.to_string()]);
                }
            }
        }
        true
    }
}
