//! Ctrl-C, SIGTERM and SIGHUP: the first asks for an end in good order, the second is obeyed at once.

use std::io;

use tokio::sync::watch;

use crate::exit::{Exit, Failure};

/// What asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) enum Signal {
    HangUp,
    Interrupt,
    Terminate,
}

impl Signal {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

/// Whether the user has asked for the end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<Option<Signal>>);

impl Interrupt {
    /// Starts to listen. From here on a signal no longer ends the process by itself.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut signals =
            Signals::new().map_err(|error| Failure::other("cannot listen for signals").because(&error))?;
        let (asked, listening) = watch::channel(None);
        tokio::spawn(async move {
            asked.send_replace(Some(signals.next().await));
            let exit = Exit::Interrupted(signals.next().await);
            std::process::exit(i32::from(exit.code()));
        });
        Ok(Self(listening))
    }

    /// Returns once the user has asked for the end.
    pub(crate) async fn asked(&self) -> Signal {
        let mut listening = self.0.clone();
        if let Ok(asked) = listening.wait_for(Option::is_some).await
            && let Some(signal) = *asked
        {
            return signal;
        }
        // The listener is gone, so nobody will ever ask.
        std::future::pending().await
    }

    /// Does the work, or ends early where the user asks for it.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            signal = self.asked() => Err(Failure::interrupted(signal)),
            result = work => result,
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // To listen would undo what `nohup` has set.
        let hang_up = if hang_up_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    async fn next(&mut self) -> Signal {
        let hung_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = hung_up => Signal::HangUp,
        }
    }
}

/// As far as the system tells: where there is no such file, it is not.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
