//! Every fault, so many times.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Fault, Tally, alone, clustered, rounds, sentinels};
use crate::redis::{Cluster, SentinelGroup};

/// How many faults are at work at the same time: each on servers of its own, and all on this machine.
const SIDE_BY_SIDE: usize = 5;

#[derive(Clone, Copy)]
enum Job {
    Alone(alone::Harm),
    Watched(sentinels::Harm),
    Clustered(clustered::Harm),
}

impl Job {
    /// Whether a round of it takes ten seconds and more: those begin first, so that none is left alone at the end.
    fn is_long(self) -> bool {
        matches!(self, Self::Alone(alone::Harm::Frozen) | Self::Watched(sentinels::Harm::PrimaryFrozen))
    }

    async fn start(self) -> Box<dyn Fault> {
        match self {
            Self::Alone(harm) => Box::new(alone::Alone::start(harm).await),
            Self::Watched(harm) => Box::new(sentinels::Watched::new(&Arc::new(SentinelGroup::start().await), harm)),
            Self::Clustered(harm) => Box::new(clustered::Clustered::new(&Arc::new(Cluster::start().await), harm)),
        }
    }
}

/// Brings each fault about so many times, and says in the end what came of it. `tell` hears of each round.
pub async fn campaign(times: u32, tell: impl Fn(&str, &Tally) + Clone + Send + Sync + 'static) -> Vec<(String, Tally)> {
    let jobs = alone::Harm::ALL.map(Job::Alone).into_iter();
    let jobs = jobs.chain(sentinels::Harm::ALL.map(Job::Watched)).chain(clustered::Harm::ALL.map(Job::Clustered));
    let mut jobs: Vec<_> = jobs.enumerate().collect();
    jobs.sort_by_key(|(_, job)| !job.is_long());
    let room = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut tasks = JoinSet::new();
    for (n, job) in jobs {
        let place = Arc::clone(&room).acquire_owned().await;
        let tell = tell.clone();
        tasks.spawn(async move {
            let _place = place;
            let fault = job.start().await;
            let tally = rounds(&*fault, times, |tally| tell(fault.name(), tally)).await;
            (n, fault.name().to_owned(), tally)
        });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(n, ..)| *n);
    done.into_iter().map(|(_, name, tally)| (name, tally)).collect()
}
