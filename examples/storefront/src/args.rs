//! What the program is told, and how it fails.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use wix_visitor::Secret;

/// A small shop on axum: each browser is a visitor of a Wix Headless site, and its cart stays.
///
/// Without WIX_CLIENT_ID it talks to a sandbox of its own, a small Wix on this machine. WIX_API_URL names another API than Wix's.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Where visitors are kept: sqlite:PATH, redis://HOST, … [default: SQLite in the data directory]
    ///
    /// Several storefronts on one store are one shop: with a sandbox, give all of them the same --data too.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<Secret>,

    /// The data directory: what the sandbox keeps, and visitors unless --store says otherwise [default: among your own data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// What to talk to.
#[derive(Debug)]
pub(crate) enum Target {
    Sandbox,
    Wix { client_id: String, api_url: String },
}

impl Args {
    /// Wix, if the environment names a site; else a sandbox, which stays on this machine.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let variable = |name: &str| match std::env::var(name) {
            Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(_) => Err(Failure::new(3, format!("{name} is no text"))),
        };
        match (variable("WIX_CLIENT_ID")?, variable("WIX_API_URL")?) {
            (Some(client_id), api_url) => {
                let api_url = api_url.unwrap_or_else(|| "https://www.wixapis.com".to_owned());
                Ok(Target::Wix { client_id, api_url })
            }
            (None, Some(_)) => {
                Err(Failure::new(3, "WIX_API_URL is set, and no site: set WIX_CLIENT_ID too, or neither"))
            }
            (None, None) if !self.listen.ip().is_loopback() => Err(Failure::new(
                3,
                format!(
                    "it would be a sandbox for all the world to see at {}: set WIX_CLIENT_ID to your site's client id, or listen on \
                     127.0.0.1",
                    self.listen
                ),
            )),
            (None, None) => Ok(Target::Sandbox),
        }
    }

    pub(crate) fn data(&self) -> Result<PathBuf, Failure> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        use etcetera::BaseStrategy as _;
        let strategy = etcetera::choose_base_strategy().map_err(|error| {
            Failure::new(3, format!("there is no telling where your data belongs ({error}): give --data"))
        })?;
        Ok(strategy.data_dir().join("wix-visitor").join("storefront"))
    }
}

/// Why the program ends, with its exit code: 3 for what its settings do not allow, 1 for all else.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// What the program is made of says in its errors what failed and what to do, without secrets.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(1, error.to_string())
    }
}
