//! `call`: an API call as the visitor.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use serde::de::IgnoredAny;
use wix_visitor::{ApiResponse, Secret};

use super::{is_due, renew_due};
use crate::args::CallArgs;
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{Console, Out};
use crate::setup::Session;

/// The body is kept in memory, so that the call can be made once more after a 401.
const LARGEST: u64 = 256 * 1024 * 1024;

type Header = (HeaderName, HeaderValue);

/// What can be said of a call without a visitor.
pub(super) fn check(args: &CallArgs) -> Result<(), Failure> {
    method(args)?;
    headers(args).map(drop)
}

pub(super) async fn run(args: &CallArgs, session: &Session, console: Console, out: &mut Out) -> Result<Exit, Failure> {
    let mut request = session.visitor.request(method(args)?, &args.path);
    let headers = headers(args)?;
    let content_type = headers.iter().rev().find(|(name, _)| name == CONTENT_TYPE).map(|(_, value)| value.clone());
    if let Some(data) = &args.data {
        let body = body(data).await?;
        if content_type.as_ref().is_none_or(is_json) {
            check_json(&body)?;
        }
        if content_type.is_none() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request = request.body(body);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    // Before a token is asked for: a call that cannot be made is no reason to mint or to renew.
    request.check()?;
    let due = is_due(session).await?;
    let mut response = request.send().await?;
    if args.include {
        out.write(&head(&response)).await?;
    }
    while let Some(chunk) = response.chunk().await? {
        out.write(&chunk).await?;
        if out.is_gone() {
            break;
        }
    }
    out.end_line().await?;
    let exit = judge(&response, console);
    if due {
        renew_due(session, console).await?;
    }
    Ok(exit)
}

fn judge(response: &ApiResponse, console: Console) -> Exit {
    let status = response.status();
    if status.as_u16() < 400 {
        return Exit::Done;
    }
    let failure = Failure {
        status: Some(status.as_u16()),
        request_id: response.request_id().map(Box::from),
        ..Failure::new(
            Exit::ApiError,
            "api_error",
            format!("the API answered {}", status.canonical_reason().unwrap_or("an error")),
        )
    };
    console.failure(&failure);
    failure.exit
}

/// Status and headers as the API sent them. The protocol's version is not told to us.
fn head(response: &ApiResponse) -> Vec<u8> {
    let mut head = format!("HTTP {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn method(args: &CallArgs) -> Result<Method, Failure> {
    let name = args.method.to_ascii_uppercase();
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    match Method::from_bytes(name.as_bytes()) {
        Ok(method) if known.contains(&name.as_str()) => Ok(method),
        _ => Err(Failure::usage(format!("the first word of a call is its method, one of {}", known.join(", ")))
            .advise("such as: wix-visitor call GET /ecom/v1/carts/current")),
    }
}

fn headers(args: &CallArgs) -> Result<Vec<Header>, Failure> {
    args.headers.iter().map(header).collect()
}

/// Errors never repeat it: it may hold a key.
fn header(text: &Secret) -> Result<Header, Failure> {
    let form = || Failure::usage("a header is given as 'Name: value'");
    let (name, value) = text.expose().split_once(':').ok_or_else(form)?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| form())?;
    let value = HeaderValue::try_from(value.trim())
        .map_err(|_| Failure::usage(format!("the header `{name}` has a value that no header can have")))?;
    Ok((name, value))
}

async fn body(data: &str) -> Result<Bytes, Failure> {
    let source = match data {
        "-" => "-",
        _ => match data.strip_prefix('@') {
            Some(file) => file,
            None => return Ok(Bytes::copy_from_slice(data.as_bytes())),
        },
    };
    input::read(source, LARGEST, "the body").await.map(Bytes::from)
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

fn check_json(body: &[u8]) -> Result<(), Failure> {
    serde_json::from_slice::<IgnoredAny>(body).map(drop).map_err(|error| {
        // In our own words: what serde says may quote the body.
        let at = format!("line {}, column {}", error.line(), error.column());
        Failure::usage(format!("the body is not JSON: it stops being that at {at}; nothing was sent"))
            .advise("if it is meant to be something else, say so: -H 'content-type: text/plain'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_cannot_be_one_is_refused_without_repeating_it() {
        for text in ["hunter2", ": hunter2", "a b: hunter2", "x: hunter2\nhunter2"] {
            let failure = header(&Secret::new(text)).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
        }
        let (name, value) = header(&Secret::new("X-Id:  a: b ")).unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-id", "a: b"));
    }

    #[test]
    fn json_is_known_by_its_type() {
        for (text, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/plain", false),
            ("application/jsonlines", false),
        ] {
            assert_eq!(is_json(&HeaderValue::from_static(text)), json, "{text}");
        }
    }
}
