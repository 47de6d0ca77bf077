//! azure_identity: a client secret. It insists on https, so its transport, which may be replaced, sends what is meant for its
//! authority to our endpoint, by the HTTP client that it has anyway.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential},
    http::{AsyncRawResponse, ClientOptions, HttpClient, Request, Transport, Url, new_http_client},
};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};

use super::Peer;
use crate::Result;

pub(crate) struct Azure(Arc<ClientSecretCredential>);

impl Peer for Azure {
    const NAME: &'static str = "azure_identity";
    type Token = AccessToken;

    async fn new(url: &str) -> Result<Self> {
        let here = Here { client: new_http_client(None), url: format!("{url}/token").parse()? };
        let client_options =
            ClientOptions { transport: Some(Transport::new(Arc::new(here))), ..ClientOptions::default() };
        let options = ClientSecretCredentialOptions { client_options };
        let secret = Secret::new("secret");
        Ok(Self(ClientSecretCredential::new("tenant", "id".into(), secret, Some(options))?))
    }

    async fn token(&self) -> Result<AccessToken> {
        Ok(self.0.get_token(&["scope"], None).await?)
    }
}

#[derive(Debug)]
struct Here {
    client: Arc<dyn HttpClient>,
    url: Url,
}

#[async_trait]
impl HttpClient for Here {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        *request.url_mut() = self.url.clone();
        self.client.execute_request(&request).await
    }
}
