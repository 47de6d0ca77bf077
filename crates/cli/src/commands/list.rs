//! `list`: which visitors there are, page by page.

use serde_json::json;
use wix_visitor::{Cursor, StoreKey};

use crate::args::SiteArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Console, Out};
use crate::progress::of_store;
use crate::setup::client_id;
use crate::store_choice::StoreChoice;

/// How many are asked for at once where all are.
const PAGE: usize = 1000;

pub(super) async fn run(
    args: &SiteArgs,
    console: Console,
    limit: usize,
    after: Option<&str>,
    all: bool,
) -> Result<Exit, Failure> {
    if limit == 0 {
        return Err(Failure::usage("--limit has to be at least 1"));
    }
    let mut housekeeper = StoreChoice::of(args).await?.housekeeper().await?;
    if args.client_id.is_some() {
        housekeeper = housekeeper.site(client_id(args)?);
    }
    let mut out = Out::new();
    let (mut from, mut left) = (after.map(Cursor::new), if all { usize::MAX } else { limit });
    let mut unreadable = 0_u64;
    loop {
        let page = housekeeper.list(from.as_ref(), left.min(PAGE)).await.map_err(of_store)?;
        left = left.saturating_sub(page.keys.len());
        for key in &page.keys {
            let (visitor, site) = (key.visitor_id().to_string(), site_of(key));
            if console.is_json() {
                out.json(&json!({ "visitor": visitor, "client_id": site })).await?;
            } else {
                out.line(&format!("{visitor}  {site}")).await?;
            }
        }
        unreadable = unreadable.saturating_add(page.unreadable);
        from = page.next;
        if from.is_none() || left == 0 || out.is_gone() {
            break;
        }
    }
    if let Some(from) = from {
        console.notice("more", &format!("go on with --after {}", from.as_str()));
    }
    if unreadable == 0 {
        return Ok(Exit::Done);
    }
    let message = format!("the keys of {unreadable} more records cannot be read, so nobody knows whose they are");
    Err(Failure::new(Exit::Store, "unreadable_keys", message).advise("restore the store from a backup"))
}

pub(super) fn site_of(key: &StoreKey) -> &str {
    key.as_str().split('/').next().unwrap_or_default()
}
