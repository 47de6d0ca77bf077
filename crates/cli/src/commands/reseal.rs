//! `reseal`: every record sealed by the ring's primary key.

use serde_json::json;
use wix_visitor::PlainRecords;

use crate::args::SiteArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Console, Out};
use crate::progress::{Bar, of_store, passed_over};
use crate::store_choice::{Sealing, StoreChoice};

pub(super) async fn run(args: &SiteArgs, console: Console) -> Result<Exit, Failure> {
    let Some(Sealing { ring, plain }) = Sealing::of(args)? else {
        return Err(
            Failure::usage("there is no ring of keys to seal by").advise("give --keys, or set WIX_VISITOR_KEYS_FILE")
        );
    };
    if plain == PlainRecords::Written {
        return Err(Failure::usage(
            "--plain-records write says that not every instance has the ring, and could not read what is sealed",
        )
        .advise("once each has it, --plain-records read"));
    }
    let bar = Bar::new("sealing", console);
    let housekeeper = bar.follow(StoreChoice::of(args).await?.housekeeper().await?);
    let done = housekeeper.reseal().await.map_err(of_store)?;
    drop(bar);
    let mut out = Out::new();
    if console.is_json() {
        let failed = done.failed.count;
        out.json(&json!({ "resealed": done.resealed, "already": done.already, "failed": failed })).await?;
    } else {
        let told =
            format!("{} records are sealed anew, {} were sealed by this key already", done.resealed, done.already);
        out.line(&told).await?;
    }
    passed_over(&done.failed, console)?;
    let others: Vec<_> = ring.names().skip(1).map(|name| name.to_string()).collect();
    if !others.is_empty() {
        let others = others.join(", ");
        console.notice("reseal", &format!("once no instance seals by another key, these may be removed: {others}"));
    }
    Ok(Exit::Done)
}
