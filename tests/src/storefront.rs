//! The shop of the examples, as a process: started, stopped, killed and started again as told.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::Process;
use crate::wait::until;
use crate::{command, instance::CLIENT_ID, port};

/// How long a shop may take to listen, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start a shop: where its API is, where it keeps visitors and whatever else.
#[derive(Clone, Debug)]
pub struct StorefrontOptions {
    api: String,
    store: String,
    data: PathBuf,
    log: Option<String>,
}

impl StorefrontOptions {
    /// A shop of this site that asks this API, with its store and all else in this directory.
    pub fn new(api: impl Into<String>, data: &Path) -> Self {
        let store = format!("sqlite:{}", data.join("visitors.db").display());
        Self { api: api.into(), store, data: data.to_owned(), log: None }
    }

    /// Another store, by its URL.
    #[must_use]
    pub fn store(self, url: impl Into<String>) -> Self {
        Self { store: url.into(), ..self }
    }

    /// How much it logs, in place of what `RUST_LOG` says to this process.
    #[must_use]
    pub fn log(self, filter: impl Into<String>) -> Self {
        Self { log: Some(filter.into()), ..self }
    }

    /// Starts it on a port that is free, and returns once it listens.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub async fn start(self) -> Storefront {
        let mut shop = Storefront { port: port::free(), options: self, running: None };
        shop.start().await;
        shop
    }
}

/// A running shop; or one that was stopped, and may be started again at the same address.
#[derive(Debug)]
pub struct Storefront {
    port: u16,
    options: StorefrontOptions,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    /// Kept open: it may print.
    _stdout: BufReader<ChildStdout>,
}

impl Storefront {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it, also again, and returns once it listens. One that ends instead, say because its store does not answer in time, is
    /// started once more, as a service manager does.
    ///
    /// # Panics
    /// When it runs already, or does not listen within a minute.
    pub async fn start(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let program = tokio::task::spawn_blocking(command::storefront).await.expect("it builds");
        let begun = Instant::now();
        loop {
            let mut process = Process::spawn(&mut self.command(program), &self.options.data);
            let mut stdout = BufReader::new(process.stdout().expect("a pipe"));
            let said = tokio::task::spawn_blocking(move || {
                let mut line = String::new();
                let read = stdout.read_line(&mut line);
                read.map(|_| (stdout, line))
            });
            let said = tokio::time::timeout(PATIENCE, said).await.expect("it listens within a minute");
            let (stdout, line) = said.expect("it is read").expect("it is text");
            if line == format!("storefront on {}\n", self.url()) {
                self.running = Some(Running { process, _stdout: stdout });
                return;
            }
            assert!(line.is_empty() && begun.elapsed() < PATIENCE, "it says {line:?}");
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(["--listen", &self.address(), "--store", &self.options.store, "--data"])
            .arg(&self.options.data)
            .env("WIX_CLIENT_ID", CLIENT_ID)
            .env("WIX_API_URL", &self.options.api)
            .stdout(Stdio::piped());
        if let Some(filter) = &self.options.log {
            command.env("RUST_LOG", filter);
        }
        command
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Asks it to end, as a service manager does, and tells how it did.
    ///
    /// # Panics
    /// When it does not run, or goes on for half a minute.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("it runs");
        running.process.signal(Signal::TERM);
        until("a shop to end", || running.process.has_ended()).await;
        running.process.status().expect("it has ended")
    }
}
