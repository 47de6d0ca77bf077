//! How the command ends: exit codes, and failures with what to do about them.

use std::error::Error as StdError;
use std::process::ExitCode;
use std::time::Duration;

use wix_visitor::{Error, ErrorKind, StoreErrorKind, VisitorId};
use wix_visitor_testkit::sandbox::{SandboxError, SandboxErrorKind};

use crate::interrupt::Signal;

/// The exit codes, which `--help` documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Other,
    Usage,
    Misconfigured,
    Unavailable,
    Store,
    MemberSessionEnded,
    ApiError,
    Unsettled,
    Interrupted(Signal),
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::Misconfigured => 3,
            Self::Unavailable => 4,
            Self::Store => 5,
            Self::MemberSessionEnded => 6,
            Self::ApiError => 7,
            Self::Unsettled => 8,
            // What a shell says of a process that a signal ended.
            Self::Interrupted(signal) => 128 + signal.number(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed, and what to do. Holds no secret.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// For programs, as in `--json`.
    pub(crate) kind: &'static str,
    pub(crate) message: Box<str>,
    /// What lies beneath, outermost first; nothing that was said above.
    pub(crate) causes: Vec<String>,
    pub(crate) advice: Option<Box<str>>,
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) retry_in: Option<Duration>,
    pub(crate) visitor: Option<VisitorId>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, kind: &'static str, message: impl Into<Box<str>>) -> Self {
        Self {
            exit,
            kind,
            message: message.into(),
            causes: Vec::new(),
            advice: None,
            status: None,
            request_id: None,
            retry_in: None,
            visitor: None,
        }
    }

    /// Something the user typed or set cannot be used.
    pub(crate) fn usage(message: impl Into<Box<str>>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    pub(crate) fn other(message: impl Into<Box<str>>) -> Self {
        Self::new(Exit::Other, "other", message)
    }

    /// The user said to stop. Already told, so nothing more is printed.
    pub(crate) fn interrupted(signal: Signal) -> Self {
        Self::new(Exit::Interrupted(signal), "interrupted", "")
    }

    pub(crate) fn advise(mut self, advice: impl Into<Box<str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(crate) fn because(mut self, error: &dyn StdError) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            let said =
                self.message.contains(text.as_str()) || self.causes.iter().any(|earlier| earlier.contains(&text));
            if !said {
                self.causes.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// One line for people: the message and what is known beside it.
    pub(crate) fn line(&self) -> String {
        let mut line = self.message.to_string();
        if let Some(status) = self.status {
            line.push_str(&format!(" (status {status})"));
        }
        if let Some(id) = &self.request_id {
            line.push_str(&format!(" (request id {id})"));
        }
        if let Some(after) = self.retry_in {
            line.push_str(&format!("; try again in {:.1} s", after.as_secs_f64()));
        }
        if let Some(visitor) = self.visitor {
            line.push_str(&format!(" [visitor {visitor}]"));
        }
        line
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, kind) = match error.kind() {
            ErrorKind::InvalidInput => (Exit::Usage, "invalid_input"),
            ErrorKind::Misconfigured => (Exit::Misconfigured, "misconfigured"),
            ErrorKind::Unavailable => (Exit::Unavailable, "unavailable"),
            ErrorKind::OutcomeUnknown => (Exit::Unavailable, "outcome_unknown"),
            ErrorKind::Busy => (Exit::Unavailable, "busy"),
            ErrorKind::Store => (Exit::Store, "store"),
            ErrorKind::MemberSessionEnded => (Exit::MemberSessionEnded, "member_session_ended"),
            ErrorKind::VisitorLost => (Exit::Other, "visitor_lost"),
            ErrorKind::Retired => (Exit::Other, "retired"),
            ErrorKind::ShuttingDown => (Exit::Other, "shutting_down"),
            ErrorKind::NoRuntime => (Exit::Other, "no_runtime"),
            _ => (Exit::Other, "other"),
        };
        let mut failure = Self::new(exit, kind, error.message());
        if let Some(source) = error.source() {
            failure = failure.because(source);
        }
        Self {
            advice: advice(&error).map(Box::from),
            status: error.status(),
            request_id: error.request_id().map(Box::from),
            retry_in: error.retry_in(),
            visitor: error.visitor(),
            ..failure
        }
    }
}

/// What to do, where the message does not say it. Nothing is advised that would lose a visitor.
fn advice(error: &Error) -> Option<&'static str> {
    Some(match error.kind() {
        ErrorKind::Misconfigured => "no token was touched; `wix-visitor doctor` checks the configuration",
        ErrorKind::Unavailable | ErrorKind::Busy => {
            "nothing was lost; run the same command again later, or `wix-visitor doctor` to see what is wrong"
        }
        ErrorKind::OutcomeUnknown => {
            "nothing was lost; run the same command again, it waits until the claim has run out"
        }
        ErrorKind::Store => match error.store_error().map(wix_visitor::StoreError::kind) {
            Some(StoreErrorKind::Corrupt) => {
                "nothing was minted in its place; `wix-visitor doctor` shows the store, --store names another one"
            }
            Some(StoreErrorKind::Misconfigured) if is_about_a_ring(error) => {
                "nothing was minted; --keys (or WIX_VISITOR_KEYS_FILE) names the ring of keys, --plain-records what is done about \
                 records that are not sealed"
            }
            Some(StoreErrorKind::Unavailable | StoreErrorKind::Unknown) => {
                "nothing was minted; run the same command again once the store works"
            }
            _ => "nothing was minted; `wix-visitor doctor` shows the store, --store names another one",
        },
        ErrorKind::MemberSessionEnded => {
            "`wix-visitor import` takes the tokens of a new sign-in, `wix-visitor forget` goes on as a new visitor"
        }
        _ => return None,
    })
}

/// Whether it is a ring of keys that is missing or wrong, and not the store.
fn is_about_a_ring(error: &Error) -> bool {
    error.store_error().is_some_and(|error| matches!(error.backend(), "sealed" | "record"))
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let exit = match error.kind() {
            SandboxErrorKind::NotLoopback => Exit::Usage,
            SandboxErrorKind::CorruptState | SandboxErrorKind::StateFile => Exit::Store,
            _ => Exit::Other,
        };
        let failure = Self::new(exit, "sandbox", error.to_string());
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use wix_visitor::StoreError;

    use super::*;

    #[test]
    fn each_kind_of_error_has_the_exit_code_that_help_documents() {
        for (kind, code) in [
            (ErrorKind::InvalidInput, 2),
            (ErrorKind::Misconfigured, 3),
            (ErrorKind::Unavailable, 4),
            (ErrorKind::OutcomeUnknown, 4),
            (ErrorKind::Busy, 4),
            (ErrorKind::Store, 5),
            (ErrorKind::MemberSessionEnded, 6),
            (ErrorKind::VisitorLost, 1),
            (ErrorKind::Retired, 1),
            (ErrorKind::ShuttingDown, 1),
            (ErrorKind::NoRuntime, 1),
        ] {
            assert_eq!(Failure::from(Error::new(kind, "x")).exit.code(), code, "{kind:?}");
        }
    }

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        let io = std::io::Error::other("the disk is gone");
        let store =
            StoreError::new(StoreErrorKind::Unavailable, "sqlite", "cannot read: the disk is gone").with_source(io);
        assert_eq!(Failure::from(Error::from(store)).causes, Vec::<String>::new());
        let io = std::io::Error::other("no space left");
        let store = StoreError::new(StoreErrorKind::Unavailable, "sqlite", "cannot write").with_source(io);
        assert_eq!(Failure::from(Error::from(store)).causes, ["no space left"]);
    }
}
