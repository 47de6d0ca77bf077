//! `sandbox --fault` and `/_sandbox/faults`: what a client of such a sandbox meets.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::long_running::Running;
use crate::support::{CART, CLIENT_ID, PRODUCTS, User};

/// Sends a request by hand and reads until the connection ends: head and body.
fn ask(url: &str, method: &str, path: &str, body: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
    )?;
    let mut read = String::new();
    stream.read_to_string(&mut read)?;
    let (head, body) = read.split_once("\r\n\r\n").unwrap();
    Ok((head.to_owned(), body.to_owned()))
}

fn mint(url: &str) -> io::Result<(String, String)> {
    ask(url, "POST", "/oauth2/token", &json!({ "clientId": CLIENT_ID, "grantType": "anonymous" }).to_string())
}

fn at(running: &Running) -> User {
    User::new().with("WIX_CLIENT_ID", CLIENT_ID).with("WIX_API_URL", running.url.clone())
}

/// What the sandbox says of the next request: the fault, the status, and whether it acted.
fn seen(running: &mut Running) -> (Value, Value, bool) {
    let mut entry = running.next();
    (entry["fault"].take(), entry["status"].take(), entry["identity"].is_string())
}

#[test]
fn each_kind_of_fault_looks_as_it_was_planned() {
    let host = User::new();
    let mut planned = Vec::new();
    for fault in [
        "mint: status=503, retry-after=7",
        "mint: status=400, body={\"error\": \"one, two\"}",
        "mint: html",
        "mint: empty, status=403",
        "mint: truncate",
        "mint: oversize=100000",
        "mint: reset",
        "mint: reset, after-acting",
        "mint: delay=1ms",
    ] {
        planned.extend(["--fault", fault]);
    }
    let mut running = Running::start(&host, &planned);
    let url = running.url.clone();
    let answered = || mint(&url).unwrap();

    let (head, body) = answered();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 7") && body.is_empty(), "{head}");
    assert_eq!(seen(&mut running), (json!("status 503"), json!(503), false));
    let (head, body) = answered();
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("application/json"), "{head}");
    assert_eq!(body, "{\"error\": \"one, two\"}");
    seen(&mut running);
    let (head, body) = answered();
    assert!(head.starts_with("HTTP/1.1 200 ") && body.starts_with("<!doctype html>"), "{head}");
    assert_eq!(seen(&mut running), (json!("status 200 after acting"), json!(200), true));
    let (head, body) = answered();
    assert!(head.starts_with("HTTP/1.1 403 ") && body.is_empty(), "{head}");
    seen(&mut running);
    let (head, body) = answered();
    assert!(head.contains("content-length: ") && !head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert_eq!(seen(&mut running), (json!("truncate after acting"), json!(200), true));
    assert!(answered().1.len() > 100_000);
    seen(&mut running);
    for (fault, acted) in [("reset", false), ("reset after acting", true)] {
        assert_eq!(mint(&url).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(seen(&mut running), (json!(fault), json!(null), acted));
    }
    assert!(answered().0.starts_with("HTTP/1.1 200 "));
    assert_eq!(seen(&mut running).0, "delay");
    assert!(answered().0.starts_with("HTTP/1.1 200 "));
    assert_eq!(seen(&mut running).0, json!(null));
    running.end();
}

#[test]
fn a_client_that_loses_no_visitor_tells_each_fault_by_its_exit_code() {
    let host = User::new();
    for (fault, code, says) in [
        ("token: status=503, retry-after=600", 4, "try again in"),
        ("token: status=400, body={\"error\": \"invalid_client\"}", 3, "compare the client id"),
        ("token: html", 4, "the API URL right?"),
        ("token: truncate", 4, "may have acted"),
        ("token: oversize=100000", 4, "larger than any token reply"),
        ("mint: reset", 4, "may have acted"),
        ("mint: reset, after-acting", 4, "may have acted"),
    ] {
        let running = Running::start(&host, &["--fault", fault]);
        at(&running).run(&["token"]).failed(code, says);
        running.end();
    }
    let running = Running::start(&host, &["--fault", "/ecom/: status=500, always", "--fault", "renew: status=503"]);
    let user = at(&running);
    let token = user.token();
    assert_eq!(user.run(&["call", "GET", CART]).code, Some(7));
    user.run(&["call", "POST", PRODUCTS, "-d", "{}"]).done();
    user.run(&["renew"]).failed(4, "status 503");
    assert_eq!(user.token(), token);
    running.end();
}

#[test]
fn faults_are_planned_and_cleared_while_it_runs() {
    let host = User::new();
    let running = Running::start(&host, &[]);
    let faults = |method, body| ask(&running.url, method, "/_sandbox/faults", body).unwrap();
    let (head, body) = faults("POST", "any: status=503, always");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("status 503"), "{head}{body}");
    assert!(mint(&running.url).unwrap().0.starts_with("HTTP/1.1 503 "));
    assert_eq!(faults("DELETE", "").1, r#"{"faults":[]}"#);
    at(&running).token();
    let (head, body) = faults("POST", "renew: explode");
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("explode") && body.contains("reset"), "{head}{body}");
    running.end();
}

#[test]
fn help_tells_how_to_plan_them_and_which_paths_there_are() {
    let help = User::new().run(&["sandbox", "--help"]).done().stdout;
    for words in
        ["--fault 'renew: status=503", "after-acting", "/_sandbox/faults", "/_sandbox/echo", "/_sandbox/status/NNN"]
    {
        assert!(help.contains(words), "no {words:?} in {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}
