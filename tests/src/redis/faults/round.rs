//! One fault, once: before, while it lasts, and after.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Fault;
use super::fleet::{Fleet, open};
use super::tally::{Shared, Tally};
use super::workers::Workers;
use crate::cart;
use crate::redis::Patience;

/// Brings the fault about so many times, and says what came of it. `tell` hears of each round.
pub async fn rounds(fault: &dyn Fault, count: u32, tell: impl Fn(&Tally)) -> Tally {
    let tally = Arc::new(Shared::default());
    fault.whole().await;
    let mut fleet = Fleet::start(&fault.url()).await;
    let visitors = fleet.sandbox.mints();
    for _ in 0..count {
        if let Err(what) = round(fault, &fleet, &tally).await {
            tally.find(what);
        }
        let mut now = tally.lock();
        now.rounds += 1;
        now.minted = fleet.sandbox.mints() - visitors;
        now.lost += fleet.losses();
        tell(&now);
    }
    for site in &fleet.sites {
        if let Err(error) = site.shutdown().await {
            tally.find(format!("at the end: {error}"));
        }
    }
    tally.lock().clone()
}

async fn round(fault: &dyn Fault, fleet: &Fleet, tally: &Arc<Shared>) -> Result<(), String> {
    fleet.age().await?;
    let (newcomer, probe) = (fleet.newcomer().await, open(&fault.url()).await);
    // Whoever has acknowledged the last write has it on all replicas: what a failover may lose is what comes now.
    fault.whole().await;
    let workers = Workers::start(fleet, newcomer.clone(), probe, tally);

    let record = match fault.moment() {
        Some(step) => Some(fleet.stop_at(step).await.ok_or("nobody came to where the fault was to begin")?),
        None => None,
    };
    let begun = Instant::now();
    fault.begin(record.as_ref()).await;
    fleet.go();
    let recovered = if fault.heals() {
        let recovered = recovery(fleet, &workers, begun).await;
        sleep(fault.lasts().saturating_sub(begun.elapsed())).await;
        fault.end().await;
        recovered
    } else {
        sleep(fault.lasts()).await;
        fault.end().await;
        recovery(fleet, &workers, Instant::now()).await
    };
    fault.whole().await;
    // Also after the one who was away has come back.
    let after = recovery(fleet, &workers, Instant::now()).await;
    workers.finish().await;
    // What these two did not save dies with them, as it would with their processes.
    let _ = newcomer.shutdown().await;
    tally.lock().recoveries.push(recovered.ok_or("not everybody renewed within half a minute of the fault")?);
    after.ok_or("not everybody renewed within half a minute of the end of the fault")?;
    everybody_is_who_they_were(fleet).await
}

/// How long after this moment it took until everybody had renewed, on every instance, and all of it was saved.
async fn recovery(fleet: &Fleet, workers: &Workers, since: Instant) -> Option<Duration> {
    let patience = Patience::default();
    while !(workers.all_renewed_since(since) && fleet.is_saved().await) {
        if !patience.lasts().await {
            return None;
        }
    }
    Some(since.elapsed())
}

/// By what is in the store, and by what the instances hold.
async fn everybody_is_who_they_were(fleet: &Fleet) -> Result<(), String> {
    let stranger = fleet.newcomer().await;
    for site in std::iter::once(&stranger).chain(&fleet.sites) {
        for member in &fleet.members {
            let visitor = site.visitor(&member.key);
            let served = visitor.authorization().await;
            let renewed = visitor.renew().await;
            for answer in [served, renewed] {
                let answer = answer.map_err(|error| format!("all is well again, and a call failed: {error}"))?;
                if fleet.identity(&answer) != member.identity || answer.lost().is_some() {
                    return Err("a visitor is another".into());
                }
            }
            if cart::look(&visitor).await.ok().flatten().as_ref() != Some(&member.cart) {
                return Err("a visitor has another cart, or none".into());
            }
        }
    }
    stranger.shutdown().await.map_err(|error| format!("all is well again, and not all was saved: {error}"))
}
