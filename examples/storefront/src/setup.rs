//! From arguments to a shop: the site, the store that keeps its visitors, and the sandbox where there is one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use wix_visitor::{HttpOptions, Policy, Site, SqliteStore, StoreUrl, Timestamp, TokenStore};
use wix_visitor_testkit::sandbox::{Sandbox, SandboxOptions};

use crate::args::{Args, Failure, Target};
use crate::catalogue::Catalogue;
use crate::journal::Journal;
use crate::life::Life;
use crate::sign_in::Login;

/// The made-up client id of the sandbox.
const SANDBOX_CLIENT_ID: &str = "5a9db0c5-77e0-4a1e-9d5b-57a9d0b0c0de";
/// Who issues the sandbox's tokens: its port is another in each run.
const SANDBOX_ISSUER: &str = "wix-visitor-sandbox";
/// Tokens of the sandbox live five minutes, where Wix's live four hours: so there is more to see.
const SANDBOX_LIFETIME: u64 = 300;

/// All that the handlers share.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) site: Site,
    pub(crate) catalogue: Catalogue,
    pub(crate) journal: Arc<Journal>,
    pub(crate) login: Option<Login>,
    pub(crate) life: Life,
    /// The small Wix of our own, unless it is Wix that we talk to.
    pub(crate) sandbox: Option<Sandbox>,
    /// Whether the sandbox's token endpoint was told to fail.
    pub(crate) broken: AtomicBool,
    pub(crate) address: SocketAddr,
    /// Scripts of a page may call it, as the visitor that was handed to them.
    pub(crate) api_url: String,
    pub(crate) started: Timestamp,
}

impl Shop {
    pub(crate) async fn open(args: &Args, target: Target, life: Life) -> Result<Arc<Self>, Failure> {
        let data = args.data()?;
        private_directory(&data)
            .map_err(|error| Failure::new(1, format!("cannot make the directory {}: {error}", data.display())))?;
        let store: Arc<dyn TokenStore> = match &args.store {
            Some(url) => {
                let url = StoreUrl::parse(url.expose()).map_err(|error| Failure::new(3, error.to_string()))?;
                url.open().await?
            }
            None => Arc::new(SqliteStore::open(data.join("visitors.db")).await?),
        };
        let (client_id, api_url, sandbox) = match target {
            Target::Wix { client_id, api_url } => (client_id, api_url, None),
            Target::Sandbox => {
                let state = data.join("sandbox.json");
                let options = SandboxOptions::new().state_file(&state).token_lifetime(SANDBOX_LIFETIME);
                let sandbox = Sandbox::start(options).await?;
                eprintln!(
                    "A sandbox, not Wix, answers at {}; what it knows is kept in {}.",
                    sandbox.url(),
                    state.display()
                );
                (SANDBOX_CLIENT_ID.to_owned(), sandbox.url(), Some(sandbox))
            }
        };
        let mut builder = wix_visitor::builder(&client_id).http(HttpOptions::new().base_url(&api_url)).store(store);
        if let Some(ring) = wix_visitor::key_ring_from_environment()? {
            builder = builder.sealed(ring);
        }
        if sandbox.is_some() {
            let mut policy = Policy::default();
            // Whoever has mended the endpoint wants to see it work, not to wait for a minute.
            policy.backoff_most = Duration::from_secs(2);
            // Each data directory has a sandbox of its own, whose tokens no other knows.
            let issuer = format!("{SANDBOX_ISSUER} {}", std::fs::canonicalize(&data)?.display());
            builder = builder.issuer(issuer).policy(policy);
        }
        let site = builder.connect().await?;
        let login = Login::at(&api_url, &client_id)?;
        Ok(Arc::new(Self {
            catalogue: if login.is_some() { Catalogue::sandbox() } else { Catalogue::of(&site) },
            journal: Journal::of(&site, site.now()),
            login,
            life,
            sandbox,
            broken: AtomicBool::new(false),
            address: args.listen,
            api_url,
            started: site.now(),
            site,
        }))
    }

    /// Which of many instances this is.
    pub(crate) fn instance(&self) -> String {
        self.address.to_string()
    }

    /// A restart is for whoever sits at this machine.
    pub(crate) fn may_restart(&self) -> bool {
        self.address.ip().is_loopback() && crate::life::CAN_RESTART
    }
}

/// For our eyes only: who reads the visitors in it can be any of them.
fn private_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
