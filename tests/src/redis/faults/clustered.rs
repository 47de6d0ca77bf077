//! What befalls a Cluster.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wix_visitor_core::{StoreKey, async_trait};

use super::Fault;
use crate::halting::Step;
use crate::redis::{Cluster, Server, until};

/// What the store's keys begin with.
const PREFIX: &str = "wix-visitor:";

/// Each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Harm {
    /// At any moment, or at this step of the protocol.
    PrimaryKilled(Option<Step>),
    PrimaryFrozen,
    SlotsMoved,
    PrimaryDemoted,
}

impl Harm {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::PrimaryKilled(None),
        Self::PrimaryFrozen,
        Self::SlotsMoved,
        Self::PrimaryDemoted,
        Self::PrimaryKilled(Some(Step::BeforeCommit)),
        Self::PrimaryKilled(Some(Step::AfterCommit)),
    ];
}

/// A cluster, which others may use after us, and what is to befall it.
#[derive(Debug)]
pub struct Clustered {
    cluster: Arc<Cluster>,
    harm: Harm,
    /// A slot of the primary that was harmed, and the primary.
    harmed: Mutex<Option<(u16, u16)>>,
}

impl Clustered {
    /// This harm to this cluster.
    pub fn new(cluster: &Arc<Cluster>, harm: Harm) -> Self {
        Self { cluster: Arc::clone(cluster), harm, harmed: Mutex::default() }
    }

    /// The primary with the most records.
    fn busiest(&self) -> &Server {
        let records = |node: &&Server| node.command::<u64>(&["DBSIZE"]).unwrap_or(0);
        self.cluster.primaries().into_iter().max_by_key(records).expect("a primary")
    }

    /// The slots of all its records.
    fn slots(&self, node: &Server) -> Vec<u16> {
        let keys: Vec<String> = node.command(&["KEYS", "*"]).expect("its keys");
        let mut slots: Vec<_> = keys.iter().map(|key| self.cluster.slot(key)).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }
}

#[async_trait]
impl Fault for Clustered {
    fn name(&self) -> &'static str {
        match self.harm {
            Harm::PrimaryKilled(None) => "Cluster: primary killed",
            Harm::PrimaryKilled(Some(Step::AfterCommit)) => "Cluster: primary killed just after a commit",
            Harm::PrimaryKilled(Some(_)) => "Cluster: primary killed between a claim and its commit",
            Harm::PrimaryFrozen => "Cluster: primary frozen",
            Harm::SlotsMoved => "Cluster: slots moved",
            Harm::PrimaryDemoted => "Cluster: live primary demoted by an operator",
        }
    }

    fn url(&self) -> String {
        self.cluster.url()
    }

    fn heals(&self) -> bool {
        true
    }

    fn moment(&self) -> Option<Step> {
        match self.harm {
            Harm::PrimaryKilled(moment) => moment,
            _ => None,
        }
    }

    async fn begin(&self, record: Option<&StoreKey>) {
        let its =
            record.and_then(|key| self.cluster.primary_of(self.cluster.slot(&format!("{PREFIX}{}", key.as_str()))));
        let busiest = its.unwrap_or_else(|| self.busiest());
        let slots = self.slots(busiest);
        *self.harmed.lock().unwrap_or_else(PoisonError::into_inner) = slots.first().map(|slot| (*slot, busiest.port()));
        match self.harm {
            Harm::PrimaryKilled(_) => busiest.kill(),
            Harm::PrimaryFrozen => busiest.freeze(),
            Harm::PrimaryDemoted => self.cluster.replica_of(busiest).tell(&["CLUSTER", "FAILOVER"]),
            Harm::SlotsMoved => {
                for slot in slots.into_iter().take(4) {
                    self.cluster.move_slot(slot, tokio::time::sleep(Duration::from_millis(300))).await;
                }
            }
        }
    }

    fn lasts(&self) -> Duration {
        match self.harm {
            // A node that is told to take over twice within four node timeouts takes its last election for the new one, and
            // wins nothing by it.
            Harm::PrimaryDemoted => Duration::from_secs(5),
            _ => Duration::ZERO,
        }
    }

    async fn end(&self) {
        let harmed = self.harmed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Harm::PrimaryFrozen | Harm::PrimaryDemoted, Some((slot, old))) = (self.harm, harmed) else { return };
        let replaced = || {
            let others = self.cluster.nodes().iter().filter(|node| node.port() != old);
            self.cluster.primary_by(others, slot).is_some_and(|now| now.port() != old)
        };
        until("a new primary", replaced).await;
        if self.harm == Harm::PrimaryFrozen {
            self.cluster.nodes().iter().find(|node| node.port() == old).expect("the old primary").thaw();
        }
    }

    async fn whole(&self) {
        self.cluster.mend().await;
    }
}
