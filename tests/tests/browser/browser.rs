//! A headless Chromium of a test's own, driven by chromedriver.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fantoccini::cookies::Cookie;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use wix_visitor_testkit::ledger::note_secret;
use wix_visitor_tests::port;
use wix_visitor_tests::process::Process;
use wix_visitor_tests::wait::{until, until_it};

/// Under which name a shop on loopback gives sessions out.
const COOKIE: &str = "visitor";

/// A browser with a profile of its own. It ends when it is dropped, also by a panic, and when this process is gone.
#[derive(Debug)]
pub(crate) struct Browser {
    running: Option<Running>,
    plain: bool,
    // After what writes to it.
    profile: TempDir,
}

#[derive(Debug)]
struct Running {
    client: Client,
    _driver: Process,
}

impl Browser {
    /// One with a fresh profile.
    pub(crate) async fn new() -> Self {
        Self::with(false).await
    }

    /// One with a fresh profile, in which pages run no scripts.
    pub(crate) async fn without_javascript() -> Self {
        Self::with(true).await
    }

    async fn with(plain: bool) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { running: None, plain, profile };
        browser.start().await;
        browser
    }

    /// Where it keeps what it keeps.
    pub(crate) fn profile(&self) -> &Path {
        self.profile.path()
    }

    /// Ends it as a person does, and starts it again with the same profile.
    pub(crate) async fn restart(&mut self) {
        let running = self.running.take().unwrap();
        // Only a clone is left: it is the last, once `running` is gone.
        running.client.clone().close().await.unwrap();
        until("the browser to end", || processes_of(self.profile.path()).is_empty()).await;
        drop(running);
        self.start().await;
    }

    async fn start(&mut self) {
        let port = port::free();
        let mut driver = Command::new(program("chromedriver"));
        driver.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = Process::spawn(&mut driver, self.profile.path());
        let url = format!("http://127.0.0.1:{port}");
        until_it("chromedriver to listen", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
            .await;
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(self.capabilities()).connect(&url).await;
        self.running = Some(Running { client: client.unwrap(), _driver: driver });
    }

    fn capabilities(&self) -> Capabilities {
        let mut options = json!({
            "binary": program("chromium"),
            "args": [
                "--headless=new",
                // It has no rights to lose here, and no namespaces to make in many a container.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--no-first-run",
                "--password-store=basic",
                // It ends with its driver.
                "--remote-debugging-pipe",
                format!("--user-data-dir={}", self.profile.path().display()),
            ],
        });
        if self.plain {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let mut capabilities = Capabilities::new();
        // A page whose pictures are still to come can be looked at.
        capabilities.insert("pageLoadStrategy".into(), "eager".into());
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities
    }

    /// The text of the first element that this selector finds.
    pub(crate) async fn text(&self, css: &str) -> String {
        let element = self.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"));
        element.text().await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// As [`text`](Self::text), while the page may be another one any moment.
    pub(crate) async fn text_now(&self, css: &str) -> Option<String> {
        self.find(Locator::Css(css)).await.ok()?.text().await.ok()
    }

    /// How many elements this selector finds.
    pub(crate) async fn count(&self, css: &str) -> usize {
        self.find_all(Locator::Css(css)).await.unwrap().len()
    }

    /// Clicks the first element that this selector finds.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Runs a script in the page: the body of an async function of `arguments`, and what it returns.
    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async (...arguments) => {{ {script} }})(...arguments).then(v => done({{ v }}), e => done({{ e: String(e) }}));"
        );
        let mut done = self.execute_async(&script, arguments).await.unwrap();
        assert_eq!(done["e"], Value::Null, "a script failed");
        done["v"].take()
    }

    /// The session cookie; none of it is to be seen in the output.
    pub(crate) async fn session_cookie(&self) -> Cookie<'static> {
        let cookie = self.get_named_cookie(COOKIE).await.expect("a session cookie");
        note_secret(cookie.value().split('.').next().unwrap());
        cookie
    }

    /// The id of the session. Not to be put into a message.
    pub(crate) async fn session(&self) -> String {
        self.session_cookie().await.value().split('.').next().unwrap().to_owned()
    }
}

impl Deref for Browser {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.running.as_ref().unwrap().client
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver first, or it might start another.
        self.running = None;
        for pid in processes_of(self.profile.path()) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The browser's processes, told by their profile: nobody else has that.
pub(crate) fn processes_of(profile: &Path) -> Vec<Pid> {
    let wanted = profile.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        // The shell that watches over the driver names the profile too.
        !program.ends_with(b"sh") && line.windows(wanted.len()).any(|part| part == wanted)
    };
    pids.filter(ours).filter_map(Pid::from_raw).collect()
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed; install it with: cargo xtask setup, or: sudo apt-get install -y chromium chromium-driver")
    })
}
