//! Visitors in our stores: their keys, their records, and what is done to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use wix_visitor_core::{
    AccessToken, ClientId, Clock as _, Etag, Exchange, RefreshToken, Role, Secret, StoreKey, Stored, SystemClock,
    TokenStore, Tokens, Visitors,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::FakeEndpoint;

use crate::{Result, random::Random, sessions::LENGTHS, tasks::Turns};

/// How many there are in a store, unless that is what is measured.
pub(crate) const FEW: usize = 1_000;
const SITE: &str = "00000000-0000-4000-8000-000000000000";
/// How long an operation may take: on a busy disk too, it comes to its end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// As a visitor's is: one site, and a hash. Those of consecutive visitors have nothing to do with each other.
pub(crate) fn key(n: usize) -> Result<StoreKey> {
    let mut hash = Random(n as u64);
    let [a, b, c, d] = std::array::from_fn(|_| hash.next());
    Ok(StoreKey::parse(&format!("{SITE}/{a:016x}{b:016x}{c:016x}{d:016x}"))?)
}

/// As long as Wix's, and usable for as long: an access token that seemed to live longer would be renewed.
pub(crate) fn tokens() -> Tokens {
    let [access, refresh] = LENGTHS.map(|length| Secret::new("x".repeat(length)));
    let expires = SystemClock::default().wall() + Duration::from_secs(4 * 3600);
    Tokens::new(Some(AccessToken::new(access, expires)), Some(RefreshToken::new(refresh, Role::Visitor)))
}

/// What a store keeps of a visitor whose tokens are as long as Wix's: written by the flow itself.
pub(crate) async fn record() -> Result<Vec<u8>> {
    let store = MemoryStore::new();
    let client = ClientId::new(SITE)?;
    let site = Visitors::builder(client.clone(), FakeEndpoint::default(), store.clone()).build()?;
    site.visitor("default").set_tokens(tokens()).await?;
    let key = StoreKey::new(site.issuer(), &client, &Secret::new("default"));
    Ok(store.load(&key).await?.ok_or("the record is not there")?.bytes)
}

/// Some visitors in one of our stores.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) keys: Arc<[StoreKey]>,
    pub(crate) record: Arc<[u8]>,
    /// Of each visitor, how often it was written.
    versions: Arc<[AtomicU64]>,
}

impl Kept {
    /// None yet, and room for that many.
    pub(crate) async fn new(store: impl TokenStore, visitors: usize) -> Result<Self> {
        Ok(Self {
            store: Arc::new(store),
            keys: (0..visitors).map(key).collect::<Result<_>>()?,
            record: record().await?.into(),
            versions: (0..visitors).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// The whole of them.
    pub(crate) async fn filled(store: impl TokenStore, visitors: usize) -> Result<Self> {
        let kept = Self::new(store, visitors).await?;
        kept.fill(0, visitors).await?;
        Ok(kept)
    }

    /// Writes those from the one to the other, many at a time; in the order of their keys, in which a search tree is filled far faster.
    pub(crate) async fn fill(&self, from: usize, to: usize) -> Result {
        const TOGETHER: usize = 128;
        let mut order: Vec<_> = (from..to).collect();
        order.sort_unstable_by_key(|n| self.keys[*n].as_str());
        let order: Arc<[usize]> = order.into();
        let mut tasks = tokio::task::JoinSet::new();
        for first in 0..TOGETHER {
            let (kept, order) = (self.clone(), Arc::clone(&order));
            tasks.spawn(async move {
                let mut new = kept.new_record();
                for n in order.iter().skip(first).step_by(TOGETHER) {
                    kept.swap(*n, &mut new).await?;
                }
                Result::<_>::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }

    /// To be written under any etag.
    fn new_record(&self) -> Stored {
        Stored { etag: Etag::from_bits(0), bytes: self.record.to_vec() }
    }

    /// Loads a visitor.
    async fn load(&self, n: usize) -> Result {
        self.load_by(&self.keys[n]).await
    }

    /// Loads the visitor with this key.
    pub(crate) async fn load_by(&self, key: &StoreKey) -> Result {
        let found = (*self.store).load(key).await?;
        if found.is_none_or(|found| found.bytes.len() != self.record.len()) {
            return Err("what was written is not there".into());
        }
        Ok(())
    }

    /// Puts a new version in the place of the one that stands.
    async fn swap(&self, n: usize, new: &mut Stored) -> Result {
        let version = self.versions[n].load(Ordering::Relaxed);
        let standing = (version > 0).then(|| Etag::from_bits(version.into()));
        new.etag = Etag::from_bits((version + 1).into());
        let swapped = (*self.store).compare_exchange(&self.keys[n], standing.as_ref(), new, YEAR).await?;
        if swapped != Exchange::Swapped {
            return Err("somebody else has written here".into());
        }
        self.versions[n].store(version + 1, Ordering::Relaxed);
        Ok(())
    }

    /// How often visitors were written.
    pub(crate) fn written(&self) -> u64 {
        self.versions.iter().map(|version| version.load(Ordering::Relaxed)).sum()
    }

    /// A task that loads.
    pub(crate) fn loading(&self) -> impl Fn(Turns) -> std::pin::Pin<Box<dyn Future<Output = Result> + Send>> {
        let kept = self.clone();
        move |mut turns| {
            let kept = kept.clone();
            Box::pin(async move {
                while let Some(n) = turns.next().await {
                    kept.load(n).await?;
                }
                Ok(())
            })
        }
    }

    /// A task that swaps.
    pub(crate) fn swapping(&self) -> impl Fn(Turns) -> std::pin::Pin<Box<dyn Future<Output = Result> + Send>> {
        let kept = self.clone();
        move |mut turns| {
            let kept = kept.clone();
            Box::pin(async move {
                let mut new = kept.new_record();
                while let Some(n) = turns.next().await {
                    kept.swap(n, &mut new).await?;
                }
                Ok(())
            })
        }
    }
}
