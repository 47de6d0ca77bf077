//! `migrate`: all visitors from one store to another.

use serde_json::json;
use wix_visitor::{PlainRecords, read_key_ring};

use crate::args::{MigrateArgs, SiteArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Console, Out};
use crate::progress::{Bar, of_store, passed_over};
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
    // What is not sealed there is sealed here only if that was asked for: somebody else may have written it.
    let plain = sealing.as_ref().map_or(PlainRecords::Refused, |sealing| sealing.plain);
    let from = StoreChoice::at(&options.from, opened_by.map(|ring| Sealing { ring, plain }))?;
    let seals = sealing.as_ref().is_some_and(|sealing| sealing.plain == PlainRecords::Read);
    let to = StoreChoice::at(&options.to, sealing)?;
    if from.is_where(&to) {
        return Err(Failure::usage("--from and --to name the same store"));
    }
    if [&from, &to].iter().any(|store| store.label().kind == "memory") {
        return Err(Failure::usage(
            "a memory: store is this process's own, so there is nothing to bring from it or to it",
        ));
    }
    let housekeeper = from.housekeeper().await?;
    let place = to;
    let to = place.open().await?;
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
    if seals {
        // What an earlier migration without a ring brought there is as new, and is not sealed.
        let sealing = Bar::new("sealing", console);
        let sealed = sealing.follow(place.housekeeper().await?).reseal().await.map_err(of_store)?;
        passed_over(&sealed.failed, console)?;
    }
    if done.there == 0 && copied == 0 && done.failed.count == 0 {
        console
            .warning("store", "the old store is empty: if visitors were to be in it, it is not the one that is meant");
    }
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
    passed_over(&done.failed, console).map_err(|failure| {
        failure.advise(
            "see what is said of each, and run this again; if the old store's records are plain, with --plain-records read",
        )
    })?;
    if verified {
        return Ok(Exit::Done);
    }
    let told = "records were still being written in the old store, so the last ones may be missing in the new one";
    Err(Failure::new(Exit::Unsettled, "unsettled", told)
        .advise("end the instances that use the old store, and run this once more"))
}
