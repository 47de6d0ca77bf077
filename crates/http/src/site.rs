//! A site: its visitors, and the APIs they call.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use wix_visitor_core::{Error, Visitor, Visitors};

use crate::call::Api;
use crate::options::HttpOptions;
use crate::request::ApiRequest;
use crate::token_info::{TokenInfo, token_info};

/// A site's visitors together with the Wix APIs that they call. Cheap to clone; everything of [`Visitors`] is here too.
///
/// A token goes to the origin of the configured API URL alone: a call to any other host is refused before anything is
/// sent, and a redirect out of it is not followed.
#[derive(Clone)]
pub struct Site {
    visitors: Visitors,
    api: Arc<Api>,
}

/// Builds a [`Site`].
#[derive(Clone, Debug)]
pub struct SiteBuilder {
    visitors: Visitors,
    options: HttpOptions,
    timeout: Duration,
}

impl Site {
    /// The site of these visitors. Give the options that the visitors' endpoint was built with.
    ///
    /// # Errors
    /// As [`SiteBuilder::build`].
    pub fn new(visitors: Visitors, options: HttpOptions) -> Result<Self, Error> {
        Self::builder(visitors).options(options).build()
    }

    /// A site of these visitors at `https://www.wixapis.com`, if nothing else is said.
    pub fn builder(visitors: Visitors) -> SiteBuilder {
        SiteBuilder { visitors, options: HttpOptions::new(), timeout: Api::TIMEOUT }
    }

    /// The visitor with this key, which need not exist yet: it is minted when something first needs a token.
    pub fn visitor(&self, key: impl AsRef<str>) -> SiteVisitor {
        SiteVisitor { visitor: self.visitors.visitor(key), api: Arc::clone(&self.api) }
    }

    /// This visitor of the site, who can call Wix APIs: for one that was handed out by something else, as a web session does.
    pub fn as_visitor(&self, visitor: &Visitor) -> SiteVisitor {
        SiteVisitor { visitor: visitor.clone(), api: Arc::clone(&self.api) }
    }

    /// The visitors without the API calls.
    pub fn visitors(&self) -> &Visitors {
        &self.visitors
    }

    /// Waits for grants under way and unsaved tokens. Call it before the program ends.
    ///
    /// # Errors
    /// As [`Visitors::shutdown`].
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.visitors.shutdown().await
    }
}

impl SiteBuilder {
    /// Address, proxy and TLS: the same value as for the [`WixEndpoint`](crate::WixEndpoint).
    #[must_use]
    pub fn options(mut self, options: HttpOptions) -> Self {
        self.options = options;
        self
    }

    /// For how long an API call may take that does not say otherwise, to the last byte of the answer's body; 30 s if not
    /// set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Checks everything and builds the site. Sends nothing.
    ///
    /// # Errors
    /// [`InvalidInput`](wix_visitor_core::ErrorKind::InvalidInput) with what is wrong about the base URL (see
    /// [`HttpOptions::base_url`]), the proxy or a certificate;
    /// [`Misconfigured`](wix_visitor_core::ErrorKind::Misconfigured) if the system's TLS cannot be used, unless
    /// that is [left for later](HttpOptions::lazy).
    pub fn build(self) -> Result<Site, Error> {
        Ok(Site { visitors: self.visitors, api: Arc::new(Api::new(&self.options, self.timeout)?) })
    }
}

impl Deref for Site {
    type Target = Visitors;

    fn deref(&self) -> &Visitors {
        &self.visitors
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("visitors", &self.visitors).field("api", &self.api.base).finish_non_exhaustive()
    }
}

/// One visitor of a site, who can call Wix APIs. Cheap to clone; everything of [`Visitor`] is here too.
///
/// A path starts with `/`, or is a whole URL of the configured API.
#[derive(Clone)]
pub struct SiteVisitor {
    visitor: Visitor,
    api: Arc<Api>,
}

impl SiteVisitor {
    /// A call with any method.
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> ApiRequest {
        let visitor = Arc::new(self.visitor.clone());
        let memory = self.visitor.attachment();
        ApiRequest::new(Arc::clone(&self.api), visitor, memory, method, path.as_ref())
    }

    /// A `GET`.
    pub fn get(&self, path: impl AsRef<str>) -> ApiRequest {
        self.request(Method::GET, path)
    }

    /// A `POST`.
    pub fn post(&self, path: impl AsRef<str>) -> ApiRequest {
        self.request(Method::POST, path)
    }

    /// A `PUT`.
    pub fn put(&self, path: impl AsRef<str>) -> ApiRequest {
        self.request(Method::PUT, path)
    }

    /// A `PATCH`.
    pub fn patch(&self, path: impl AsRef<str>) -> ApiRequest {
        self.request(Method::PATCH, path)
    }

    /// A `DELETE`.
    pub fn delete(&self, path: impl AsRef<str>) -> ApiRequest {
        self.request(Method::DELETE, path)
    }

    /// A GraphQL query with its variables: `POST /graphql/alpha`, answered with `{"data", "errors"}`.
    pub fn graphql(&self, query: &str, variables: impl Serialize) -> ApiRequest {
        #[derive(Serialize)]
        struct Body<'a, V> {
            query: &'a str,
            variables: V,
        }
        self.post("/graphql/alpha").json(&Body { query, variables })
    }

    /// Asks Wix what it knows of the visitor's access token, minting or renewing first as needed.
    ///
    /// # Errors
    /// As [`ApiRequest::send`]; also [`Unavailable`](wix_visitor_core::ErrorKind::Unavailable) for any status but success.
    pub async fn token_info(&self) -> Result<TokenInfo, Error> {
        token_info(&self.api, &self.visitor).await
    }

    /// The visitor without the API calls.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }
}

impl Deref for SiteVisitor {
    type Target = Visitor;

    fn deref(&self) -> &Visitor {
        &self.visitor
    }
}

impl fmt::Debug for SiteVisitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteVisitor").field("visitor", &self.visitor).finish_non_exhaustive()
    }
}
