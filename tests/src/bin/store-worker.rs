//! One process of many on an SQLite database, for `sqlite_processes.rs`:
//!
//! ```text
//! store-worker count PATH KEY STEPS     counts the record up that many times
//! store-worker run PATH KEY             counts records of its own up until it is killed; a line for each acknowledged step
//! store-worker open PATH                opens the database and writes a record
//! store-worker fill PATH BALLAST        writes until the disk is full, removes the ballast, and goes on
//! ```
#![allow(clippy::print_stdout)] // its output is what it is for

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use wix_visitor_core::{Entropy, Etag, Exchange, StoreError, StoreKey, Stored, SystemEntropy, TokenStore};
use wix_visitor_sqlite::{SqliteOptions, SqliteStore};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["count", path, key, steps] => count(path, key, steps).await,
        ["run", path, key] => run(path, key).await,
        ["open", path] => open_and_write(path).await,
        ["fill", path, ballast] => fill(path, ballast).await,
        _ => Err("see the source for how to call this".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            match e.downcast_ref::<StoreError>() {
                Some(e) => println!("{:?}: {e}", e.kind()),
                None => println!("{e}"),
            }
            ExitCode::FAILURE
        }
    }
}

/// With time enough for all the others.
async fn open(path: &str) -> Result<SqliteStore, StoreError> {
    SqliteOptions::new(path).timeout(Duration::from_secs(60)).open().await
}

fn version(bytes: Vec<u8>) -> Stored {
    Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes }
}

/// A count is its number over and over, so that a torn record is none.
fn encode(count: u64) -> Vec<u8> {
    count.to_be_bytes().repeat(1 + usize::try_from(count % 300).unwrap_or(0))
}

fn decode(record: &Stored) -> Outcome<u64> {
    let count = u64::from_be_bytes(*record.bytes.first_chunk().ok_or("the record is empty")?);
    if encode(count) == record.bytes { Ok(count) } else { Err("the record is torn".into()) }
}

/// Counts up by one over whatever stands.
async fn step(store: &SqliteStore, key: &StoreKey, standing: &mut Option<Stored>) -> Outcome<u64> {
    loop {
        let count = standing.as_ref().map(decode).transpose()?.unwrap_or(0) + 1;
        let new = version(encode(count));
        let expected = standing.as_ref().map(|standing| &standing.etag);
        match store.compare_exchange(key, expected, &new, YEAR).await? {
            Exchange::Swapped => {
                *standing = Some(new);
                return Ok(count);
            }
            Exchange::Conflict(other) => *standing = other,
        }
    }
}

async fn count(path: &str, key: &str, steps: &str) -> Outcome {
    let (store, key) = (open(path).await?, StoreKey::parse(key)?);
    let mut standing = store.load(&key).await?;
    for _ in 0..steps.parse::<u64>()? {
        step(&store, &key, &mut standing).await?;
    }
    println!("{}", store.load(&key).await?.as_ref().map(decode).transpose()?.unwrap_or(0));
    Ok(())
}

async fn run(path: &str, key: &str) -> Outcome {
    let store = open(path).await?;
    let one = async |n: u8| -> Outcome {
        let key = StoreKey::parse(&format!("{key}/{n}"))?;
        let mut standing = store.load(&key).await?;
        loop {
            let count = step(&store, &key, &mut standing).await?;
            println!("{key} {count}", key = key.as_str());
        }
    };
    tokio::try_join!(one(0), one(1), one(2)).map(drop)
}

async fn open_and_write(path: &str) -> Outcome {
    let store = open(path).await?;
    step(&store, &StoreKey::parse("site/one")?, &mut None).await?;
    println!("written");
    Ok(())
}

async fn fill(path: &str, ballast: &str) -> Outcome {
    let store = open(path).await?;
    let key = |n: u32| StoreKey::parse(&format!("site/{n}"));
    let mut written = Vec::new();
    let error = loop {
        let new = version(vec![7; 20_000]);
        match store.compare_exchange(&key(u32::try_from(written.len())?)?, None, &new, YEAR).await {
            Ok(_) => written.push(new),
            Err(e) => break e,
        }
    };
    println!("{:?}: {error}", error.kind());
    for room in [false, true] {
        if room {
            std::fs::remove_file(ballast)?;
            let new = version(vec![8; 20_000]);
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
