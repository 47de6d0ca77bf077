//! Ctrl-C and SIGTERM: the first asks for an end in good order, the second is obeyed at once.

use std::io;

use tokio::sync::watch;

use crate::exit::{Exit, Failure};

/// Whether the user has asked for the end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to listen. From here on a signal no longer ends the process by itself.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut signals =
            Signals::new().map_err(|error| Failure::other("cannot listen for signals").because(&error))?;
        let (asked, listening) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            asked.send_replace(true);
            signals.next().await;
            std::process::exit(i32::from(Exit::Interrupted.code()));
        });
        Ok(Self(listening))
    }

    /// Returns once the user has asked for the end.
    pub(crate) async fn asked(&self) {
        if self.0.clone().wait_for(|asked| *asked).await.is_err() {
            // The listener is gone, so nobody will ever ask.
            std::future::pending::<()>().await;
        }
    }

    /// Does the work, or ends early where the user asks for it.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.asked() => Err(Failure::interrupted()),
            result = work => result,
        }
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
