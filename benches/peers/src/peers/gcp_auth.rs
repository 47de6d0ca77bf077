//! gcp_auth: a service account from its JSON, which names the token endpoint. It signs each request for a token.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use gcp_auth::{CustomServiceAccount, Token, TokenProvider};

use super::Peer;
use crate::Result;

pub(crate) struct GcpAuth(CustomServiceAccount);

impl Peer for GcpAuth {
    const NAME: &'static str = "gcp_auth";
    type Token = Arc<Token>;

    async fn new(url: &str) -> Result<Self> {
        let account = serde_json::json!({
            "type": "service_account",
            "project_id": "project",
            "client_email": "account@project.invalid",
            "private_key": private_key()?,
            "token_uri": format!("{url}/token"),
        });
        Ok(Self(CustomServiceAccount::from_json(&account.to_string())?))
    }

    async fn token(&self) -> Result<Arc<Token>> {
        Ok(self.0.token(&["scope"]).await?)
    }
}

/// Of an account that nobody has.
fn private_key() -> Result<&'static str> {
    static KEY: OnceLock<String> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der = key.as_der()?;
    let text = STANDARD.encode(der.as_ref());
    Ok(KEY.get_or_init(|| format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")))
}
