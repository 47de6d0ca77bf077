//! What is counted at the allocator, in a program of its own: to count slows what is timed.
//!
//! `hit` prints how often 10,000 hits allocate; `bytes N` how many bytes each of so many visitors takes in memory, ours and moka's.

use std::{hint::black_box, sync::Arc, time::Duration};

use alloc_tracker::{Allocator, Session};
use wix_visitor_core::{
    Etag, Exchange, Grant, GrantError, GrantReply, Policy, Secret, StoreError, StoreKey, Stored, TokenEndpoint,
    TokenStore, Visitors, async_trait,
};

#[path = "../site.rs"]
#[allow(dead_code, reason = "the other programs need the rest")]
mod site;

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

fn main() -> Result {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["hit"] => hit(),
        ["bytes", visitors] => bytes(visitors.parse()?),
        _ => Err("usage: counts hit | counts bytes N".into()),
    }
}

fn hit() -> Result {
    const CALLS: u64 = 10_000;
    let runtime = site::runtime()?;
    let visitor = site::site()?.visitor("default");
    runtime.block_on(visitor.authorization())?;
    let session = Session::new().no_stdout().no_file();
    {
        let operation = session.operation("hit");
        let _span = operation.measure_thread().iterations(1);
        runtime.block_on(async {
            for _ in 0..CALLS {
                drop(black_box(black_box(&visitor).authorization().await));
            }
        });
    }
    let count: u64 = session.to_report().operations().map(|(_, operation)| operation.total_allocations_count()).sum();
    println!("{count}");
    Ok(())
}

fn bytes(visitors: u64) -> Result {
    let ours = live(|| {
        let mut policy = Policy::default();
        // Nobody else writes here.
        policy.look_after = Duration::from_secs(24 * 3600);
        let site = Visitors::builder(site::client_id()?, Issuer, Nowhere).policy(policy);
        // Room for twice as many, as in the other cache.
        let site = site.snapshot_bytes(visitors as usize * 2 * 2 * 1024).build()?;
        let runtime = site::runtime()?;
        for n in 0..visitors {
            runtime.block_on(site.visitor(key(n)).authorization())?;
        }
        Ok((site, runtime))
    })?;
    let moka = live(|| {
        let cache = moka::sync::Cache::new(2 * visitors);
        for n in 0..visitors {
            cache.insert(key(n), Arc::new((access(n), refresh(n))));
        }
        cache.run_pending_tasks();
        Ok(cache)
    })?;
    println!("{} {}", ours / visitors as f64, moka / visitors as f64);
    Ok(())
}

/// How many bytes this thread holds at most while `work` runs, which keeps what it made.
fn live<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let session = Session::new().no_stdout().no_file();
    let kept = {
        let operation = session.operation("live");
        let _span = operation.measure_thread().iterations(1);
        work()?
    };
    let report = session.to_report();
    drop(kept);
    let peak = report.operations().find_map(|(_, operation)| operation.peak_outstanding_bytes());
    peak.ok_or_else(|| "nothing was counted".into())
}

/// As a session's id.
fn key(n: u64) -> String {
    format!("{n:032x}")
}

/// As long as Wix's.
fn access(n: u64) -> String {
    format!("{n:01000}")
}

fn refresh(n: u64) -> String {
    format!("{n:0700}")
}

/// Issues tokens, and keeps nothing.
#[derive(Debug)]
struct Issuer;

#[async_trait]
impl TokenEndpoint for Issuer {
    fn issuer(&self) -> &str {
        "https://issuer.invalid"
    }

    async fn grant(&self, _: &wix_visitor_core::ClientId, _: &Grant, _: Duration) -> Result<GrantReply, GrantError> {
        let mut reply = GrantReply::default();
        reply.access_token = Some(Secret::new(access(0)));
        reply.refresh_token = Some(Secret::new(refresh(0)));
        reply.expires_in = Some(Duration::from_secs(4 * 3600));
        Ok(reply)
    }
}

/// Takes everything, and remembers nothing: what is measured is what the flow keeps.
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
