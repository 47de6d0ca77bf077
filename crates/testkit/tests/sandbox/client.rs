//! A client that smooths nothing over: one plain HTTP request on a connection of its own.

pub(crate) use std::{io::ErrorKind, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, body::Bytes};
use hyper_util::rt::TokioIo;
pub(crate) use serde_json::{Value, json};
pub(crate) use wix_visitor_testkit::sandbox::{
    Authorization, ClientIds, DeadToken, Encoding, ErrorShape, ExpiresIn, Fault, On, Point, RefreshField, RequestKind,
    Rotation, Sandbox, SandboxErrorKind, SandboxOptions, fingerprint,
};

pub(crate) const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
pub(crate) const MUG: &str = "5a4bd0c1-0001-4000-8000-000000000001";
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(crate) const CART: &str = "/ecom/v1/carts/current";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> String {
        let body = self.json();
        body["details"]["applicationError"]["code"].as_str().or(body["error"].as_str()).unwrap_or_default().to_owned()
    }
}

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One request on a connection of its own.
pub(crate) async fn try_ask(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, Failure> {
    let stream = tokio::net::TcpStream::connect(sandbox.addr()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "sandbox");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
    let response = sender.send_request(request).await;
    let answer = match response {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            Ok(Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: body.collect().await?.to_bytes().to_vec(),
            })
        }
        Err(error) => Err(error.into()),
    };
    drop(sender);
    let _ = connection.await;
    answer
}

pub(crate) async fn ask(sandbox: &Sandbox, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    try_ask(sandbox, method, path, headers, body).await.unwrap()
}

pub(crate) async fn token(sandbox: &Sandbox, body: &Value) -> Answer {
    ask(sandbox, "POST", "/oauth2/token", &[JSON], &body.to_string()).await
}

pub(crate) async fn mint(sandbox: &Sandbox) -> (String, String) {
    let answer = token(sandbox, &mint_body()).await;
    assert_eq!(answer.status, 200);
    pair(&answer)
}

pub(crate) fn mint_body() -> Value {
    json!({ "clientId": CLIENT, "grantType": "anonymous" })
}

pub(crate) fn renew_body(refresh: &str) -> Value {
    json!({ "refresh_token": refresh, "grantType": "refresh_token" })
}

pub(crate) async fn renew(sandbox: &Sandbox, refresh: &str) -> Answer {
    token(sandbox, &renew_body(refresh)).await
}

pub(crate) fn pair(answer: &Answer) -> (String, String) {
    let body = answer.json();
    (body["access_token"].as_str().unwrap().to_owned(), body["refresh_token"].as_str().unwrap_or_default().to_owned())
}

pub(crate) async fn call(sandbox: &Sandbox, method: &str, path: &str, access: &str, body: &str) -> Answer {
    let headers = [("authorization", access), JSON];
    ask(sandbox, method, path, &headers, body).await
}

pub(crate) async fn add_mugs(sandbox: &Sandbox, access: &str, quantity: u64) -> Answer {
    let body = json!({ "lineItems": [
        { "catalogReference": { "appId": "stores", "catalogItemId": MUG }, "quantity": quantity }
    ] });
    let path = format!("{CART}/add-to-cart");
    call(sandbox, "POST", &path, access, &body.to_string()).await
}

pub(crate) async fn mugs(sandbox: &Sandbox, access: &str) -> Option<u64> {
    let answer = call(sandbox, "GET", CART, access, "").await;
    answer.json()["cart"]["lineItems"][0]["quantity"].as_u64()
}

pub(crate) async fn start(options: SandboxOptions) -> Sandbox {
    Sandbox::start(options).await.unwrap()
}

pub(crate) async fn plain() -> Sandbox {
    start(SandboxOptions::new()).await
}

pub(crate) fn looks_right(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-wix-request-id").is_some());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 14_400);
    let (access, refresh) = pair(answer);
    assert!(access.starts_with("OauthNG.JWS."));
    assert_eq!(access.split('.').count(), 5);
    assert!(refresh.starts_with("JWS."));
}
