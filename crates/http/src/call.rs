//! One API call as a visitor: send, and where the token was rejected renew once and send once more.

use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use wix_visitor_core::{Authorization, Error, ErrorKind, Visitor, VisitorId, VisitorLost, async_trait};

use crate::client::{Client, Use};
use crate::memory::ApiMemory;
use crate::network::why;
use crate::options::{HttpOptions, RedirectRefused};
use crate::origin::BaseUrl;
use crate::response::ApiResponse;
use crate::span::api_call;

static CONSISTENT: HeaderName = HeaderName::from_static("x-wix-consistent");

/// The API of one site: where it is and how it is reached.
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) base: BaseUrl,
    pub(crate) timeout: Duration,
}

impl Api {
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

    pub(crate) fn new(options: &HttpOptions, timeout: Duration) -> Result<Self, Error> {
        let base = options.parse_base_url()?;
        Ok(Self { client: Client::new(options, &base, Use::Calls)?, base, timeout })
    }

    pub(crate) async fn execute(&self, request: reqwest::Request) -> Result<reqwest::Response, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            let message = "there is no tokio runtime here: call this from within one";
            return Err(Error::new(ErrorKind::NoRuntime, message));
        }
        self.client.get()?.execute(request).await.map_err(not_answered)
    }
}

/// A token that may be sent, and what was lost to get it.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) header: HeaderValue,
    pub(crate) lost: Option<VisitorLost>,
}

impl From<Authorization> for Pass {
    fn from(authorization: Authorization) -> Self {
        Self { header: authorization.header().clone(), lost: authorization.lost().cloned() }
    }
}

/// What a call needs of a visitor. A seam: the tests here stand in for the token flow.
#[async_trait]
pub(crate) trait Credentials: Send + Sync {
    fn id(&self) -> Option<VisitorId>;
    async fn authorization(&self) -> Result<Pass, Error>;
    async fn renew_if(&self, rejected: &Pass) -> Result<Pass, Error>;
}

#[async_trait]
impl Credentials for Visitor {
    fn id(&self) -> Option<VisitorId> {
        Some(Visitor::id(self))
    }

    async fn authorization(&self) -> Result<Pass, Error> {
        Visitor::authorization(self).await.map(Pass::from)
    }

    async fn renew_if(&self, rejected: &Pass) -> Result<Pass, Error> {
        Visitor::renew_if(self, rejected.header.as_bytes()).await.map(Pass::from)
    }
}

/// Sends the request with the visitor's token, which has been resolved within the API's origin.
pub(crate) async fn send(
    api: &Api,
    visitor: &dyn Credentials,
    memory: &ApiMemory,
    request: reqwest::Request,
) -> Result<ApiResponse, Error> {
    let method = request.method().clone();
    api_call(visitor.id(), &method, renewing(api, visitor, memory, request)).await
}

async fn renewing(
    api: &Api,
    visitor: &dyn Credentials,
    memory: &ApiMemory,
    request: reqwest::Request,
) -> Result<ApiResponse, Error> {
    // None if the body is a stream: that can be sent once only.
    let again = request.try_clone();
    let pass = visitor.authorization().await?;
    let first = exchange(api, memory, request, &pass).await?.with_lost(pass.lost.clone());
    let Some(rejection) = first.rejection() else { return Ok(first) };
    if !memory.may_renew(rejection, pass.header.as_bytes(), Instant::now()) {
        return Ok(first);
    }
    let fresh = match visitor.renew_if(&pass).await {
        Ok(fresh) => fresh,
        Err(e) if matches!(e.kind(), ErrorKind::MemberSessionEnded | ErrorKind::VisitorLost) => return Err(e),
        // What the API said tells the caller more than why we could not do better.
        Err(_) => return Ok(first),
    };
    let lost = fresh.lost.clone().or(pass.lost);
    // Until the retry shows otherwise. A caller who goes away meanwhile leaves it like this, which costs no grant.
    memory.distrust(rejection, fresh.header.as_bytes(), Instant::now());
    let Some(again) = again.filter(|_| fresh.header != pass.header) else { return Ok(first.with_lost(lost)) };
    // The connection is free again before the retry wants one.
    drop(first);
    let second = exchange(api, memory, again, &fresh).await?;
    if second.rejection() != Some(rejection) {
        memory.trust(rejection, fresh.header.as_bytes());
    }
    Ok(second.with_lost(lost))
}

async fn exchange(
    api: &Api,
    memory: &ApiMemory,
    mut request: reqwest::Request,
    pass: &Pass,
) -> Result<ApiResponse, Error> {
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, pass.header.clone());
    if let Some(value) = memory.consistent() {
        headers.entry(&CONSISTENT).or_insert(value);
    }
    let response = api.execute(request).await?;
    if let Some(value) = response.headers().get(&CONSISTENT) {
        memory.set_consistent(value);
    }
    Ok(ApiResponse::read(response).await)
}

/// A call without an answer. Its URL may hold what is nobody's business, so nothing here repeats it.
pub(crate) fn not_answered(error: reqwest::Error) -> Error {
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<RedirectRefused>() {
            return Error::new(ErrorKind::Misconfigured, format!("the API {refused}: check the API URL"))
                .with_source(error.without_url());
        }
        source = cause.source();
    }
    let why = why(&error);
    let (kind, message) = if error.is_builder() {
        (ErrorKind::InvalidInput, format!("the call cannot be sent: {why}"))
    } else if error.is_redirect() {
        (ErrorKind::Misconfigured, "the API redirected to something that is no URL: check the API URL".to_owned())
    } else if error.is_connect() {
        (ErrorKind::Unavailable, format!("the API cannot be reached: {why}"))
    } else {
        (ErrorKind::Unavailable, format!("the call was sent and not fully answered, so it may have acted: {why}"))
    };
    Error::new(kind, message).with_source(error.without_url())
}
