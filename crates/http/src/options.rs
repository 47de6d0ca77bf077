//! How we reach Wix: address, proxy and TLS, set once for the token endpoint and the API calls.

use std::fmt;
use std::time::Duration;

use reqwest::redirect::Policy;
use url::Url;
use wix_visitor_core::{Error, ErrorKind, Secret};

use crate::origin::{BaseUrl, check_length, invalid};

/// How Wix is reached: address, proxy, TLS and the time to connect. Shared by [`WixEndpoint`](crate::WixEndpoint) and
/// [`Site`](crate::Site), so that it is set once. Nothing is checked before one of the two is built.
///
/// Without a proxy set here, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment hold. A loopback address is never
/// reached through a proxy. TLS below 1.2 is never spoken.
///
/// ```
/// use std::time::Duration;
/// use wix_visitor_http::HttpOptions;
///
/// let options = HttpOptions::new()
///     .base_url("https://www.wixapis.com")
///     .proxy("http://proxy.internal:3128")
///     .connect_timeout(Duration::from_secs(3));
/// # drop(options);
/// ```
#[derive(Clone)]
pub struct HttpOptions {
    base_url: String,
    proxy: ProxyChoice,
    root_certificates: Vec<Vec<u8>>,
    connect_timeout: Duration,
    lazy: bool,
}

#[derive(Clone)]
enum ProxyChoice {
    Environment,
    Never,
    /// A secret, since its user info is the proxy's password.
    At(Secret),
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            base_url: BaseUrl::WIX.to_owned(),
            proxy: ProxyChoice::Environment,
            root_certificates: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            lazy: false,
        }
    }
}

impl HttpOptions {
    /// Wix itself, by whatever proxy the environment names.
    pub fn new() -> Self {
        Self::default()
    }

    /// The address of the API, `https://www.wixapis.com` if not set. `https`, or `http` on loopback; no user info, query or
    /// fragment. A path is put before every path that is called, and is part of the issuer.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Reaches Wix through this proxy (`http://` or `https://`, with user info if it wants some) instead of what the
    /// environment names.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<Secret>) -> Self {
        self.proxy = ProxyChoice::At(url.into());
        self
    }

    /// Uses no proxy, whatever the environment says.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::Never;
        self
    }

    /// Trusts these certificates too, besides the platform's own: one or more in PEM form, as of a proxy that looks inside.
    /// May be called more than once.
    #[must_use]
    pub fn root_certificates_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// For how long to try to connect: name look-up, TCP, proxy and TLS together; 5 s if not set. Keep it below the policy's
    /// time for a grant: a grant that could not connect was surely not sent and can be tried again soon.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Reads the system's certificates with the first request, instead of at once: for programs that may end without having sent
    /// any. That they cannot be used is then told by the request, of the same kind. All else is checked at once all the same.
    #[must_use]
    pub fn lazy(mut self) -> Self {
        self.lazy = true;
        self
    }

    pub(crate) fn is_lazy(&self) -> bool {
        self.lazy
    }

    pub(crate) fn parse_base_url(&self) -> Result<BaseUrl, Error> {
        BaseUrl::parse(&self.base_url)
    }

    /// The client for token requests: follows nothing, repeats nothing.
    pub(crate) fn token_client(&self, base: &BaseUrl) -> Result<reqwest::Client, Error> {
        // A connection that idled long may be closed by the server just as a grant goes out on it, and then nobody knows
        // whether the grant arrived. Grants are rare: a fresh connection costs less than that doubt.
        build(self.prepare(base)?.redirect(Policy::none()).pool_idle_timeout(Duration::from_secs(5)))
    }

    /// The client for API calls: follows redirects within the origin.
    pub(crate) fn api_client(&self, base: &BaseUrl) -> Result<reqwest::Client, Error> {
        let home = base.clone();
        build(self.prepare(base)?.redirect(Policy::custom(move |attempt| {
            if !home.allows(attempt.url()) {
                attempt.error(RedirectRefused::OtherOrigin)
            } else if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error(RedirectRefused::TooMany)
            } else {
                attempt.follow()
            }
        })))
    }

    /// Whether there can be such clients, as far as that can be told without the system's certificates.
    pub(crate) fn check(&self, base: &BaseUrl) -> Result<(), Error> {
        self.prepare(base).map(drop)
    }

    /// What all clients have in common.
    fn prepare(&self, base: &BaseUrl) -> Result<reqwest::ClientBuilder, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("wix-visitor/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .referer(false)
            .retry(reqwest::retry::never());
        builder = match &self.proxy {
            _ if base.is_loopback() => builder.no_proxy(),
            ProxyChoice::Environment => builder,
            ProxyChoice::Never => builder.no_proxy(),
            ProxyChoice::At(url) => builder.proxy(parse_proxy(url)?),
        };
        // A proxy that could never be used is still worth an error.
        if let (true, ProxyChoice::At(url)) = (base.is_loopback(), &self.proxy) {
            parse_proxy(url)?;
        }
        self.tls(base, builder)
    }

    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn tls(&self, base: &BaseUrl, mut builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            let bundle = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|e| invalid("an extra root certificate is not valid PEM").with_source(e))?;
            if bundle.is_empty() {
                return Err(invalid("an extra root certificate file holds no certificate in PEM form"));
            }
            roots.extend(bundle);
        }
        #[cfg(feature = "rustls")]
        {
            builder = builder.tls_backend_rustls();
        }
        builder = builder.tls_version_min(reqwest::tls::Version::TLS_1_2);
        Ok(if base.is_https() {
            if roots.is_empty() { builder } else { builder.tls_certs_merge(roots) }
        } else {
            // Plain http on loopback, and redirects never leave the origin: must work where no certificates are installed.
            builder.tls_certs_only(roots)
        })
    }

    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    fn tls(&self, _: &BaseUrl, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
        if self.root_certificates.is_empty() {
            Ok(builder)
        } else {
            Err(invalid(
                "extra root certificates are given, and this program was built without TLS: \
                 turn on the cargo feature `rustls` or `native-tls`",
            ))
        }
    }
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|e| {
        Error::new(
            ErrorKind::Misconfigured,
            "the HTTP client could not be set up: check TLS and the system's certificates",
        )
        .with_source(e.without_url())
    })
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("HttpOptions");
        // Unchecked as yet, so it may hold user info.
        match self.parse_base_url() {
            Ok(base) => out.field("base_url", &base),
            Err(_) => out.field("base_url", &format_args!("(not usable)")),
        };
        out.field(
            "proxy",
            &format_args!(
                "{}",
                match self.proxy {
                    ProxyChoice::Environment => "environment",
                    ProxyChoice::Never => "none",
                    ProxyChoice::At(_) => "set",
                }
            ),
        )
        .field("root_certificates", &self.root_certificates.len())
        .field("connect_timeout", &self.connect_timeout)
        .field("lazy", &self.lazy)
        .finish()
    }
}

