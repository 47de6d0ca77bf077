//! What goes wrong between here and the server: whether a write may have been applied, and whether to try again.
//!
//! Nothing of what a server says is passed on but its error's code: the text may quote a command's arguments, and with them a
//! password or a record's key.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use wix_visitor_core::{StoreError, StoreErrorKind};

pub(crate) const BACKEND: &str = "redis";

pub(crate) fn error(kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
    StoreError::new(kind, BACKEND, message)
}

pub(crate) fn misconfigured(message: impl Into<String>) -> StoreError {
    error(StoreErrorKind::Misconfigured, message)
}

pub(crate) fn unavailable(message: impl Into<String>) -> StoreError {
    error(StoreErrorKind::Unavailable, message)
}

/// What to do about a failure while there is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Trying again would bring the same.
    GiveUp,
    /// Ask once more on this connection.
    Again,
    /// Ask once more on a new one.
    Reconnect,
}

/// One try that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: StoreErrorKind,
    message: String,
    source: Option<Said>,
    /// Whether a write that was tried may have been applied, or may yet be.
    pub(crate) maybe_applied: bool,
    pub(crate) next: Next,
    code: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<String>, maybe_applied: bool, next: Next) -> Self {
        Self { kind, message: message.into(), source: None, maybe_applied, next, code: None }
    }

    /// What to say if this try was the last.
    pub(crate) fn into_error(self) -> StoreError {
        let error = error(self.kind, self.message);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    /// The same, of a server that was being connected to.
    pub(crate) fn into_error_of(self, place: impl fmt::Display) -> StoreError {
        let message = format!("{place}: {}", self.message);
        Self { message, ..self }.into_error()
    }

    /// No answer within the time there was for it.
    pub(crate) fn silence() -> Self {
        let message = "the server did not answer in time: it is down, frozen, or too slow for the timeout";
        Self::new(StoreErrorKind::Unavailable, message, true, Next::Reconnect)
    }

    /// An answer that no server gives to this command.
    pub(crate) fn nonsense() -> Self {
        let message = "the server's answer makes no sense: something else than Redis may answer there";
        Self::new(StoreErrorKind::Unavailable, message, true, Next::Reconnect)
    }

    /// One server was asked for what another node of its cluster has.
    pub(crate) fn of_a_cluster() -> Self {
        let message = "the server is a node of a cluster: use a redis+cluster: URL";
        Self::new(StoreErrorKind::Misconfigured, message, false, Next::GiveUp)
    }

    /// A connection that somebody else opened may lead to one server or to many.
    pub(crate) fn cannot_list() -> Self {
        let message = "a connection that the application opened does not list its keys: open the store by its URL";
        Self::new(StoreErrorKind::Unsupported, message, false, Next::GiveUp)
    }

    /// Listing takes rights that nothing else needs.
    pub(crate) fn may_not_list() -> Self {
        let message = "the user may not list keys: grant it +scan +info (and +cluster|slots on a cluster)";
        Self::new(StoreErrorKind::Misconfigured, message, false, Next::GiveUp)
    }

    /// Its keys are those of another server now, or about to be.
    pub(crate) fn became_a_replica() -> Self {
        let message = "the server has become a replica";
        Self::new(StoreErrorKind::Unavailable, message, false, Next::Reconnect)
    }

    /// Whether the server does not know the command.
    pub(crate) fn is_unknown_command(&self) -> bool {
        self.message == LACKS
    }

    /// Met after a write was applied.
    pub(crate) fn after_write(self) -> Self {
        Self { maybe_applied: true, ..self }
    }

    /// Whether it is the server's error of this code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl From<RedisError> for Failure {
    /// Of a command on an open connection.
    fn from(source: RedisError) -> Self {
        use Next::{Again, GiveUp, Reconnect};
        use StoreErrorKind::{Corrupt, Misconfigured, Unavailable, Unsupported};
        let Some(code) = code(&source) else { return without_code(&source) };
        let (kind, message, next) = match code {
            "ERR" => plain_error(source.detail().unwrap_or_default()),
            "LOADING" => (Unavailable, "the server is loading its data", Again),
            "MASTERDOWN" => (Unavailable, "the server is a replica that has lost its primary", Reconnect),
            "READONLY" => (Unavailable, "the server has become a replica", Reconnect),
            "CLUSTERDOWN" => (Unavailable, "the cluster is down, or has nobody for a part of the keys", Again),
            "TRYAGAIN" | "MOVED" | "ASK" => (Unavailable, "the cluster is moving this part of the keys", Again),
            "NOREPLICAS" => {
                (Unavailable, "too few replicas are connected for the server's min-replicas-to-write", Again)
            }
            "BUSY" => (Unavailable, "the server is busy with another client's script", Again),
            "NOSCRIPT" => (Unavailable, "the server forgot a script while it was in use", Again),
            "OOM" => (
                Unavailable,
                "out of memory: the server has reached its maxmemory; give it more, what is kept there is unharmed",
                GiveUp,
            ),
            "MISCONF" => (
                Unavailable,
                "the server takes no writes since it cannot save to its disk; see its log, what is kept there is unharmed",
                GiveUp,
            ),
            "WRONGTYPE" => (Corrupt, "something else than a string stands at the key", GiveUp),
            "NOAUTH" => (Misconfigured, "the server asks for a password; put it into the store URL", GiveUp),
            "WRONGPASS" => (Misconfigured, REFUSED, GiveUp),
            "NOPERM" => (Misconfigured, NO_RIGHTS, GiveUp),
            "NOPROTO" => (Unsupported, TOO_OLD, GiveUp),
            "CROSSSLOT" => (Unsupported, "the server takes the store's one key for several", GiveUp),
            _ => (Unavailable, UNKNOWN, Again),
        };
        // Not from a server that is known to have refused: a proxy may have lost an answer that was on its way.
        let maybe_applied = message == UNKNOWN;
        let failure = Self::new(kind, message, maybe_applied, next);
        Self { source: Some(Said::code(code)), code: Some(code.to_owned()), ..failure }
    }
}

