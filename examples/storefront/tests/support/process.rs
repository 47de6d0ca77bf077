//! The storefront as a process.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use wix_visitor_testkit::sandbox::Sandbox;

use crate::browser::Browser;

/// Ends with the test.
pub(crate) struct Storefront {
    pub(crate) url: String,
    child: Child,
    out: BufReader<ChildStdout>,
    err: JoinHandle<String>,
}

impl Storefront {
    pub(crate) async fn start(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(data, arguments, variables).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        // Read all along, so that it never waits for us.
        let err = tokio::spawn(async move {
            let mut told = String::new();
            let _ = err.read_to_string(&mut told).await;
            told
        });
        let mut line = String::new();
        out.read_line(&mut line).await.unwrap();
        let Some(url) = line.trim().strip_prefix("storefront on ") else {
            panic!("it said {line:?}: {}", err.await.unwrap())
        };
        Self { url: url.to_owned(), child, out, err }
    }

    /// For a site, whose API is that sandbox.
    pub(crate) async fn on(sandbox: &Sandbox, data: &Path, arguments: &[&str]) -> Self {
        let url = sandbox.url();
        Self::start(data, arguments, &[("WIX_CLIENT_ID", crate::CLIENT_ID), ("WIX_API_URL", &url)]).await
    }

    /// Its exit code and what it says, where it does not start.
    pub(crate) async fn fails(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let output = command(data, arguments, variables).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// The state of the panel, once another process answers than the one from before.
    pub(crate) async fn until_restarted(&mut self, browser: &Browser, before: &Value) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(state) = browser.try_json("/panel/state").await
                && state["started"] != before["started"]
            {
                return state;
            }
            assert!(Instant::now() < end, "it is not back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as Ctrl-C does, and looks through what it said.
    pub(crate) async fn stop(mut self, browser: &Browser) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(&pid).status().await.unwrap().success());
        let status = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await.unwrap().unwrap();
        let told = self.err.await.unwrap();
        assert!(status.success(), "{status}: {told}");
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).await.unwrap();
        assert!(rest.is_empty() || rest.trim() == format!("storefront on {}", self.url), "{rest}");
        let session = browser.session();
        assert!(!told.contains("JWS.") && !told.contains(session.split('.').next().unwrap()), "a secret in {told}");
    }
}

fn command(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storefront"));
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.arg("--data").arg(data).args(arguments);
    for name in ["WIX_CLIENT_ID", "WIX_API_URL"] {
        command.env_remove(name);
    }
    command.env("RUST_LOG", "trace,hyper=info,h2=info").envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