pub(crate) const MAX_REDIRECTS: usize = 5;

/// The most headers that a caller may add to a request. No server takes as many, and a map of headers panics when it is full.
pub(crate) const MOST_HEADERS: usize = 1000;

/// Why an API call's redirect was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectRefused {
    OtherOrigin,
    TooMany,
}

impl fmt::Display for RedirectRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherOrigin => f.write_str("redirected to another origin, where no token is sent"),
            Self::TooMany => write!(f, "redirected more than {MAX_REDIRECTS} times"),
        }
    }
}

impl std::error::Error for RedirectRefused {}

fn parse_proxy(url: &Secret) -> Result<reqwest::Proxy, Error> {
    // No error here repeats the URL or has a source that may.
    check_length(url.expose(), "proxy URL")?;
    let parsed = Url::parse(url.expose()).map_err(|e| invalid(format!("the proxy URL cannot be read: {e}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid("the proxy URL is neither http nor https"));
    }
    if parsed.scheme() == "https" && !cfg!(any(feature = "rustls", feature = "native-tls")) {
        return Err(invalid("the proxy URL is https, and this program was built without TLS"));
    }
    reqwest::Proxy::all(parsed).map_err(|_| invalid("the proxy URL cannot be used"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(options: &HttpOptions) -> Result<(), Error> {
        let base = options.parse_base_url()?;
        options.token_client(&base)?;
        options.api_client(&base).map(drop)
    }

    fn local() -> HttpOptions {
        HttpOptions::new().base_url("http://127.0.0.1:9")
    }

    #[test]
    fn options_show_no_password() {
        let options = local().proxy("http://user:hunter2@proxy.example:1");
        assert!(!format!("{options:?}").contains("hunter2"));
        let options = HttpOptions::new().base_url("https://user:hunter2@www.wixapis.com");
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn a_proxy_that_cannot_be_one_is_refused_without_repeating_it() {
        for bad in ["hunter2", "socks5://user:hunter2@proxy", "http://user:hunter2@", "http://user:hunter2@a b"] {
            let error = build(&local().proxy(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        build(&local().proxy("http://user:hunter2@proxy:3128")).unwrap();
        build(&local().no_proxy()).unwrap();
    }

    #[test]
    fn roots_that_are_no_certificates_are_refused() {
        for bad in ["", "not PEM", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            let error = build(&local().root_certificates_pem(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }

    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[test]
    fn the_defaults_build() {
        build(&HttpOptions::new()).unwrap();
        build(&HttpOptions::new().proxy("https://proxy.example")).unwrap();
    }
}