const TLS_HINT: &str = "; see that both sides want TLS and that the certificate is trusted";
const REFUSED: &str = "the server refuses the user or the password";
const NO_RIGHTS: &str = "the user may not do what the store needs; the README of wix-visitor-redis has the ACL rule";
const TOO_OLD: &str = "the server is too old: Redis 6.2 or newer is needed";
const LACKS: &str = "the server lacks a command that the store needs: Redis 6.2 or newer is needed, with none renamed";
const UNKNOWN: &str = "the server answered with an error that is not known here";

/// `ERR` says nothing yet: the text has to be looked into, and is not shown.
fn plain_error(text: &str) -> (StoreErrorKind, &'static str, Next) {
    use StoreErrorKind::{Misconfigured, Unavailable, Unsupported};
    if text.starts_with("unknown command") {
        (Unsupported, LACKS, Next::GiveUp)
    } else if text.contains("The user executing the script") || text.starts_with("ACL failure") {
        (Misconfigured, NO_RIGHTS, Next::GiveUp)
    } else if text.starts_with("max number of clients") {
        (Unavailable, "the server has as many clients as its maxclients allows", Next::Reconnect)
    } else if text.contains("cluster support disabled") {
        let message = "the server belongs to no cluster: use a redis: URL";
        (Misconfigured, message, Next::GiveUp)
    } else if text.contains("without any password configured") {
        (Misconfigured, "a password is given, and the server has none for that user", Next::GiveUp)
    } else if text.contains("DB index") {
        (Misconfigured, "the server has no database of that number", Next::GiveUp)
    } else {
        (Unavailable, UNKNOWN, Next::Again)
    }
}

fn without_code(source: &RedisError) -> Failure {
    use StoreErrorKind::{Misconfigured, Unavailable, Unsupported};
    match source.kind() {
        ErrorKind::RESP3NotSupported => Failure::new(Unsupported, TOO_OLD, false, Next::GiveUp),
        ErrorKind::AuthenticationFailed => Failure::new(Misconfigured, REFUSED, false, Next::GiveUp),
        // Of a cluster: none of its nodes could be asked.
        ErrorKind::ClusterConnectionNotFound => {
            let message = "no connection to the node of the cluster that has the key";
            Failure::new(Unavailable, message, false, Next::Reconnect)
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Failure::nonsense(),
        _ if source.is_timeout() => Failure::silence(),
        _ => {
            // Refused means that nothing was sent.
            let maybe_applied = !source.is_connection_refusal();
            let lost = Failure::new(Unavailable, "the connection was lost", maybe_applied, Next::Reconnect);
            Failure { source: io_error(source).map(|io| Said(io.to_string())), ..lost }
        }
    }
}

/// A connection to this place could not be made. Nothing was sent that could be applied.
pub(crate) fn not_connected(place: impl fmt::Display, source: &RedisError) -> StoreError {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, InvalidData, PermissionDenied, UnexpectedEof};
    if let Some(io) = io_error(source) {
        let (kind, hint) = match io.kind() {
            PermissionDenied => (StoreErrorKind::Misconfigured, "; let this process open it"),
            InvalidData => (StoreErrorKind::Misconfigured, TLS_HINT),
            ConnectionReset | BrokenPipe | UnexpectedEof => {
                (StoreErrorKind::Unavailable, "; so does a server that wants TLS: then use rediss: or tls=true")
            }
            _ => (StoreErrorKind::Unavailable, ""),
        };
        return error(kind, format!("cannot connect to {place}: {io}{hint}")).with_source(Said(io.to_string()));
    }
    match source.kind() {
        ErrorKind::Parse => misconfigured(format!(
            "what answers at {place} is not Redis, or it wants TLS: then use rediss: or tls=true"
        )),
        // What a library for TLS says before anything is sent.
        ErrorKind::Client => misconfigured(format!("cannot connect to {place}: TLS failed{TLS_HINT}")),
        ErrorKind::Io => {
            unavailable(format!("cannot connect to {place}: it refuses, or closes the connection at once"))
        }
        _ => Failure::from(source.clone()).into_error_of(place),
    }
}

/// The code that a server's error begins with.
fn code(source: &RedisError) -> Option<&str> {
    let code = match source.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) => "ERR",
        _ => source.code()?,
    };
    if code.starts_with("@user_script") {
        // Redis 6.2 puts what a command in a script met behind the script's name.
        let mut words = source.detail().unwrap_or_default().split_whitespace();
        return Some(words.find_map(|word| word.strip_prefix('-')).unwrap_or("ERR"));
    }
    Some(code)
}

fn io_error(source: &RedisError) -> Option<&io::Error> {
    let mut inner: Option<&(dyn StdError + 'static)> = Some(source);
    while let Some(error) = inner {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
            return shared.downcast_ref();
        }
        inner = error.source();
    }
    None
}

/// What may be shown of a server's or the system's words.
#[derive(Clone, Debug)]
struct Said(String);

impl Said {
    fn code(code: &str) -> Self {
        let plain = code.len() <= 24 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        Self(if plain { format!("the server's error {code}") } else { "an error of the server".to_owned() })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {}
