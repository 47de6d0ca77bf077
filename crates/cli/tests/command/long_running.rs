//! `sandbox`: a sandbox for other programs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

use serde_json::Value;

use crate::support::{CLIENT_ID, PRODUCTS, User, mug, send_signal};

/// A sandbox that another command may use.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    pub(crate) url: String,
}

impl Running {
    pub(crate) fn start(user: &User, words: &[&str]) -> Self {
        let mut child = user.start(&[&["--json", "sandbox", "--listen", "127.0.0.1:0"], words].concat());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let url = line(&mut stdout)["sandbox"]["url"].as_str().unwrap().to_owned();
        Self { child, stdout, url }
    }

    pub(crate) fn next(&mut self) -> Value {
        line(&mut self.stdout)["request"].clone()
    }

    pub(crate) fn end(mut self) {
        send_signal(&self.child, "INT");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        eprint!("{stderr}");
    }
}

fn line(from: &mut impl std::io::BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn it_answers_logs_without_secrets_and_ends_well_on_ctrl_c() {
    let host = User::new();
    let mut running = Running::start(&host, &["--token-ttl", "600", "--rotation", "new", "--expires-in", "string"]);
    let user = User::new().with("WIX_CLIENT_ID", CLIENT_ID).with("WIX_API_URL", running.url.clone());
    let token = user.token();
    assert!((500..=600).contains(&user.status()["expires_in"].as_i64().unwrap()));
    user.run(&["call", "POST", &format!("{PRODUCTS}?secret=query"), "-d", "{}"]).done();
    for (kind, path, status) in [("Mint", "/oauth2/token", 200), ("Api", PRODUCTS, 200)] {
        let request = running.next();
        assert_eq!(
            (&request["kind"], &request["path"], &request["status"]),
            (&kind.into(), &path.into(), &status.into())
        );
        assert!(!request.to_string().contains(&token));
    }
    let before = user.exported();
    user.run(&["renew"]).done();
    assert!(user.exported()["refreshToken"] != before["refreshToken"], "the refresh token was not rotated");
    running.end();
}

#[test]
fn its_state_outlives_it_where_a_file_is_named() {
    let host = User::new();
    let state = host.path("state.json").display().to_string();
    let user = User::new().with("WIX_CLIENT_ID", CLIENT_ID);
    let running = Running::start(&host, &["--state", &state]);
    let user = user.with("WIX_API_URL", running.url.clone());
    user.run(&mug()).done();
    let exported = user.run(&["export"]).done().stdout;
    running.end();
    let running = Running::start(&host, &["--state", &state]);
    // Another port is another issuer, so the visitor is taken along.
    let user = user.with("WIX_API_URL", running.url.clone());
    user.run_with(&["import"], exported).done();
    assert!(user.run(&["call", "GET", crate::support::CART]).done().stdout.contains("lineItems"));
    running.end();
}

#[test]
fn it_shows_the_lines_to_try() {
    let host = User::new();
    let mut child = host.start(&["sandbox", "--listen", "127.0.0.1:0"]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("Ctrl-C ends it") {
        assert!(stdout.read_line(&mut shown).unwrap() > 0, "{shown}");
    }
    assert!(
        shown.contains("A sandbox, not Wix")
            && shown.contains("curl http://127.0.0.1:")
            && shown.contains("WIX_API_URL")
    );
    send_signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_address_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    User::new().run(&["sandbox", "--listen", &address]).failed(1, "choose another port");
}
