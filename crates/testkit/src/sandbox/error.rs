//! What can go wrong with a sandbox itself, as against what it answers.

use std::{fmt, io, net::SocketAddr, path::Path};

/// A sandbox could not start, or could not keep its state.
#[derive(Debug)]
pub struct SandboxError {
    kind: SandboxErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a [`SandboxError`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SandboxErrorKind {
    /// The address asked for is not a loopback address.
    NotLoopback,
    /// The address could not be listened on.
    Listen,
    /// The state file holds something else than a sandbox's state.
    CorruptState,
    /// The state file could not be read, written or locked, or is not safe to use.
    StateFile,
}

impl SandboxError {
    /// What the error is about.
    pub fn kind(&self) -> SandboxErrorKind {
        self.kind
    }

    pub(super) fn not_loopback(address: SocketAddr) -> Self {
        Self {
            kind: SandboxErrorKind::NotLoopback,
            message: format!(
                "the sandbox listens on loopback only, and {address} is not a loopback address; use 127.0.0.1 or [::1]"
            ),
            source: None,
        }
    }

    pub(super) fn listen(address: SocketAddr, source: io::Error) -> Self {
        Self {
            kind: SandboxErrorKind::Listen,
            message: format!("the sandbox cannot listen on {address}; choose another port, or 0 for any free one"),
            source: Some(Box::new(source)),
        }
    }

    pub(super) fn thread(source: io::Error) -> Self {
        Self {
            kind: SandboxErrorKind::Listen,
            message: "the sandbox cannot start a thread of its own".to_owned(),
            source: Some(Box::new(source)),
        }
    }

    pub(super) fn corrupt(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            kind: SandboxErrorKind::CorruptState,
            message: format!(
                "{} does not hold the state of a sandbox; move it away or delete it to start with an empty sandbox",
                path.display()
            ),
            source: Some(source.into()),
        }
    }

    pub(super) fn file(what: &str, path: &Path, source: io::Error) -> Self {
        Self {
            kind: SandboxErrorKind::StateFile,
            message: format!("the sandbox cannot {what} {}", path.display()),
            source: Some(Box::new(source)),
        }
    }

    pub(super) fn symlink(path: &Path) -> Self {
        Self {
            kind: SandboxErrorKind::StateFile,
            message: format!(
                "{} is a symbolic link, which the sandbox refuses for its state; name the file itself",
                path.display()
            ),
            source: None,
        }
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
