//! One server: with a port, a directory and an administrator's socket of its own.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo, RedisResult};
use rustix::process::Signal;
use tempfile::TempDir;
use wix_visitor_core::Secret;
use wix_visitor_testkit::ledger::secret_key;

use super::program::Program;
use super::until;
use crate::port;
use crate::process::Process;

/// How long an administrator's command may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a server is to be like. It listens on loopback and writes every change to disk before it answers.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    program: Program,
    sentinel: bool,
    password: Option<Secret>,
    tls: Option<PathBuf>,
    lines: Vec<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { program: Program::Redis, sentinel: false, password: None, tls: None, lines: Vec::new() }
    }
}

impl ServerOptions {
    /// Of this program; else the distribution's.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// A line of its configuration.
    #[must_use]
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// With a password, which is drawn.
    #[must_use]
    pub fn with_password(mut self) -> Self {
        self.password = Some(Secret::new(secret_key("password")));
        self
    }

    /// Speaking TLS alone, with the `server.pem` and `server.key` in this folder.
    #[must_use]
    pub fn tls(mut self, folder: &Path) -> Self {
        self.tls = Some(folder.to_owned());
        self
    }

    pub(super) fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    fn text(&self, port: u16, directory: &Path) -> String {
        let directory = directory.display();
        let mut text = format!(
            "bind 127.0.0.1\nunixsocket {directory}/admin.sock\nunixsocketperm 700\ndir {directory}\n\
             daemonize no\nlogfile {directory}/log\n"
        );
        if let Some(folder) = &self.tls {
            let folder = folder.display();
            let _ = write!(
                text,
                "port 0\ntls-port {port}\ntls-cert-file {folder}/server.pem\ntls-key-file {folder}/server.key\n\
                 tls-ca-cert-file {folder}/ca.pem\ntls-auth-clients no\ntls-replication yes\n"
            );
        } else {
            let _ = writeln!(text, "port {port}");
        }
        if !self.sentinel {
            text.push_str("appendonly yes\nappendfsync always\nsave \"\"\nrepl-diskless-sync-delay 0\n");
        }
        if let Some(password) = self.password.as_ref().map(Secret::expose) {
            let _ = writeln!(text, "requirepass {password}\nmasterauth {password}");
        }
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// Starts it, and returns once it answers.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start(self) -> Server {
        for _ in 0..5 {
            let directory = tempfile::Builder::new().prefix("redis-").tempdir().expect("a directory for the server");
            let port = port::free();
            let mut file = fs::OpenOptions::new();
            let file = file.write(true).create_new(true).mode(0o600).open(directory.path().join("redis.conf"));
            std::io::Write::write_all(
                &mut file.expect("a configuration"),
                self.text(port, directory.path()).as_bytes(),
            )
            .expect("a configuration");
            let server = Server {
                port,
                password: Mutex::new(self.password.clone()),
                process: Mutex::new(None),
                directory,
                options: self.clone(),
            };
            if server.begin().await {
                return server;
            }
            // Somebody took the port between our look and its start.
            let log = fs::read_to_string(server.directory.path().join("log")).unwrap_or_default();
            assert!(log.contains("Address already in use"), "the server {:?} ended: {log}", server.options.program);
        }
        panic!("five ports in a row were taken");
    }
}

/// A running server; or one that was stopped, and may be started again.
#[derive(Debug)]
pub struct Server {
    port: u16,
    password: Mutex<Option<Secret>>,
    // Before the directory, which it writes to.
    process: Mutex<Option<Process>>,
    directory: TempDir,
    options: ServerOptions,
}

impl Server {
    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The administrator's socket, which clients may use too.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }

    /// The password now, if there is one.
    pub fn password(&self) -> Option<Secret> {
        self.password.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `redis://…`, with the password it was started with.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        let password =
            self.options.password.as_ref().map(|password| format!(":{}@", password.expose())).unwrap_or_default();
        format!("{scheme}://{password}{}", self.address())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: Signal) {
        self.process().as_ref().expect("the server runs").signal(signal);
    }

    /// Starts it and waits until it answers; false if it ended instead.
    async fn begin(&self) -> bool {
        let program = self.options.program.path();
        let _ = fs::remove_file(self.socket());
        let arguments: &[&str] = if self.options.sentinel { &["redis.conf", "--sentinel"] } else { &["redis.conf"] };
        *self.process() = Some(Process::start(&program, arguments, self.directory.path()));
        let mut ended = false;
        until("a server to answer", || {
            ended = self.process().as_mut().is_none_or(Process::has_ended);
            // An error that it is still loading is an answer, and not yet the one.
            ended || self.command::<String>(&["PING"]).is_ok()
        })
        .await;
        !ended
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), with what is on its disk.
    ///
    /// # Panics
    /// When it ends instead.
    pub async fn start_again(&self) {
        assert!(self.begin().await, "the server ended: {}", self.log());
    }

    /// As [`start_again`](Self::start_again), as the replica of another.
    pub async fn start_again_as_replica(&self, of: u16) {
        let file = self.directory.path().join("redis.conf");
        let text = fs::read_to_string(&file).expect("its configuration");
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("replicaof")).collect();
        fs::write(&file, format!("{}\nreplicaof 127.0.0.1 {of}\n", kept.join("\n"))).expect("its configuration");
        self.start_again().await;
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&self) {
        *self.process() = None;
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&self) {
        self.signal(Signal::TERM);
        until("a server to end", || self.process().as_mut().is_none_or(Process::has_ended)).await;
        *self.process() = None;
    }

    /// Whether it was neither stopped nor killed.
    pub fn is_running(&self) -> bool {
        self.process().is_some()
    }

    /// Stops its time (SIGSTOP) until [`thaw`](Self::thaw): it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// What it noted, for messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Does a command as the administrator, over a connection of its own.
    ///
    /// # Errors
    /// The server's, or that it cannot be reached.
    pub fn command<T: FromRedisValue>(&self, words: &[impl redis::ToRedisArgs]) -> RedisResult<T> {
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = self.password() {
            login = login.set_password(password.expose());
        }
        let address = ConnectionAddr::Unix(self.socket()).into_connection_info()?.set_redis_settings(login);
        let mut connection = redis::Client::open(address)?.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query(&mut connection)
    }

    /// Does a command that has to work.
    ///
    /// # Panics
    /// When it does not.
    pub fn tell(&self, words: &[&str]) {
        if let Err(error) = self.command::<redis::Value>(words) {
            panic!("{} failed: {error}", words.first().unwrap_or(&""));
        }
    }

    /// One line of `INFO`; nothing where the server does not answer.
    pub fn info(&self, name: &str) -> Option<String> {
        let text: String = self.command(&["INFO"]).ok()?;
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }

    /// Gives it a new password, and cuts all connections so that it is asked for.
    ///
    /// # Panics
    /// When it refuses.
    pub fn set_password(&self, password: Option<Secret>) {
        let text = password.as_ref().map_or("", Secret::expose);
        if let Err(error) = self.command::<()>(&["CONFIG", "SET", "requirepass", text]) {
            panic!("the password was not taken: {error}");
        }
        *self.password.lock().unwrap_or_else(PoisonError::into_inner) = password;
        self.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
}
