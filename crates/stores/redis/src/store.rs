//! [`TokenStore`] over Redis: each operation is tried until it succeeds, fails for good, or its time is over.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, Value};
use tokio::time::{Instant, sleep, timeout_at};
use wix_visitor_core::{
    Changes, ClientId, Cursor, Etag, Exchange, Page, Purged, StoreError, StoreErrorKind, StoreKey, Stored, Timestamp,
    TokenStore, async_trait,
};

use crate::checkup;
use crate::config::{Place, RedisOptions};
use crate::error::{Failure, Next, error, misconfigured};
use crate::link::{Link, Live};
use crate::listing;
use crate::pace::Pace;
use crate::replicas::{Lane, Replicas};
use crate::swap::{self, Answered, Swap};
use crate::value;
use crate::watch;
use crate::wire::{Answer, Given, Wire};

/// Visitors in Redis. Clones share the connections.
///
/// What survives is said in the [crate's documentation](crate).
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    place: String,
    prefix: String,
    timeout: Duration,
    link: Link,
    replicas: Option<Replicas>,
    warnings: Vec<String>,
}

impl RedisStore {
    /// Connects to what a URL names: see [`RedisOptions::from_url`].
    ///
    /// # Errors
    /// Those of [`RedisOptions::from_url`] and [`RedisOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        RedisOptions::from_url(url)?.connect().await
    }

    /// Over a connection that the application has, with the defaults of [`RedisOptions::connection`]. Nothing is sent yet.
    pub fn with_connection<C: ConnectionLike + Clone + Send + Sync + 'static>(connection: C) -> Self {
        let wire: Arc<dyn Wire> = Arc::new(Given(connection));
        Self::new(RedisOptions::at(Place::Given(Arc::clone(&wire))), Link::given(wire), None, Vec::new())
    }

    pub(crate) async fn start(options: RedisOptions) -> Result<Self, StoreError> {
        needs_runtime()?;
        let (link, replicas) = options.links()?;
        let until = Instant::now() + options.timeout;
        let live = link.get(until).await?;
        let looked = timeout_at(until, checkup::look(&live)).await;
        let warnings = looked.unwrap_or_else(|_| vec![checkup::NOT_SEEN.to_owned()]);
        for warning in &warnings {
            tracing::warn!(place = %options.place, "{warning}");
        }
        Ok(Self::new(options, link, replicas, warnings))
    }

    fn new(options: RedisOptions, link: Link, replicas: Option<Replicas>, warnings: Vec<String>) -> Self {
        let RedisOptions { place, prefix, timeout, .. } = options;
        Self(Arc::new(Inner { place: place.to_string(), prefix, timeout, link, replicas, warnings }))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { place, prefix, timeout, .. } = &*self.0;
        f.debug_struct("RedisStore")
            .field("place", place)
            .field("prefix", prefix)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for RedisStore {
    /// What was found wrong with how the servers are set up, when the store connected: each a sentence, and logged once.
    fn warnings(&self) -> Vec<String> {
        self.0.warnings.clone()
    }

    async fn watch(&self, site: &ClientId, changes: &Changes) -> Result<Infallible, StoreError> {
        needs_runtime()?;
        let Inner { link, prefix, timeout, .. } = &*self.0;
        watch::watch(link, prefix, *timeout, site, changes).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let inner = &*self.0;
        let name = inner.name(key);
        let mut tries = Tries::begin(inner.timeout)?;
        loop {
            let live = inner.link.get(tries.until).await?;
            let failure = match tries.load(&live, &name).await {
                Ok(Value::Nil) => return Ok(None),
                Ok(Value::BulkString(standing)) => return value::read(key, standing).map(Some),
                Ok(_) => Failure::nonsense(),
                Err(failure) => failure,
            };
            tries.next(&inner.link, &live, failure).await.map_err(|e| of_record(key, e))?;
        }
    }

    async fn compare_exchange(
        &self,
        key: &StoreKey,
        expected: Option<&Etag>,
        new: &Stored,
        keep: Duration,
    ) -> Result<Exchange, StoreError> {
        let inner = &*self.0;
        if new.bytes.len() > Stored::MAX_SEALED_BYTES {
            let size = new.bytes.len();
            let message = format!("a record of {size} bytes is larger than the {} a store keeps", Stored::MAX_BYTES);
            return Err(error(StoreErrorKind::Unsupported, message));
        }
        let channel = watch::channel(&inner.prefix, key);
        let name = inner.name(key);
        let swap = Swap::new(&name, key, expected, new, keep, inner.replicas.is_some(), channel);
        let mut tries = Tries::begin(inner.timeout)?;
        let (link, mut lane) = inner.to_write(tries.until).await?;
        loop {
            let live = link.get(tries.until).await.map_err(|e| tries.of_write(e))?;
            match tries.swap(&live, &swap, lane.as_mut()).await {
                Ok(Err(damaged)) => return Err(damaged),
                Ok(Ok(Answered::Swapped)) => return Ok(Exchange::Swapped),
                // Ours, or that of an earlier call: only in the latter case is it news.
                Ok(Ok(Answered::OwnStands)) if tries.maybe_applied => return Ok(Exchange::Swapped),
                Ok(Ok(Answered::OwnStands)) => return Ok(Exchange::Conflict(Some(new.clone()))),
                Ok(Ok(Answered::Conflict(_))) if tries.maybe_applied => {
                    return Err(error(
                        StoreErrorKind::Unknown,
                        "a write got no answer, and when it was repeated another record stood there: it may have been applied \
                         and replaced since, or never",
                    ));
                }
                Ok(Ok(Answered::Conflict(standing))) => return Ok(Exchange::Conflict(standing)),
                Err(failure) => {
                    tries.next(&link, &live, failure).await.map_err(|e| tries.of_write(of_record(key, e)))?;
                }
            }
        }
    }

    async fn list(&self, site: Option<&ClientId>, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let inner = &*self.0;
        let mut tries = Tries::begin(inner.timeout)?;
        loop {
            let live = inner.link.get(tries.until).await?;
            let page = listing::page(&*live.wire, &inner.prefix, site, from, most);
            match timeout_at(tries.until, page).await.unwrap_or_else(|_| Err(Failure::silence())) {
                Ok(page) => return Ok(page),
                Err(failure) => tries.next(&inner.link, &live, failure).await?,
            }
        }
    }

    async fn purge(&self, _moment: Timestamp, _from: Option<&Cursor>, _most: usize) -> Result<Purged, StoreError> {
        let message = "there is nothing to purge: Redis drops what is over by itself";
        Err(error(StoreErrorKind::Unsupported, message))
    }

    /// Writes what stands at the key once more; where nothing does, something that expires in the same moment.
    async fn health(&self, key: &StoreKey, _bytes: usize) -> Result<(), StoreError> {
        let inner = &*self.0;
        let command = swap::try_out(&inner.name(key));
        let mut tries = Tries::begin(inner.timeout)?;
        let (link, mut lane) = inner.to_write(tries.until).await?;
        loop {
            let live = link.get(tries.until).await?;
            match tries.write(&live, &command, lane.as_mut()).await {
                Ok(()) => return Ok(()),
                Err(failure) => tries.next(&link, &live, failure).await.map_err(|e| of_record(key, e))?,
            }
        }
    }
}

impl Inner {
    /// What a write goes by: a connection of its own where replicas are waited for.
    async fn to_write(&self, until: Instant) -> Result<(Link, Option<Lane<'_>>), StoreError> {
        Ok(match &self.replicas {
            Some(replicas) => {
                let lane = replicas.take(until).await?;
                (lane.link.clone(), Some(lane))
            }
            None => (self.link.clone(), None),
        })
    }

    fn name(&self, key: &StoreKey) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_str().as_bytes()].concat()
    }
}

