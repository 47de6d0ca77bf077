//! Running the command, and reading what it said.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use wix_visitor_testkit::ledger::{note_secret, secret_key};
use wix_visitor_testkit::sandbox::{IssuedTokens, Sandbox, SandboxOptions};

pub(crate) const CLIENT_ID: &str = "2f3d1c5a-7b7e-4c56-9d0e-0a1b2c3d4e5f";
pub(crate) const CART: &str = "/ecom/v1/carts/current";
pub(crate) const PRODUCTS: &str = "/stores/v3/products/query";

/// What a person may have set up for their own site.
const VARIABLES: [&str; 11] = [
    "WIX_CLIENT_ID",
    "WIX_API_URL",
    "WIX_VISITOR_STORE",
    "WIX_VISITOR_STORE_FILE",
    "WIX_VISITOR_KEYS",
    "WIX_VISITOR_KEYS_FILE",
    "WIX_VISITOR_PLAIN_RECORDS",
    "WIX_VISITOR_FROM",
    "WIX_VISITOR_TO",
    "WIX_VISITOR",
    "XDG_DATA_HOME",
];

/// A user: a home of their own, and what they have set up.
pub(crate) struct User {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl User {
    /// Nothing is set up.
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// A site at this sandbox, and a visitor with a key of its own.
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Self::new()
            .with("WIX_CLIENT_ID", CLIENT_ID)
            .with("WIX_API_URL", sandbox.url())
            .with("WIX_VISITOR", secret_key("shopper"))
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }

    /// The default store's database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("wix-visitor/visitors.db")
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.set_up(Command::new(env!("CARGO_BIN_EXE_wix-visitor")), words)
    }

    /// A shell in which `wix-visitor` is the command.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_wix-visitor")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([bin.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = self.set_up(Command::new("sh"), &["-c", script]);
        command.env("PATH", path);
        command
    }

    fn set_up(&self, mut command: Command, words: &[&str]) -> Command {
        for name in VARIABLES {
            command.env_remove(name);
        }
        // Where the suites are to be run on sealed records, by this ring.
        if let Some(ring) = std::env::var_os("WIX_VISITOR_TESTS_SEALED") {
            command.env("WIX_VISITOR_KEYS", ring);
        }
        command
            .env("XDG_DATA_HOME", self.home.path())
            .envs(self.variables.iter().cloned())
            .current_dir(self.home.path())
            .args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        run(self.command(words), b"")
    }

    pub(crate) fn run_with(&self, words: &[&str], input: impl AsRef<[u8]>) -> Said {
        run(self.command(words), input.as_ref())
    }

    pub(crate) fn token(&self) -> String {
        let said = self.run(&["token"]).done();
        let token = said.stdout.strip_suffix('\n').unwrap();
        assert!(!token.contains(char::is_whitespace) && token.contains("JWS."), "no token on stdout");
        token.to_owned()
    }

    pub(crate) fn status(&self) -> Value {
        self.run(&["status", "--json"]).done().json()
    }

    pub(crate) fn exported(&self) -> Value {
        self.run(&["export"]).done().json()
    }

    /// Whom the kept tokens stand for.
    pub(crate) fn identity(&self, sandbox: &Sandbox) -> String {
        let tokens = self.exported();
        sandbox.identity_of(tokens["refreshToken"]["value"].as_str().unwrap()).unwrap().unwrap()
    }

    /// Starts the command, for a test to go on meanwhile.
    pub(crate) fn start(&self, words: &[&str]) -> Child {
        self.command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// What a ring holds is told to nobody.
fn note_keys(user: &User, file: &str) {
    for line in std::fs::read_to_string(user.path(file)).unwrap().lines().filter(|line| !line.starts_with('#')) {
        note_secret(line.split_whitespace().next().unwrap());
    }
}

/// Makes a key, and says what it is called.
pub(crate) fn generate(user: &User, file: &str) -> String {
    let name = user.run(&["--keys", file, "keys", "generate"]).done().stdout.trim().to_owned();
    note_keys(user, file);
    name
}

/// Runs a program to its end. What it says on stderr is ours too, so that it is searched for secrets.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Said {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A program that ends without reading is judged by its exit code.
    let _ = pipe.write_all(input);
    drop(pipe);
    Said::from(child.wait_with_output().unwrap())
}

/// How a run ended, and what it said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let said = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        eprint!("{}", said.stderr);
        said
    }
}

impl Said {
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// It failed like this, said so in one line that holds these words, and printed nothing.
    pub(crate) fn failed(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.errors().contains(words), "expected {words:?} in: {self:?}");
        assert_eq!(self.stdout, "");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is no JSON: {error}; {self:?}"))
    }

    /// What is said to the user: stderr without the log, which some runs have.
    pub(crate) fn errors(&self) -> String {
        let is_log = |line: &&str| {
            let mut words = line.split_whitespace();
            let at = words.next().is_some_and(|word| word.ends_with('Z') && word.contains('T'));
            at && words.next().is_some_and(|word| ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&word))
        };
        self.stderr.lines().filter(|line| !is_log(line)).map(|line| format!("{line}\n")).collect()
    }
}

/// Without stdout, which may hold a token.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}, {} bytes on stdout, and on stderr:\n{}", self.code, self.stdout.len(), self.stderr)
    }
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::start_on_thread(SandboxOptions::new()).unwrap()
}

/// Issued tokens as the JavaScript SDK keeps them; the access token ends in so many seconds, or did so long ago.
pub(crate) fn sdk_json(tokens: &IssuedTokens, role: &str, ends_in: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let ends = i64::try_from(now).unwrap() + ends_in;
    json!({
        "accessToken": { "value": tokens.access, "expiresAt": ends },
        "refreshToken": { "value": tokens.refresh, "role": role },
    })
    .to_string()
}

/// A call that puts something in the cart.
pub(crate) fn mug() -> Vec<&'static str> {
    vec![
        "call",
        "POST",
        "/ecom/v1/carts/current/add-to-cart",
        "-d",
        r#"{"lineItems":[{"catalogReference":{"appId":"stores","catalogItemId":"5a4bd0c1-0001-4000-8000-000000000001"},"quantity":2}]}"#,
    ]
}

pub(crate) fn send_signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(done.success());
}
