//! The parts, composed.

use std::sync::Arc;

use wix_visitor_core::{ClientId, Clock, Error, Policy, TokenStore, Visitors};
#[cfg(feature = "sealing")]
use wix_visitor_core::{KeyRing, PlainRecords, SealedStore};
use wix_visitor_http::{Encoding, HttpOptions, Site, WixEndpoint};

use crate::store_url::StoreUrl;

/// A Wix Headless site, by its client id and the URL of the store that keeps its visitors.
///
/// Nothing is asked of Wix: the first token is minted when the first is needed.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the client id or the URL cannot be one,
/// [`ErrorKind::Store`](crate::ErrorKind::Store) if the store cannot be opened.
pub async fn connect(client_id: &str, store_url: &str) -> Result<Site, Error> {
    builder(client_id).store_url(store_url).connect().await
}

/// Starts to set up a site, for what [`connect`] does not say.
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```text")]
/// # async fn shop() -> Result<(), wix_visitor::Error> {
/// use std::time::Duration;
/// use wix_visitor::{HttpOptions, MemoryStore, Policy};
///
/// let mut policy = Policy::default();
/// policy.wait = Duration::from_secs(10);
///
/// let site = wix_visitor::builder("00000000-0000-0000-0000-000000000000")
///     .store(MemoryStore::new())
///     .http(HttpOptions::new().connect_timeout(Duration::from_secs(2)))
///     .policy(policy)
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
pub fn builder(client_id: &str) -> Builder {
    Builder {
        client_id: client_id.to_owned(),
        store: Place::Unsaid,
        http: HttpOptions::new(),
        encoding: Encoding::default(),
        headers: Vec::new(),
        issuer: None,
        policy: Policy::default(),
        clock: None,
        snapshot_bytes: None,
        #[cfg(feature = "sealing")]
        sealing: None,
        #[cfg(feature = "sealing")]
        plain: PlainRecords::default(),
    }
}

/// Sets up a site.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    client_id: String,
    store: Place,
    http: HttpOptions,
    encoding: Encoding,
    headers: Vec<(String, wix_visitor_core::Secret)>,
    issuer: Option<String>,
    policy: Policy,
    clock: Option<Arc<dyn Clock>>,
    snapshot_bytes: Option<usize>,
    #[cfg(feature = "sealing")]
    sealing: Option<KeyRing>,
    #[cfg(feature = "sealing")]
    plain: PlainRecords,
}

enum Place {
    Unsaid,
    Url(String),
    Store(Arc<dyn TokenStore>),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsaid => f.write_str("Unsaid"),
            Self::Url(_) => f.write_str("Url(redacted)"), // it may hold a password
            Self::Store(store) => store.fmt(f),
        }
    }
}

impl Builder {
    /// The store, by URL: see the table in the [crate's documentation](crate#stores).
    pub fn store_url(mut self, url: impl Into<String>) -> Self {
        self.store = Place::Url(url.into());
        self
    }

    /// The store, as a value: one of ours with options of its own, or yours.
    pub fn store(mut self, store: impl TokenStore) -> Self {
        self.store = Place::Store(Arc::new(store));
        self
    }

    /// Seals the store's records by this ring of keys, and refuses those that are not sealed: see [`SealedStore`](crate::SealedStore).
    #[cfg(feature = "sealing")]
    pub fn sealed(mut self, ring: KeyRing) -> Self {
        self.sealing = Some(ring);
        self
    }

    /// With [`sealed`](Self::sealed): what is done about records that are not.
    #[cfg(feature = "sealing")]
    pub fn plain_records(mut self, plain: PlainRecords) -> Self {
        self.plain = plain;
        self
    }

    /// How Wix is reached: base URL, proxy, certificates, timeouts.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// How token requests are encoded; JSON unless said otherwise.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// A further header on each token request.
    pub fn token_header(mut self, name: impl Into<String>, value: impl Into<wix_visitor_core::Secret>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Who issues the tokens, where that is not the API's base URL: records of two issuers never meet.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The numbers of the flow.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock, in place of the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// How many bytes of visitors are kept in memory; see [`VisitorsBuilder::snapshot_bytes`](crate::VisitorsBuilder).
    pub fn snapshot_bytes(mut self, bytes: usize) -> Self {
        self.snapshot_bytes = Some(bytes);
        self
    }

    /// Checks everything, opens the store, and asks nothing of Wix.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if something given cannot be used, no store was given, or its URL
    /// has a `timeout_ms` that is not below the policy's `save`;
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the store cannot be opened.
    pub async fn connect(self) -> Result<Site, Error> {
        let client_id = ClientId::new(&self.client_id)?;
        let mut endpoint = WixEndpoint::builder().options(self.http.clone()).encoding(self.encoding);
        for (name, value) in self.headers {
            endpoint = endpoint.header(name, value);
        }
        if let Some(issuer) = self.issuer {
            endpoint = endpoint.issuer(issuer);
        }
        let endpoint = endpoint.build()?;
        self.policy.check()?;
        let store = match self.store {
            Place::Store(store) => store,
            Place::Url(url) => {
                let url = StoreUrl::parse(&url)?;
                url.check(&self.policy)?;
                url.open().await?
            }
            Place::Unsaid => StoreUrl::parse("")?.open().await?,
        };
        #[cfg(feature = "sealing")]
        let store: Arc<dyn TokenStore> = match self.sealing {
            Some(ring) => Arc::new(SealedStore::new(store, ring).plain_records(self.plain)),
            None => store,
        };
        let mut visitors = Visitors::builder(client_id, endpoint, store).policy(self.policy);
        if let Some(clock) = self.clock {
            visitors = visitors.clock(clock);
        }
        if let Some(bytes) = self.snapshot_bytes {
            visitors = visitors.snapshot_bytes(bytes);
        }
        Site::new(visitors.build()?, self.http)
    }
}