/// The tries of one operation.
struct Tries {
    until: Instant,
    pace: Pace,
    maybe_applied: bool,
}

impl Tries {
    fn begin(timeout: Duration) -> Result<Self, StoreError> {
        needs_runtime()?;
        Ok(Self { until: Instant::now() + timeout, pace: Pace::new(), maybe_applied: false })
    }

    async fn ask(&self, live: &Live, command: &Cmd) -> Result<Value, Failure> {
        self.answer(live, live.wire.ask(command)).await
    }

    async fn answer(&self, live: &Live, answer: Answer<'_>) -> Result<Value, Failure> {
        match timeout_at(self.until, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => {
                let failure = Failure::from(e);
                let lost = failure.is("MOVED") && live.wire.is_to_one_server();
                Err(if lost { Failure::of_a_cluster() } else { failure })
            }
            Err(_) => Err(Failure::silence()),
        }
    }

    /// By a command that counts as a write: see the module `swap`.
    async fn load(&self, live: &Live, name: &[u8]) -> Result<Value, Failure> {
        let mut command = Cmd::with_capacity(2, 5 + name.len());
        command.arg("GETEX").arg(name);
        match self.answer(live, live.wire.read(&command, live.users())).await {
            // A primary that cannot save can still read.
            Err(failure) if failure.is("MISCONF") => self.ask(live, &swap::read_without_saving(name)).await,
            answer => answer,
        }
    }

