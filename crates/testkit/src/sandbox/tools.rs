//! The sandbox's own paths, which Wix does not have: for tests of a client's redirects, replays and headers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::header;
use serde_json::{Map, Value, json};

use super::{
    asked::{Asked, Authorization, RequestKind},
    log::without_tokens,
    reply::Reply,
};

pub(super) fn answer(asked: &Asked) -> Reply {
    if asked.kind == RequestKind::Preflight {
        return preflight(asked);
    }
    match asked.path.strip_prefix("/_sandbox/") {
        Some("echo") => echo(asked),
        Some("redirect") => redirect(asked),
        Some("checkout") => Reply::html(
            200,
            "<!doctype html><title>Sandbox checkout</title><h1>Here Wix would show its checkout</h1>\n",
        ),
        Some(rest) => match rest.strip_prefix("status/").and_then(status) {
            Some(status) => Reply::json(status, &json!({ "status": status })),
            None => not_found(),
        },
        None => not_found(),
    }
}

fn not_found() -> Reply {
    Reply::application_error(404, "NOT_FOUND", "the sandbox has no such path")
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (200..=599).contains(status))
}

/// What arrived, with the credentials left out: only how they came.
fn echo(asked: &Asked) -> Reply {
    let mut headers = Map::new();
    for (name, value) in &asked.headers {
        let value = if name == header::AUTHORIZATION {
            match asked.authorization {
                Authorization::Bearer => "[bearer]".to_owned(),
                Authorization::Bare | Authorization::Absent => "[bare]".to_owned(),
            }
        } else if name == header::COOKIE {
            "[present]".to_owned()
        } else {
            without_tokens(&String::from_utf8_lossy(value.as_bytes()))
        };
        headers.insert(name.as_str().to_owned(), Value::from(value));
    }
    let (body, base64) = match std::str::from_utf8(&asked.body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(&asked.body), true),
    };
    Reply::json(
        200,
        &json!({
            "method": asked.method.as_str(),
            "path": asked.path,
            "query": asked.query,
            "headers": headers,
            "body": body,
            "bodyIsBase64": base64,
        }),
    )
}

/// `?to=URL`, and `&status=307` for another kind of redirect than 302.
fn redirect(asked: &Asked) -> Reply {
    let query = asked.query.as_deref().unwrap_or_default();
    let mut to = None;
    let mut code = 302;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "to" => to = Some(value.into_owned()),
            "status" => code = status(&value).filter(|code| code / 100 == 3).unwrap_or(302),
            _ => {}
        }
    }
    match to {
        Some(to) => Reply::empty(code).header("location", to),
        None => Reply::application_error(400, "NO_TARGET", "say where: /_sandbox/redirect?to=URL"),
    }
}

/// A page may send whatever it asks to send: there is nothing here to protect.
fn preflight(asked: &Asked) -> Reply {
    let wanted = asked
        .headers
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("authorization, content-type");
    Reply::empty(204)
        .header("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
        .header("access-control-allow-headers", wanted)
        .header("access-control-max-age", "600")
}
