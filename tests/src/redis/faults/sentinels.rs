//! What befalls a group with Sentinels.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wix_visitor_core::{StoreKey, async_trait};

use super::Fault;
use crate::halting::Step;
use crate::redis::sentinel::SERVICE;
use crate::redis::{SentinelGroup, until};

/// Each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Harm {
    /// At any moment, or at this step of the protocol.
    PrimaryKilled(Option<Step>),
    PrimaryFrozen,
    SentinelFrozen,
    PrimaryKilledAndSentinelFrozen,
    PrimaryDemoted,
}

impl Harm {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::PrimaryKilled(None),
        Self::PrimaryFrozen,
        Self::SentinelFrozen,
        Self::PrimaryKilledAndSentinelFrozen,
        Self::PrimaryDemoted,
        Self::PrimaryKilled(Some(Step::BeforeCommit)),
        Self::PrimaryKilled(Some(Step::AfterCommit)),
    ];
}

/// A group, which others may use after us, and what is to befall it.
#[derive(Debug)]
pub struct Watched {
    group: Arc<SentinelGroup>,
    harm: Harm,
    /// The primary that was harmed.
    port: Mutex<Option<u16>>,
}

impl Watched {
    /// This harm to this group.
    pub fn new(group: &Arc<SentinelGroup>, harm: Harm) -> Self {
        Self { group: Arc::clone(group), harm, port: Mutex::default() }
    }

    async fn replaced(&self, old: Option<u16>) {
        until("a new primary", || self.group.primary().is_some_and(|now| Some(now.port()) != old)).await;
    }
}

#[async_trait]
impl Fault for Watched {
    fn name(&self) -> &'static str {
        match self.harm {
            Harm::PrimaryKilled(None) => "Sentinel: primary killed",
            Harm::PrimaryKilled(Some(Step::AfterCommit)) => "Sentinel: primary killed just after a commit",
            Harm::PrimaryKilled(Some(_)) => "Sentinel: primary killed between a claim and its commit",
            Harm::PrimaryFrozen => "Sentinel: primary frozen, goes on as one of two",
            Harm::SentinelFrozen => "Sentinel: first sentinel frozen, connections cut",
            Harm::PrimaryKilledAndSentinelFrozen => "Sentinel: primary killed, first sentinel frozen",
            Harm::PrimaryDemoted => "Sentinel: live primary demoted by an operator",
        }
    }

    fn url(&self) -> String {
        self.group.url()
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

    async fn begin(&self, _: Option<&StoreKey>) {
        let primary = self.group.primary().expect("a primary");
        *self.port.lock().unwrap_or_else(PoisonError::into_inner) = Some(primary.port());
        match self.harm {
            Harm::PrimaryKilled(_) => primary.kill(),
            Harm::PrimaryFrozen => primary.freeze(),
            Harm::SentinelFrozen => {
                self.group.sentinels()[0].freeze();
                primary.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            }
            Harm::PrimaryKilledAndSentinelFrozen => {
                self.group.sentinels()[0].freeze();
                primary.kill();
            }
            Harm::PrimaryDemoted => self.group.sentinels()[0].tell(&["SENTINEL", "FAILOVER", SERVICE]),
        }
    }

    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    async fn end(&self) {
        let harmed = self.port.lock().unwrap_or_else(PoisonError::into_inner).take();
        match self.harm {
            Harm::PrimaryKilled(_) => {}
            Harm::PrimaryDemoted => self.replaced(harmed).await,
            Harm::PrimaryFrozen => {
                self.replaced(harmed).await;
                let old = self.group.servers().iter().find(|server| Some(server.port()) == harmed);
                old.expect("the old primary").thaw();
            }
            Harm::SentinelFrozen | Harm::PrimaryKilledAndSentinelFrozen => self.group.sentinels()[0].thaw(),
        }
    }

    async fn whole(&self) {
        self.group.mend().await;
    }
}
