//! A crowd of visitors who come once, among some who come again and again.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use wix_visitor_core::{
    ClientId, Etag, Exchange, Grant, GrantError, GrantReply, Policy, Secret, StoreError, StoreKey, Stored,
    TokenEndpoint, TokenStore, Visitors, async_trait,
};

use crate::keys;

/// How often each side is measured, in turns.
const ROUNDS: usize = 7;

/// Issues tokens as long as Wix's, and keeps nothing.
#[derive(Clone, Debug, Default)]
struct Issuer(Arc<AtomicU64>);

#[async_trait]
impl TokenEndpoint for Issuer {
    fn issuer(&self) -> &str {
        "https://issuer.invalid"
    }

    async fn grant(&self, _: &ClientId, _: &Grant, _: Duration) -> Result<GrantReply, GrantError> {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        let mut reply = GrantReply::default();
        reply.access_token = Some(Secret::new(&*format!("{n:01000}")));
        reply.refresh_token = Some(Secret::new(&*format!("{n:0700}")));
        reply.expires_in = Some(Duration::from_secs(4 * 3600));
        Ok(reply)
    }
}

/// Takes everything, and remembers nothing: what is measured is what the flow keeps. Whoever has been forgotten by the flow is new.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl TokenStore for Nowhere {
    async fn load(&self, _: &StoreKey) -> Result<Option<Stored>, StoreError> {
        Ok(None)
    }

    async fn compare_exchange(
        &self,
        _: &StoreKey,
        _: Option<&Etag>,
        _: &Stored,
        _: Duration,
    ) -> Result<Exchange, StoreError> {
        Ok(Exchange::Swapped)
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Crowd {
    /// How many bytes the process grew by, as the system counts them.
    pub grown: u64,
    /// How often a visitor who comes again and again had been forgotten.
    pub forgotten: u64,
    /// How long one of those takes after the crowd, to one on a site that had none: measured in turns, the middle one of the rounds.
    pub slower: f64,
}

/// So many visitors, one in a hundred of whom comes again and again, within a budget of bytes.
///
/// # Errors
/// Where the system does not say what a process takes.
///
/// # Panics
/// If the site cannot be set up, or a call fails.
pub async fn crowd(visitors: usize, budget: usize) -> Result<Crowd, std::io::Error> {
    let issuer = Issuer::default();
    let (site, alone) = (site(issuer.clone(), budget), site(Issuer::default(), budget));
    let keys = keys(visitors);
    let (regulars, crowd) = keys.split_at(visitors / 100);

    for key in regulars.iter().chain(regulars) {
        call(&alone, key).await;
    }
    let before = resident()?;
    for key in regulars.iter().chain(regulars) {
        call(&site, key).await;
    }
    let mut again = regulars.iter().cycle();
    for key in crowd {
        call(&site, key).await;
        call(&site, again.next().map_or("", String::as_str)).await;
    }
    let grown = resident()?.saturating_sub(before);
    let forgotten = issuer.0.load(Ordering::Relaxed).saturating_sub(visitors as u64);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (few, many) = (hits(&alone, regulars).await, hits(&site, regulars).await);
        rounds.push(many.as_secs_f64() / few.as_secs_f64());
    }
    rounds.sort_unstable_by(f64::total_cmp);
    Ok(Crowd { grown, forgotten, slower: rounds[rounds.len() / 2] })
}

#[expect(clippy::expect_used, reason = "a benchmark without a site has nothing to measure")]
fn site(issuer: Issuer, budget: usize) -> Visitors {
    let mut policy = Policy::default();
    // Nobody else writes here.
    policy.look_after = Duration::from_secs(24 * 3600);
    let client = ClientId::new("00000000-0000-4000-8000-000000000000").expect("a client id");
    Visitors::builder(client, issuer, Nowhere).policy(policy).snapshot_bytes(budget).build().expect("a site")
}

#[expect(clippy::expect_used, reason = "without a token there is nothing to measure")]
async fn call(site: &Visitors, key: &str) {
    site.visitor(key).authorization().await.expect("a token");
}

/// How long it takes to serve all of these once.
async fn hits(site: &Visitors, regulars: &[String]) -> Duration {
    let start = Instant::now();
    for key in regulars {
        call(site, key).await;
    }
    start.elapsed()
}

/// What this process has in memory, in bytes.
fn resident() -> Result<u64, std::io::Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| std::io::Error::other("no VmRSS in /proc/self/status"))
}