    async fn swap(
        &self,
        live: &Live,
        swap: &Swap<'_>,
        mut lane: Option<&mut Lane<'_>>,
    ) -> Result<Result<Answered, StoreError>, Failure> {
        if let Some(lane) = &mut lane {
            lane.begin(live);
        }
        let mut answer = self.ask(live, &swap.by_hash()).await;
        if answer.as_ref().is_err_and(|failure| failure.is("NOSCRIPT")) {
            answer = self.ask(live, &swap.in_full()).await;
        }
        let answered = swap.read(answer?)?;
        if let Some(lane) = lane {
            if let Ok(Answered::Swapped | Answered::OwnStands) = answered {
                lane.wait(live, self.until).await?;
            }
            lane.done();
        }
        Ok(answered)
    }

    async fn write(&self, live: &Live, command: &Cmd, mut lane: Option<&mut Lane<'_>>) -> Result<(), Failure> {
        if let Some(lane) = &mut lane {
            lane.begin(live);
        }
        if self.ask(live, command).await? != Value::Okay {
            return Err(Failure::nonsense());
        }
        if let Some(lane) = lane {
            lane.wait(live, self.until).await?;
            lane.done();
        }
        Ok(())
    }

    /// Prepares the next try, or says with which error this was the last.
    async fn next(&mut self, link: &Link, live: &Live, failure: Failure) -> Result<(), StoreError> {
        self.maybe_applied |= failure.maybe_applied;
        if failure.next == Next::Reconnect {
            link.spoil(live);
        }
        let pause = self.pace.next();
        if failure.next == Next::GiveUp || Instant::now() + pause >= self.until {
            return Err(failure.into_error());
        }
        sleep(pause).await;
        Ok(())
    }

    /// What is to be said of a write that ends with this error.
    fn of_write(&self, last: StoreError) -> StoreError {
        if !self.maybe_applied || last.kind() == StoreErrorKind::Unknown {
            return last;
        }
        let message =
            "a write was sent and its answer is missing: it may have been applied, or may yet be; repeating it is safe";
        error(StoreErrorKind::Unknown, message).with_source(last)
    }
}

/// Says whose record it is that cannot be read.
fn of_record(key: &StoreKey, failure: StoreError) -> StoreError {
    if failure.kind() != StoreErrorKind::Corrupt {
        return failure;
    }
    let visitor = key.visitor_id();
    let message =
        format!("something else than a record stands at the key of visitor {visitor}; restore it, or delete that key");
    error(StoreErrorKind::Corrupt, message).with_source(failure)
}

fn needs_runtime() -> Result<(), StoreError> {
    tokio::runtime::Handle::try_current()
        .map(drop)
        .map_err(|_| misconfigured("there is no tokio runtime here: use the store within one"))
}
