//! A visitor in a store of one's own.
//!
//! ```text
//! cargo run -p custom-store -- CLIENT_ID
//! ```
//!
//! Visitors are kept in memory here; give [`ObjectTokens`] a bucket instead, and the rest stays as it is. Without a site, see the
//! quickstart example for how to start a small Wix on this machine, and name it in `WIX_API_URL`.

#![allow(clippy::print_stdout, reason = "a program that tells what it does")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use custom_store::ObjectTokens;
use object_store::memory::InMemory;
use wix_visitor::HttpOptions;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("custom-store: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let client_id = std::env::args().nth(1).ok_or("name your site: cargo run -p custom-store -- CLIENT_ID")?;
    let mut http = HttpOptions::new();
    if let Ok(url) = std::env::var("WIX_API_URL") {
        http = http.base_url(url);
    }
    let store = ObjectTokens::new(Arc::new(InMemory::new()));
    let site = wix_visitor::builder(&client_id).store(store).http(http).connect().await?;
    let visitor = site.visitor("default");
    for _ in 0..2 {
        visitor.authorization().await?;
        let tokens = visitor.tokens().await?;
        println!("the visitor's tokens, which print as nothing: {tokens:?}");
    }
    site.shutdown().await?;
    Ok(())
}
