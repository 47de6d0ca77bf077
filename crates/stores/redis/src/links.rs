//! The connections of a store: one for all, a second one for loads while many are under way, and some for swaps that wait for replicas.
//!
//! The client has one task for each connection, which is what limits how many answers it takes in; two of them take in more. More than
//! two take no more than these from one server, which is one thread itself.

use std::time::Duration;

use tokio::time::Instant;
use wix_visitor_core::StoreError;

use crate::link::{Link, Live};
use crate::replicas::{Lane, Replicas};

pub(crate) struct Links {
    pub(crate) first: Link,
    /// Done without where it cannot be had.
    pub(crate) second: Option<Link>,
    pub(crate) replicas: Option<Replicas>,
}

impl Links {
    /// How many operations are under way by the first connection before loads go by the second.
    const MANY: usize = 8;
    /// The time between two tries to have the second.
    pub(crate) const REST: Duration = Duration::from_secs(5);

    pub(crate) fn only(first: Link) -> Self {
        Self { first, second: None, replicas: None }
    }

    /// What a load goes by, with the link that it is of: the connection by which less is under way.
    pub(crate) async fn to_read(&self, until: Instant) -> Result<(&Link, Live), StoreError> {
        let first = self.first.get(until).await?;
        let users = first.users();
        if users > Self::MANY
            && let Some(link) = &self.second
            && let Some(second) = link.at_hand()
            && second.users() < users
        {
            return Ok((link, second));
        }
        Ok((&self.first, first))
    }

    /// What a write goes by: a connection of its own where replicas are waited for.
    pub(crate) async fn to_write(&self, until: Instant) -> Result<(Link, Option<Lane<'_>>), StoreError> {
        Ok(match &self.replicas {
            Some(replicas) => {
                let lane = replicas.take(until).await?;
                (lane.link.clone(), Some(lane))
            }
            None => (self.first.clone(), None),
        })
    }
}
