//! One process of many on a store, named by its URL, for `store_processes`:
//!
//! ```text
//! store-worker count URL KEY STEPS     counts the record up that many times
//! store-worker run URL KEY [SHARED]    counts records of its own up, and one that others count too, until it is killed; a line
//!                                      for each acknowledged step
//! store-worker open URL                opens the store and writes a record
//! store-worker fill URL BALLAST        writes until the disk is full, removes the ballast, and goes on
//! store-worker reserve URL BALLAST     has room set aside for a record, fills the disk, and writes that record
//! ```
#![allow(clippy::print_stdout)] // its output is what it is for

use std::process::ExitCode;
use std::sync::Arc;

use wix_visitor::{StoreError, StoreKey, TokenStore, open_store};
use wix_visitor_tests::counter::{self, Outcome, YEAR};
use wix_visitor_tests::sealing;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["count", url, key, steps] => count(url, key, steps).await,
        ["run", url, key] => run(url, &own(key)).await,
        ["run", url, key, shared] => run(url, &[own(key), vec![shared.to_owned()]].concat()).await,
        ["open", url] => open_and_write(url).await,
        ["fill", url, ballast] => fill(url, ballast).await,
        ["reserve", url, ballast] => reserve(url, ballast).await,
        _ => Err("see the source for how to call this".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let of_the_store = e.downcast_ref::<wix_visitor::Error>().and_then(wix_visitor::Error::store_error);
            match of_the_store.or_else(|| e.downcast_ref::<StoreError>()) {
                Some(e) => println!("{:?}: {e}", e.kind()),
                None => println!("{e}"),
            }
            ExitCode::FAILURE
        }
    }
}

/// With time enough for all the others.
async fn open(url: &str) -> Outcome<Arc<dyn TokenStore>> {
    Ok(sealing::as_asked(open_store(&format!("{url}?timeout_ms=60000")).await?))
}

async fn count(url: &str, key: &str, steps: &str) -> Outcome {
    let (store, key) = (open(url).await?, StoreKey::parse(key)?);
    let mut standing = store.load(&key).await?;
    for _ in 0..steps.parse::<u64>()? {
        counter::step(&*store, &key, &mut standing).await?;
    }
    println!("{}", counter::read(&*store, &key).await?);
    Ok(())
}

async fn run(url: &str, keys: &[String]) -> Outcome {
    let store = open(url).await?;
    let mut counting = tokio::task::JoinSet::new();
    for key in keys {
        counting.spawn(count_for_ever(Arc::clone(&store), StoreKey::parse(key)?));
    }
    while let Some(ended) = counting.join_next().await {
        ended??;
    }
    Ok(())
}

async fn count_for_ever(store: Arc<dyn TokenStore>, key: StoreKey) -> Result<(), String> {
    let mut standing = store.load(&key).await.map_err(|e| e.to_string())?;
    loop {
        let count = counter::step(&*store, &key, &mut standing).await.map_err(|e| e.to_string())?;
        println!("{} {count}", key.as_str());
    }
}

fn own(key: &str) -> Vec<String> {
    (0..3).map(|n| format!("{key}/{n}")).collect()
}

async fn open_and_write(url: &str) -> Outcome {
    let store = open(url).await?;
    counter::step(&*store, &StoreKey::parse("site/one")?, &mut None).await?;
    println!("written");
    Ok(())
}

async fn fill(url: &str, ballast: &str) -> Outcome {
    let store = open(url).await?;
    let key = |n: u32| StoreKey::parse(&format!("site/{n}"));
    let mut written = Vec::new();
    let error = loop {
        let new = counter::version(vec![7; 20_000]);
        match store.compare_exchange(&key(u32::try_from(written.len())?)?, None, &new, YEAR).await {
            Ok(_) => written.push(new),
            Err(e) => break e,
        }
    };
    println!("{:?}: {error}", error.kind());
    for room in [false, true] {
        if room {
            std::fs::remove_file(ballast)?;
            let new = counter::version(vec![8; 20_000]);
            store.compare_exchange(&key(u32::try_from(written.len())?)?, None, &new, YEAR).await?;
            written.push(new);
        }
        for (n, record) in written.iter().enumerate() {
            if store.load(&key(u32::try_from(n)?)?).await?.as_ref() != Some(record) {
                return Err(format!("record {n} of {} is lost", written.len()).into());
            }
        }
    }
    println!("{} records", written.len());
    Ok(())
}

async fn reserve(url: &str, ballast: &str) -> Outcome {
    let store = open(url).await?;
    let (with, without) = (StoreKey::parse("site/with")?, StoreKey::parse("site/without")?);
    let small = counter::version(b"{}".to_vec());
    for key in [&with, &without] {
        store.compare_exchange(key, None, &small, YEAR).await?;
    }
    let large = counter::version(vec![7; 32 * 1024]);
    store.reserve(&with, large.bytes.len()).await?;
    // To the last byte.
    let mut ballast = std::fs::File::create(ballast)?;
    while std::io::Write::write(&mut ballast, &[7; 512]).is_ok() {}
    for key in [&without, &with] {
        match store.compare_exchange(key, Some(&small.etag), &large, YEAR).await {
            Ok(done) => println!("{done:?}"),
            Err(e) => println!("{:?}: {e}", e.kind()),
        }
    }
    if store.load(&with).await? != Some(large) || store.load(&without).await? != Some(small) {
        return Err("something else was written".into());
    }
    Ok(())
}
