//! The window that stays open: new visitors whose very first record a failover takes back. How many those are, and how long before the
//! failover they were minted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wix_visitor::{HttpOptions, Site};
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Rotation, Sandbox, SandboxOptions};

use super::SentinelGroup;
use crate::instance::CLIENT_ID;

/// For how long visitors are minted before the primary is killed.
const BEFORE: Duration = Duration::from_millis(300);

/// Sentinels begin no second failover before twice their `failover-timeout` has passed.
const REST: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// How often the primary was killed.
    pub failovers: u32,
    /// How many visitors were served their first token before one of them.
    pub minted: u64,
    /// How many of those are another for an instance that never served them, and is asked first.
    pub replaced: u64,
    /// The longest that one of those had been served before the failover.
    pub longest: Duration,
}

/// Kills the primary so many times while new visitors are minted, with `wait_replicas` or without.
///
/// # Errors
/// Where a visitor could not be served once all was well again.
///
/// # Panics
/// When the servers cannot be started.
pub async fn window(waiting: bool, failovers: u32, tell: impl Fn(&Window)) -> Result<Window, String> {
    let group = SentinelGroup::start().await;
    let url = if waiting { format!("{}?wait_replicas=1", group.url()) } else { group.url() };
    let options = SandboxOptions::new().rotation(Rotation::Same);
    let sandbox = Arc::new(Sandbox::start_on_thread(options).map_err(|error| error.to_string())?);
    let mut window = Window::default();
    for _ in 0..failovers {
        group.whole().await;
        tokio::time::sleep(REST).await;
        let (here, there) = (site(&url, &sandbox).await?, site(&url, &sandbox).await?);
        let over = Arc::new(AtomicBool::new(false));
        let minting = tokio::spawn(mint(here.clone(), Arc::clone(&over)));
        tokio::time::sleep(BEFORE).await;
        let primary = group.primary().ok_or("no primary")?;
        let killed = Instant::now();
        primary.kill();
        over.store(true, Ordering::Relaxed);
        let minted = minting.await.map_err(|error| error.to_string())?;
        group.mend().await;
        for (key, token, served) in minted.into_iter().filter(|(.., served)| *served <= killed) {
            let seen = there.visitor(&key).authorization().await.map_err(|error| error.to_string())?;
            let whose = |token: &[u8]| sandbox.identity_of(&String::from_utf8_lossy(token)).ok().flatten();
            window.minted += 1;
            if whose(seen.as_ref()) != whose(&token) {
                window.replaced += 1;
                window.longest = window.longest.max(killed.saturating_duration_since(served));
            }
        }
        window.failovers += 1;
        tell(&window);
        // What the first had in memory is of no more interest.
        drop(here);
    }
    Ok(window)
}

/// New visitors, one after the other: their keys, their first tokens, and when those were served.
async fn mint(site: Site, over: Arc<AtomicBool>) -> Vec<(String, Vec<u8>, Instant)> {
    let mut minted = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let key = secret_key("newcomer");
        if let Ok(authorization) = site.visitor(&key).authorization().await {
            minted.push((key, authorization.as_ref().to_vec(), Instant::now()));
        }
    }
    minted
}

async fn site(url: &str, sandbox: &Sandbox) -> Result<Site, String> {
    let store = wix_visitor::open_store(url).await.map_err(|error| error.to_string())?;
    wix_visitor::builder(CLIENT_ID)
        .store(crate::sealing::as_asked(store))
        .http(HttpOptions::new().base_url(sandbox.url()))
        .connect()
        .await
        .map_err(|error| error.to_string())
}
