//! Sentinels know which server is the primary just now.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;
use tokio::task::JoinSet;
use wix_visitor_core::StoreError;

use crate::error::{Failure, misconfigured, unavailable};
use crate::server::{Address, Manner};
use crate::wire::Wire;

/// A group of servers that Sentinels watch under one name.
pub(crate) struct Group {
    pub(crate) sentinels: Vec<Address>,
    pub(crate) service: String,
    /// How Sentinels are spoken to, which have passwords of their own.
    pub(crate) manner: Manner,
}

/// How far one Sentinel led; the farther, the more its error says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Sentinel,
    Primary,
}

impl Group {
    /// Asks all Sentinels at once, so that a frozen one costs nothing, and takes the first server that says itself that it is
    /// the primary.
    pub(crate) async fn connect_primary(self: &Arc<Self>, servers: &Arc<Manner>) -> Result<Arc<dyn Wire>, StoreError> {
        let tried = Arc::new(Mutex::new(HashSet::new()));
        let mut asked = JoinSet::new();
        for sentinel in &self.sentinels {
            let (group, servers, tried) = (Arc::clone(self), Arc::clone(servers), Arc::clone(&tried));
            let sentinel = sentinel.clone();
            asked.spawn(async move {
                let primary = group.ask(&sentinel).await?;
                let first = tried.lock().unwrap_or_else(PoisonError::into_inner).insert(primary.clone());
                if !first {
                    return Ok(None);
                }
                servers.connect_primary(&primary).await.map(Some).map_err(|e| (Reached::Primary, e))
            });
        }
        let mut worst = (Reached::Nothing, unavailable("none of the Sentinels could be asked"));
        while let Some(done) = asked.join_next().await {
            match done {
                Ok(Ok(Some(wire))) => return Ok(wire),
                Ok(Err(error)) if error.0 >= worst.0 => worst = error,
                // Another one led to the same server; or, which none does, a task panicked.
                Ok(_) | Err(_) => {}
            }
        }
        Err(worst.1)
    }

    async fn ask(&self, sentinel: &Address) -> Result<Address, (Reached, StoreError)> {
        let mut connection = self.manner.connect_sentinel(sentinel).await.map_err(|error| {
            let reached = if error.is_transient() { Reached::Nothing } else { Reached::Sentinel };
            (reached, error)
        })?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let answer = connection.send_packed_command(&question).await.and_then(Value::extract_error);
        let answer = answer.map_err(|e| {
            let failure = Failure::from(e);
            let error = if failure.is_unknown_command() {
                misconfigured(format!(
                    "{sentinel} is no Sentinel: a redis+sentinel: URL names the Sentinels (their port is 26379 unless set \
                     otherwise), and they name the server"
                ))
            } else {
                failure.into_error_of(format_args!("the Sentinel {sentinel} (see sentinel_password)"))
            };
            (Reached::Sentinel, error)
        })?;
        if answer == Value::Nil {
            let message = format!("the Sentinels watch no service named {:?}", self.service);
            return Err((Reached::Sentinel, misconfigured(message)));
        }
        address(&answer).ok_or_else(|| {
            (Reached::Sentinel, Failure::nonsense().into_error_of(format_args!("the Sentinel {sentinel}")))
        })
    }
}

fn address(answer: &Value) -> Option<Address> {
    let Value::Array(parts) = answer else { return None };
    let [Value::BulkString(host), Value::BulkString(port)] = &parts[..] else { return None };
    let host = String::from_utf8(host.clone()).ok()?;
    let port = std::str::from_utf8(port).ok()?.parse().ok()?;
    Some(Address::Tcp { host, port })
}
