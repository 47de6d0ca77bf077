//! `migrate`: all visitors from one store to another.

use serde_json::json;
use wix_visitor::{PlainRecords, read_key_ring};

use crate::args::{MigrateArgs, SiteArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Console, Out};
use crate::progress::{Bar, of_store, passed_over};
use crate::setup::client_id;
use crate::store_choice::{Sealing, StoreChoice};

/// How often it goes over the store to see that all is there. Where instances write all the time, it never is.
const PASSES: usize = 3;

pub(super) async fn run(options: &MigrateArgs, args: &SiteArgs, console: Console) -> Result<Exit, Failure> {
    if options.from.expose().trim() == options.to.expose().trim() {
        return Err(Failure::usage("--from and --to name the same store"));
    }
    let sealing = Sealing::of(args)?;
    let opened_by = match &options.from_keys {
        Some(path) => Some(read_key_ring(path)?),
        None => sealing.as_ref().map(|sealing| sealing.ring.clone()),
    };
    // What is not sealed there is what may be to be sealed here.
    let opened_by = opened_by.map(|ring| Sealing { ring, plain: PlainRecords::Read });
    let from = StoreChoice::at(&options.from, opened_by)?;
    let to = StoreChoice::at(&options.to, sealing)?;
    if [&from, &to].iter().any(|store| store.label().kind == "memory") {
        return Err(Failure::usage(
            "a memory: store is this process's own, so there is nothing to bring from it or to it",
        ));
    }
    let mut housekeeper = from.housekeeper().await?;
    if args.client_id.is_some() {
        housekeeper = housekeeper.site(client_id(args)?);
    }
    let to = to.open().await?;
    for warning in to.warnings() {
        console.warning("store", &warning);
    }
    let (mut copied, mut updated) = (0, 0);
    let mut pass = 0;
    let done = loop {
        pass += 1;
        let bar = Bar::new(if pass == 1 { "copying" } else { "verifying" }, console);
        let done = bar.follow(housekeeper.clone()).migrate(to.clone()).await.map_err(of_store)?;
        copied += done.copied;
        updated += done.updated;
        if done.is_settled() || done.failed.count > 0 || pass == PASSES {
            break done;
        }
    };
    let verified = done.is_settled();
    let (there, failed) = (done.there, done.failed.count);
    let mut out = Out::new();
    if console.is_json() {
        let told = json!({
            "copied": copied, "updated": updated, "there": there, "failed": failed, "verified": verified,
        });
        out.json(&told).await?;
    } else {
        let verdict = if verified { format!(", and a last look found all {there} there") } else { String::new() };
        out.line(&format!("{copied} records copied, {updated} updated{verdict}")).await?;
    }
    passed_over(&done.failed, console)?;
    if !verified {
        let told =
            "records are still being written in the old store: run this once more when no instance uses it any longer";
        console.notice("migrate", told);
    }
    Ok(Exit::Done)
}
