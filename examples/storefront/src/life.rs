//! How the program ends, and begins again.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::args::{Args, Failure};

/// For how long requests under way are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a restart can be offered.
pub(crate) const CAN_RESTART: bool = cfg!(unix);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stop,
    Restart,
}

/// Until when it goes on. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Life(watch::Sender<Option<End>>);

impl Life {
    /// From here on Ctrl-C and SIGTERM ask for an end in good order; the second time they are obeyed at once.
    pub(crate) fn begin() -> io::Result<Self> {
        let life = Self(watch::Sender::new(None));
        let mut signals = Signals::new()?;
        let told = life.clone();
        tokio::spawn(async move {
            signals.next().await;
            told.end(End::Stop);
            signals.next().await;
            std::process::exit(1);
        });
        Ok(life)
    }

    pub(crate) fn end(&self, end: End) {
        self.0.send_replace(Some(end));
    }

    /// Returns once it is to end.
    pub(crate) async fn ended(&self) -> End {
        let mut listening = self.0.subscribe();
        match listening.wait_for(Option::is_some).await.map(|end| *end) {
            Ok(Some(end)) => end,
            // Cannot be: we hold a sender ourselves.
            _ => std::future::pending().await,
        }
    }

    /// Returns once it should long have ended.
    pub(crate) async fn lingered(&self) {
        self.ended().await;
        tokio::time::sleep(PATIENCE).await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One line on standard output, for people and scripts. Where nobody reads it any more, it is not missed.
pub(crate) fn announce(address: SocketAddr) {
    let mut out = io::stdout();
    let _ = writeln!(out, "storefront on http://{address}").and_then(|()| out.flush());
}

/// The file of this program: asked for at the start, since it may be built anew meanwhile.
pub(crate) fn program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Puts the program anew into the place of this process, on the same address. Returns only if that fails.
#[cfg(unix)]
pub(crate) fn again(program: PathBuf, args: &Args) -> Failure {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(program);
    command.arg("--listen").arg(args.listen.to_string());
    if let Some(store) = &args.store {
        command.arg("--store").arg(store.expose());
    }
    if let Some(data) = &args.data {
        command.arg("--data").arg(data);
    }
    Failure::new(1, format!("cannot restart: {}", command.exec()))
}

#[cfg(not(unix))]
pub(crate) fn again(_: PathBuf, _: &Args) -> Failure {
    Failure::new(1, "a restart is not available on this system")
}
