//! The switches of a sandbox: everything that is not known about Wix, or that a test wants otherwise.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// How to start a sandbox.
///
/// ```
/// use wix_visitor_testkit::sandbox::{Rotation, SandboxOptions};
///
/// let options = SandboxOptions::new()
///     .token_lifetime(60)
///     .rotation(Rotation::Strict)
///     .with(|switches| switches.refusal_status = 401);
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    pub(super) listen: SocketAddr,
    pub(super) state_file: Option<PathBuf>,
    pub(super) switches: Switches,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SandboxOptions {
    /// A sandbox on any free port of 127.0.0.1, with nothing kept on disk and all switches at their defaults.
    pub fn new() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), state_file: None, switches: Switches::default() }
    }

    /// Listens on this address, which must be a loopback address; port 0 takes any free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Keeps the state (visitors, carts and the hashes of their tokens, never a token) in this file, so that it outlives the
    /// sandbox. Several sandboxes, in one process or many, may share one file; each request that acts reads and writes it
    /// whole, so it suits a handful of visitors and not a load test.
    #[must_use]
    pub fn state_file(mut self, path: impl AsRef<Path>) -> Self {
        self.state_file = Some(path.as_ref().to_owned());
        self
    }

    /// Seconds that an access token lives: [`Switches::token_lifetime`].
    #[must_use]
    pub fn token_lifetime(mut self, seconds: u64) -> Self {
        self.switches.token_lifetime = seconds;
        self
    }

    /// What a renewal does to the refresh token: [`Switches::rotation`].
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.switches.rotation = rotation;
        self
    }

    /// Added to the time each answer takes: [`Switches::latency`].
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.switches.latency = latency;
        self
    }

    /// Which client ids are accepted: [`Switches::client_ids`].
    #[must_use]
    pub fn client_ids(mut self, client_ids: ClientIds) -> Self {
        self.switches.client_ids = client_ids;
        self
    }

    /// Sets any of the switches.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Switches)) -> Self {
        change(&mut self.switches);
        self
    }
}

/// What can be changed while a sandbox runs, with [`Sandbox::set`](super::Sandbox::set).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Switches {
    /// Seconds that an access token lives. Default 14,400, as at Wix.
    pub token_lifetime: u64,
    /// Seconds that a refresh token lives. Default 31,536,000 (365 days), as Wix's refresh tokens claim.
    pub refresh_lifetime: u64,
    /// Added before each request acts, preflights excepted. Default none.
    pub latency: Duration,
    /// What a renewal does to the refresh token. Default [`Rotation::Same`]; what Wix does is not known.
    pub rotation: Rotation,
    /// How the reply tells the access token's lifetime. Default [`ExpiresIn::Number`].
    pub expires_in: ExpiresIn,
    /// How a mint's reply shows the refresh token. Default [`RefreshField::Present`].
    pub refresh_in_mint: RefreshField,
    /// How a renewal's reply shows the refresh token. Default [`RefreshField::Present`]. A reply that does not show it does not
    /// rotate it either, whatever [`rotation`](Self::rotation) says: no client could go on otherwise.
    pub refresh_in_renewal: RefreshField,
    /// The body for a refresh token that is refused. Default [`ErrorShape::OAuth`], that is `invalid_grant`.
    pub refusal: ErrorShape,
    /// The status for a refresh token that is refused. Default 400.
    pub refusal_status: u16,
    /// What an API call with an expired or revoked access token is answered. Default [`DeadToken::Unauthorized`]. A missing
    /// token, or one that was never the sandbox's, is always answered 401.
    pub dead_token: DeadToken,
    /// Which client ids are accepted. Default [`ClientIds::AnyGuid`]. Something else than a GUID is always refused, with 400.
    pub client_ids: ClientIds,
    /// The body for a GUID that is not among the accepted client ids. Default [`ErrorShape::OAuth`], `invalid_client`.
    pub unknown_client: ErrorShape,
    /// The status for a GUID that is not among the accepted client ids. Default 400.
    pub unknown_client_status: u16,
    /// Whether `POST /oauth2/revoke` revokes a token, as RFC 7009 has it. Default `false`, an unknown path: whether Wix has such
    /// an address is not known.
    pub revoke: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            token_lifetime: 14_400,
            refresh_lifetime: 31_536_000,
            latency: Duration::ZERO,
            rotation: Rotation::Same,
            expires_in: ExpiresIn::Number,
            refresh_in_mint: RefreshField::Present,
            refresh_in_renewal: RefreshField::Present,
            refusal: ErrorShape::OAuth,
            refusal_status: 400,
            dead_token: DeadToken::Unauthorized,
            client_ids: ClientIds::AnyGuid,
            unknown_client: ErrorShape::OAuth,
            unknown_client_status: 400,
            revoke: false,
        }
    }
}

/// What a renewal does to the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// The reply brings the same refresh token again.
    Same,
    /// The reply brings a new refresh token; the old one stays good.
    New,
    /// The reply brings a new refresh token; the old one stays good for this long after its first use, then it is refused.
    Grace(Duration),
    /// The reply brings a new refresh token; the old one is spent, and using it again revokes every refresh token of its
    /// visitor, the newest one too.
    Strict,
}

/// How a token reply tells the access token's lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpiresIn {
    /// `"expires_in": 14400`
    Number,
    /// `"expires_in": "14400"`
    String,
    /// No such field.
    Omitted,
    /// `"expires_in": null`
    Null,
    /// This JSON text, put in as it stands, also where it is absurd or no JSON at all.
    Raw(String),
}

/// How a token reply shows the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshField {
    /// `"refresh_token": "JWS.…"`
    Present,
    /// No such field.
    Omitted,
    /// `"refresh_token": null`
    Null,
    /// `"refresh_token": ""`
    Empty,
}

/// The shape of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorShape {
    /// `{"error": "invalid_grant", "error_description": "…"}`
    OAuth,
    /// `{"message": "…", "details": {"applicationError": {"code", "description", "data"}}}`; the code is the sandbox's own.
    WixApplication,
    /// `{"message": "…", "details": {"validationError": {"fieldViolations": […]}}}`
    WixValidation,
    /// Nothing.
    Empty,
    /// A page for people.
    Html,
}

/// What an API call with an expired or revoked access token is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadToken {
    /// 401 with a JSON body.
    Unauthorized,
    /// 400 with the code `WDE0117`, "MetaSite not found", as wix-data was seen to answer.
    MetaSiteNotFound,
    /// This status and this JSON text.
    Other {
        /// The status, 200 to 599.
        status: u16,
        /// The body, sent as `application/json`.
        body: String,
    },
}

/// Which client ids are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientIds {
    /// Every GUID.
    AnyGuid,
    /// These alone, compared without regard to case.
    Only(BTreeSet<String>),
}

impl ClientIds {
    /// These client ids alone.
    pub fn only<I: Into<String>>(ids: impl IntoIterator<Item = I>) -> Self {
        Self::Only(ids.into_iter().map(|id| id.into().to_ascii_lowercase()).collect())
    }

    pub(super) fn accept(&self, id: &str) -> bool {
        match self {
            Self::AnyGuid => true,
            Self::Only(ids) => ids.iter().any(|known| known.eq_ignore_ascii_case(id)),
        }
    }
}
