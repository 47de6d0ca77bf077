//! A visitor of a site without a network.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use wix_visitor_core::{
    ClientId, Etag, Exchange, Grant, GrantError, GrantReply, Policy, StoreError, StoreKey, Stored, TokenEndpoint,
    TokenStore, Visitors, async_trait,
};

use crate::records::{LIFETIME, access, refresh};

/// Issues the same tokens to everybody.
#[derive(Debug)]
struct Issuer;

#[async_trait]
impl TokenEndpoint for Issuer {
    fn issuer(&self) -> &str {
        "https://issuer.invalid"
    }

    async fn grant(&self, _: &ClientId, _: &Grant, _: Duration) -> Result<GrantReply, GrantError> {
        let mut reply = GrantReply::default();
        (reply.access_token, reply.refresh_token) = (Some(access()), Some(refresh()));
        reply.expires_in = Some(LIFETIME);
        Ok(reply)
    }
}

/// Takes everything, and remembers nothing.
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

fn site() -> Visitors {
    let mut policy = Policy::default();
    // Nobody else writes here.
    policy.look_after = Duration::from_secs(24 * 3600);
    let client = ClientId::new("00000000-0000-4000-8000-000000000000").expect("a client id");
    Visitors::builder(client, Issuer, Nowhere).policy(policy).build().expect("a site")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// What is there without waiting.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

pub(crate) fn hit(times: u32) {
    let runtime = runtime();
    let visitor = site().visitor("default");
    runtime.block_on(visitor.authorization()).expect("a token");
    for _ in 0..times {
        drop(black_box(at_once(black_box(&visitor).authorization())));
    }
}

pub(crate) fn tokens(times: u32) {
    let runtime = runtime();
    let visitor = site().visitor("default");
    runtime.block_on(visitor.authorization()).expect("a token");
    for _ in 0..times {
        drop(black_box(at_once(black_box(&visitor).tokens())));
    }
}

pub(crate) fn key(times: u32) {
    let site = site();
    let keys: Vec<_> = (0..1_000).map(|n| format!("{n:032x}")).collect();
    for key in &keys {
        drop(site.visitor(key));
    }
    for key in keys.iter().cycle().take(usize::try_from(times).unwrap_or(usize::MAX)) {
        drop(black_box(site.visitor(black_box(key))));
    }
}
