//! An open connection, whatever it is to: a server, a cluster, or what the application handed over.

use std::future::Future;
use std::pin::Pin;

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::broadcast::Receiver;

use crate::ears::Heard;

pub(crate) type Answer<'a, T = Value> = Pin<Box<dyn Future<Output = RedisResult<T>> + Send + 'a>>;

/// A server that has some of the keys.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// One of its slots, where there are any.
    pub(crate) slot: u16,
    /// What it is called, and which keys it has.
    pub(crate) name: String,
}

/// Many may ask at once; who stops waiting harms nobody.
pub(crate) trait Wire: Send + Sync + 'static {
    fn ask<'a>(&'a self, command: &'a Cmd) -> Answer<'a>;

    /// The same for a command that only reads, while so many operations are under way.
    fn read<'a>(&'a self, command: &'a Cmd, under_way: usize) -> Answer<'a> {
        let _ = under_way;
        self.ask(command)
    }

    /// Asks each server that holds records.
    fn ask_each<'a>(&'a self, command: &'a Cmd) -> Answer<'a, Vec<Value>> {
        Box::pin(async move { Ok(vec![self.ask(command).await?]) })
    }

    /// The servers that have keys, in an order; `None` on a connection of which that is not known.
    fn parts(&self) -> Option<Answer<'_, Vec<Part>>> {
        None
    }

    /// Asks one of them.
    fn ask_part<'a>(&'a self, part: &'a Part, command: &'a Cmd) -> Answer<'a> {
        let _ = part;
        self.ask(command)
    }

    /// Hears what is published on these channels from now on; `None` on a connection that cannot.
    fn subscribe<'a>(&'a self, channels: [&'a str; 2]) -> Option<Answer<'a, Receiver<Heard>>> {
        let _ = channels;
        None
    }

    /// Whether it leads to one server, which must have every key.
    fn is_to_one_server(&self) -> bool {
        false
    }

    /// Whether it is known to be of no more use.
    fn is_closed(&self) -> bool {
        false
    }
}

/// A connection that the application opened, and cares for.
pub(crate) struct Given<C>(pub(crate) C);

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Wire for Given<C> {
    fn ask<'a>(&'a self, command: &'a Cmd) -> Answer<'a> {
        let mut connection = self.0.clone();
        Box::pin(async move { connection.req_packed_command(command).await?.extract_error() })
    }
}
