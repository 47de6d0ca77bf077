//! `purge`: drops what is over.

use serde_json::json;
use wix_visitor::StoreErrorKind;

use crate::args::SiteArgs;
use crate::exit::{Exit, Failure};
use crate::moment::absolute;
use crate::output::{Console, Out};
use crate::progress::of_store;
use crate::store_choice::StoreChoice;

pub(super) async fn run(args: &SiteArgs, console: Console, trust_clock: bool) -> Result<Exit, Failure> {
    let housekeeper = StoreChoice::of(args).await?.housekeeper().await?;
    let purged = if trust_clock { housekeeper.purge_trusting_the_clock().await } else { housekeeper.purge().await };
    let done = match purged {
        Err(error) if error.kind() == StoreErrorKind::Unsupported => {
            console.notice("purge", &error.to_string());
            if console.is_json() {
                Out::new().json(&json!({ "looked_at": 0, "dropped": 0, "unreadable": 0, "over_at": null })).await?;
            }
            return Ok(Exit::Done);
        }
        other => other.map_err(of_store)?,
    };
    let mut out = Out::new();
    if console.is_json() {
        let over_at = done.over_at.and_then(absolute);
        let (looked_at, dropped, unreadable) = (done.looked_at, done.dropped, done.unreadable);
        let told = json!({ "looked_at": looked_at, "dropped": dropped, "unreadable": unreadable, "over_at": over_at });
        out.json(&told).await?;
    } else if done.over_at.is_none() {
        let told = "this is the first purge of this store: the time was noted, and nothing dropped; what is over now goes with the \
                    next one (or with --trust-clock)";
        out.line(told).await?;
    } else {
        out.line(&format!("{} of {} records were over, and are dropped", done.dropped, done.looked_at)).await?;
    }
    if done.unreadable == 0 {
        return Ok(Exit::Done);
    }
    let message = format!("{} records cannot be read, and were left as they are", done.unreadable);
    Err(Failure::new(Exit::Store, "unreadable", message)
        .advise("restore the store from a backup; -v names their visitors"))
}
