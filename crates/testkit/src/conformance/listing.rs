//! MUST 10, for stores that list and purge: every record that stands is listed, and none is purged whose `keep` is not over.

use std::collections::HashSet;
use std::time::Duration;

use wix_visitor_core::{ClientId, Cursor, StoreErrorKind, StoreKey, Timestamp};

use super::fixture::{Damage, StoreFixture};
use super::report::{Shown, Verdict, Violation};
use super::trial::{Checked, HOUR, Handle, Keys, ensure, parse, version};

/// More than a page, and more than one of many parts that a store may have.
const RECORDS: usize = 120;
/// What pages are asked for.
const PAGE: usize = 20;
/// How long what is soon over is kept.
const SHORT: Duration = Duration::from_secs(1);
/// More than any store has pages.
const PAGES: usize = 200_000;

/// From page to page each record that stands all the while is shown, of the site that was asked for and of no other, however others
/// write meanwhile; and each key that is shown can be loaded, unless it is gone.
pub async fn every_record_that_stands_is_listed(fixture: &dyn StoreFixture) -> Verdict {
    let (store, other, keys) = (Handle::open(fixture).await?, Handle::open(fixture).await?, Keys::new());
    let site = ClientId::new(Keys::SITE).map_err(|e| Violation::new(e.to_string()))?;
    match store.list(Some(&site), None, PAGE).await? {
        Err(e) if e.kind() == StoreErrorKind::Unsupported => return Ok(Shown::Not("the store does not list")),
        page => drop(page?),
    }
    let mut standing = HashSet::new();
    for n in 0..RECORDS {
        let key = keys.key(n)?;
        store.put(&key, "standing").await?;
        standing.insert(key);
    }
    let foreign = parse(&keys.key("x")?.as_str().replacen(Keys::SITE, "conformancf", 1))?;
    store.put(&foreign, "foreign").await?;

    for site in [Some(&site), None] {
        let (mut listed, mut from) = (HashSet::new(), None::<Cursor>);
        for page in 0.. {
            ensure!(page < PAGES, "a list has no end");
            // Somebody comes, and somebody changes.
            other.put(&keys.key(format_args!("new-{}-{page}", site.is_some()))?, "new").await?;
            let changing = keys.key(page % RECORDS)?;
            let old = other.load(&changing).await?;
            other.swap(&changing, old.as_ref(), &version("changed")).await?;
            let found = store.list(site, from.as_ref(), PAGE).await??;
            listed.extend(found.keys);
            from = found.next;
            if from.is_none() {
                break;
            }
        }
        if let Some(missing) = standing.difference(&listed).next() {
            return Err(Violation::new(format!("{missing:?} stands, and is not listed")));
        }
        let is_shown = listed.contains(&foreign);
        ensure!(is_shown == site.is_none(), "a record of another site is listed: {is_shown}; the site was {site:?}");
    }
    Ok(Shown::Holds)
}

/// What is over is dropped; what is not, what was renewed and what cannot be read stays.
pub async fn a_purge_drops_what_is_over_and_nothing_else(fixture: &dyn StoreFixture) -> Verdict {
    let (store, keys) = (Handle::open(fixture).await?, Keys::new());
    match store.purge(Timestamp::from_millis(i64::MIN), None, 1).await? {
        Err(e) if e.kind() == StoreErrorKind::Unsupported => {
            return Ok(Shown::Not("the store drops its records by itself"));
        }
        purged => ensure!(purged?.dropped == 0, "a record was over before the world began"),
    }
    let (over, kept, renewed, damaged) = (keys.key("over")?, keys.key("kept")?, keys.key("renewed")?, keys.key("bad")?);
    store.swap_keeping(&over, None, &version("over"), SHORT).await?;
    let standing = version("kept");
    store.swap_keeping(&kept, None, &standing, 24 * HOUR).await?;
    let (first, second) = (version("first"), version("second"));
    store.swap_keeping(&renewed, None, &first, SHORT).await?;
    store.swap_keeping(&renewed, Some(&first), &second, 24 * HOUR).await?;
    store.swap_keeping(&damaged, None, &version("to be damaged"), SHORT).await?;
    let is_damaged = fixture.damage(&damaged, Damage::CutShort).await;
    if !fixture.pass(2 * SHORT).await {
        tokio::time::sleep(2 * SHORT).await;
    }
    let (mut from, mut dropped, mut unreadable) = (None::<Cursor>, 0, 0);
    for page in 0.. {
        ensure!(page < PAGES, "a purge has no end");
        let purged = store.purge(fixture.now(), from.as_ref(), PAGE).await??;
        dropped += purged.dropped;
        unreadable += purged.unreadable;
        from = purged.next;
        if from.is_none() {
            break;
        }
    }
    store.stands(&over, None).await?;
    store.stands(&kept, Some(&standing)).await?;
    store.stands(&renewed, Some(&second)).await?;
    ensure!(dropped >= 1, "a purge that dropped a record says that it dropped none");
    if is_damaged {
        ensure!(unreadable >= 1, "a purge met a record that it cannot read, and does not say so");
        is_still_there(&store, &damaged).await?;
    }
    Ok(Shown::Holds)
}

/// A record that cannot be read may hold somebody's only token.
async fn is_still_there(store: &Handle, key: &StoreKey) -> Checked {
    match store.try_load(key).await? {
        Err(e) if e.kind() == StoreErrorKind::Corrupt => Ok(()),
        found => Err(Violation::new(format!("a record that cannot be read was purged: {found:?}"))),
    }
}
