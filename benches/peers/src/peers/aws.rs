//! The AWS SDK's identity cache, as each of its clients has it by default, with a resolver that asks our endpoint: which one that is
//! the SDK leaves to whoever builds the client.

use std::time::{Duration, SystemTime};

use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_runtime::client::{
    auth::http::BearerAuthScheme, identity::IdentityCache, orchestrator::endpoints::StaticUriEndpointResolver,
    retries::strategy::NeverRetryStrategy,
};
use aws_smithy_runtime_api::client::{
    auth::{http::HTTP_BEARER_AUTH_SCHEME_ID, static_resolver::StaticAuthSchemeOptionResolver},
    identity::{Identity, IdentityFuture, ResolveCachedIdentity, ResolveIdentity, SharedIdentityResolver, http::Token},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::config_bag::ConfigBag;
use serde::Deserialize;

use super::Peer;
use crate::Result;

pub(crate) struct Aws {
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    config: ConfigBag,
}

impl Peer for Aws {
    const NAME: &'static str = "AWS identity cache";
    type Token = Identity;

    async fn new(url: &str) -> Result<Self> {
        let asking = Asking { client: reqwest::Client::new(), url: format!("{url}/token") };
        let resolver = SharedIdentityResolver::new(asking);
        let components = RuntimeComponents::builder("a client")
            .with_identity_cache(Some(IdentityCache::lazy().build()))
            .with_time_source(Some(SystemTimeSource::new()))
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_identity_resolver(HTTP_BEARER_AUTH_SCHEME_ID, resolver.clone())
            .with_auth_scheme(BearerAuthScheme::new())
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![
                HTTP_BEARER_AUTH_SCHEME_ID,
            ])))
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::uri(url)))
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .build()?;
        Ok(Self { resolver, components, config: ConfigBag::base() })
    }

    async fn token(&self) -> Result<Identity> {
        let cache = self.components.identity_cache();
        cache.resolve_cached_identity(self.resolver.clone(), &self.components, &self.config).await
    }
}

#[derive(Debug)]
struct Asking {
    client: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
struct Reply {
    access_token: String,
    expires_in: u64,
}

impl ResolveIdentity for Asking {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::new(async move {
            let reply = self.client.post(&self.url).send().await?.error_for_status()?;
            let Reply { access_token, expires_in } = reply.json().await?;
            let expiry = SystemTime::now() + Duration::from_secs(expires_in);
            Ok(Identity::new(Token::new(access_token, Some(expiry)), Some(expiry)))
        })
    }
}
