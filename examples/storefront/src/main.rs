//! A small shop on axum: each browser is a visitor of a Wix Headless site, and its cart stays.
//!
//! ```text
//! cargo run -p storefront
//! ```
//!
//! opens it at <http://127.0.0.1:8080> with a sandbox of its own and visitors in SQLite. Put something into the cart; then let the
//! token expire, break the endpoint and restart it all by the buttons beside the shop, and see who you are afterwards.
//!
//! With `WIX_CLIENT_ID` it talks to Wix. With `--store redis://…` and `--listen` it is one of many.
//!
//! Start to read at `shop.rs`, which is all that a shop needs; `panel.rs` and `journal.rs` are there to show what goes on.

mod api;
mod args;
mod cart;
mod catalogue;
mod error;
mod journal;
mod life;
mod pages;
mod panel;
mod setup;
mod shop;
mod shopper;
mod sign_in;
mod vendor;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Failure};
use crate::life::{End, Life};
use crate::setup::Shop;

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "error,wix_visitor=info,storefront=info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("storefront: {failure}");
            failure.exit.into()
        }
    }
}

/// Serves until it is told to end. A restart puts a new program into the place of this one, so it returns only where that fails.
fn run(mut args: Args) -> Result<(), Failure> {
    let target = args.target()?;
    let program = life::program();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .map_err(|error| Failure::new(1, format!("cannot listen on {}: {error}", args.listen)))?;
        // Where any port would do, a restart keeps the one that it was.
        args.listen = listener.local_addr()?;
        let life = Life::begin()?;
        let shop = Shop::open(&args, target, life.clone()).await?;
        life::announce(args.listen);
        serve(listener, shop, life).await
    })?;
    // All is saved; what still idles need not be waited for.
    runtime.shutdown_background();
    match end {
        End::Stop => Ok(()),
        End::Restart => Err(life::again(program?, &args)),
    }
}

async fn serve(listener: TcpListener, shop: Arc<Shop>, life: Life) -> Result<End, Failure> {
    let site = shop.site.clone();
    let server = axum::serve(listener, shop::router(shop));
    let ended = life.clone();
    let serving = server.with_graceful_shutdown(async move {
        ended.ended().await;
    });
    tokio::select! {
        served = async { serving.await } => served?,
        // A connection on which nothing is ever asked must not keep it from ending.
        () = life.lingered() => tracing::warn!("ended with requests still under way"),
    }
    let end = life.ended().await;
    // Waits for renewals under way and for tokens that are not in the store yet.
    site.shutdown().await?;
    Ok(end)
}
