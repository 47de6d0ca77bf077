//! Reading a request: what kind it is, and who it says it is from.

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri, header};
use serde_json::Value;

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// The token endpoint, grant `anonymous`.
    Mint,
    /// The token endpoint, grant `refresh_token`.
    Renew,
    /// The token endpoint, grant `authorization_code`.
    SignIn,
    /// The token endpoint, with another grant, none, or a body that cannot be read.
    OtherGrant,
    /// The token-info endpoint.
    TokenInfo,
    /// The revoke address, whether there is one or not.
    Revoke,
    /// Any other path: an API call, known or not.
    Api,
    /// The page where a member signs in.
    Login,
    /// A browser's question before the real request.
    Preflight,
    /// One of the sandbox's own paths under `/_sandbox/`.
    Tool,
    /// What steers the sandbox itself: `/_sandbox/faults`.
    Control,
}

/// How the body of a token request was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// Neither, or it could not be read as what it said it was.
    Unreadable,
}

/// How a request carried its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authorization {
    /// No `Authorization` header.
    Absent,
    /// `Authorization: <token>`
    Bare,
    /// `Authorization: Bearer <token>`
    Bearer,
}

/// A request, read whole. Not `Debug`: it holds tokens.
pub(super) struct Asked {
    pub(super) kind: RequestKind,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) authorization: Authorization,
    /// From the header at an API call.
    pub(super) access: Option<String>,
    /// The fields of a request to the token endpoint.
    pub(super) fields: Fields,
}

/// The fields of a token request, each as spelled, and how they came.
pub(super) struct Fields {
    pub(super) encoding: Option<Encoding>,
    pub(super) given: Vec<(String, String)>,
}

impl Fields {
    const NONE: Self = Self { encoding: None, given: Vec::new() };

    const UNREADABLE: Self = Self { encoding: Some(Encoding::Unreadable), given: Vec::new() };

    /// A field in either spelling; an empty one counts as missing.
    pub(super) fn get(&self, camel: &str, snake: &str) -> Option<&str> {
        self.given
            .iter()
            .find(|(name, _)| name == camel || name == snake)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        self.get("clientId", "client_id")
    }

    pub(super) fn grant_type(&self) -> Option<&str> {
        self.get("grantType", "grant_type")
    }

    pub(super) fn refresh_token(&self) -> Option<&str> {
        self.get("refreshToken", "refresh_token")
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.get("code", "code")
    }

    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        if content_type.starts_with("application/x-www-form-urlencoded") {
            let given = url::form_urlencoded::parse(body)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            return Self { encoding: Some(Encoding::Form), given };
        }
        if !content_type.is_empty() && !content_type.starts_with("application/json") {
            return Self::UNREADABLE;
        }
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
            return Self::UNREADABLE;
        };
        let mut given = Vec::new();
        for (name, value) in object {
            match value {
                Value::String(value) => given.push((name, value)),
                Value::Null => given.push((name, String::new())),
                // No field of this endpoint is anything but a string.
                _ => return Self::UNREADABLE,
            }
        }
        Self { encoding: Some(Encoding::Json), given }
    }
}

impl Asked {
    pub(super) fn read(method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let path = uri.path().to_owned();
        let (authorization, access) = authorization(&headers);
        let mut fields = Fields::NONE;
        let kind = match path.as_str() {
            _ if method == Method::OPTIONS => RequestKind::Preflight,
            "/oauth2/token" if method == Method::POST => {
                fields = Fields::read(&headers, &body);
                match fields.grant_type() {
                    Some("anonymous") => RequestKind::Mint,
                    Some("refresh_token") => RequestKind::Renew,
                    Some("authorization_code") => RequestKind::SignIn,
                    _ => RequestKind::OtherGrant,
                }
            }
            "/oauth2/token" => RequestKind::OtherGrant,
            "/oauth2/token-info" => {
                fields = Fields::read(&headers, &body);
                RequestKind::TokenInfo
            }
            "/oauth2/revoke" if method == Method::POST => {
                fields = Fields::read(&headers, &body);
                RequestKind::Revoke
            }
            super::login::PATH => RequestKind::Login,
            super::control::PATH => RequestKind::Control,
            tool if tool.starts_with("/_sandbox/") => RequestKind::Tool,
            _ => RequestKind::Api,
        };
        Self { kind, method, path, query: uri.query().map(str::to_owned), headers, body, authorization, access, fields }
    }

    /// The token or code that the request presents: in its header, or in its body at the endpoints for tokens.
    pub(super) fn presented(&self) -> Option<&str> {
        match self.kind {
            RequestKind::Mint | RequestKind::Renew | RequestKind::OtherGrant => self.fields.refresh_token(),
            RequestKind::SignIn => self.fields.code(),
            RequestKind::TokenInfo | RequestKind::Revoke => self.fields.get("token", "token"),
            _ => self.access.as_deref(),
        }
    }
}

fn authorization(headers: &HeaderMap) -> (Authorization, Option<String>) {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return (Authorization::Absent, None);
    };
    // Bytes that are no text are no token of ours, but something was there.
    let value = String::from_utf8_lossy(value.as_bytes());
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            (Authorization::Bearer, Some(token.trim().to_owned()))
        }
        _ => (Authorization::Bare, Some(value.trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(content_type: &str, body: &str) -> Fields {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        Fields::read(&headers, body.as_bytes())
    }

    #[test]
    fn each_field_may_be_spelled_either_way() {
        let mixed = fields("application/json", r#"{"refresh_token":"r","grantType":"g","client_id":"c"}"#);
        assert_eq!(mixed.refresh_token(), Some("r"));
        assert_eq!(mixed.grant_type(), Some("g"));
        assert_eq!(mixed.client_id(), Some("c"));
        let form = fields("application/x-www-form-urlencoded; charset=utf-8", "refreshToken=a%2Bb&grant_type=g");
        assert_eq!(form.refresh_token(), Some("a+b"));
        assert_eq!(form.encoding, Some(Encoding::Form));
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_unreadable() {
        for (content_type, body) in [
            ("application/json", "grantType=anonymous"),
            ("application/json", r#"["anonymous"]"#),
            ("application/json", r#"{"grantType":1}"#),
            ("text/plain", r#"{"grantType":"anonymous"}"#),
        ] {
            let read = fields(content_type, body);
            assert_eq!(read.encoding, Some(Encoding::Unreadable), "{body}");
        }
    }

    #[test]
    fn bearer_is_taken_off_whatever_its_case() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "bearer abc".parse().unwrap());
        assert_eq!(authorization(&headers), (Authorization::Bearer, Some("abc".into())));
        headers.insert(header::AUTHORIZATION, "abc".parse().unwrap());
        assert_eq!(authorization(&headers), (Authorization::Bare, Some("abc".into())));
    }
}
