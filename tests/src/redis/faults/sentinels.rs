//! What befalls a group with Sentinels.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wix_visitor_core::async_trait;

use super::Fault;
use crate::redis::{SentinelGroup, until};

/// Each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Harm {
    PrimaryKilled,
    PrimaryFrozen,
    SentinelFrozen,
    PrimaryKilledAndSentinelFrozen,
}

impl Harm {
    /// All.
    pub const ALL: [Self; 4] =
        [Self::PrimaryKilled, Self::PrimaryFrozen, Self::SentinelFrozen, Self::PrimaryKilledAndSentinelFrozen];
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
}

#[async_trait]
impl Fault for Watched {
    fn name(&self) -> &'static str {
        match self.harm {
            Harm::PrimaryKilled => "Sentinel: primary killed",
            Harm::PrimaryFrozen => "Sentinel: primary frozen, goes on as one of two",
            Harm::SentinelFrozen => "Sentinel: first sentinel frozen, connections cut",
            Harm::PrimaryKilledAndSentinelFrozen => "Sentinel: primary killed, first sentinel frozen",
        }
    }

    fn url(&self) -> String {
        self.group.url()
    }

    fn heals(&self) -> bool {
        true
    }

    async fn begin(&self) {
        let primary = self.group.primary().expect("a primary");
        *self.port.lock().unwrap_or_else(PoisonError::into_inner) = Some(primary.port());
        match self.harm {
            Harm::PrimaryKilled => primary.kill(),
            Harm::PrimaryFrozen => primary.freeze(),
            Harm::SentinelFrozen => {
                self.group.sentinels()[0].freeze();
                primary.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            }
            Harm::PrimaryKilledAndSentinelFrozen => {
                self.group.sentinels()[0].freeze();
                primary.kill();
            }
        }
    }

    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    async fn end(&self) {
        let harmed = self.port.lock().unwrap_or_else(PoisonError::into_inner).take();
        match self.harm {
            Harm::PrimaryKilled => {}
            Harm::PrimaryFrozen => {
                until("a new primary", || self.group.primary().is_some_and(|now| Some(now.port()) != harmed)).await;
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
