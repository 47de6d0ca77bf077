//! What befalls one server.

use std::time::Duration;

use wix_visitor_core::{Secret, StoreKey, async_trait};
use wix_visitor_testkit::ledger::secret_key;

use super::fleet::policy;
use super::{Fault, OPERATION};
use crate::redis::{Server, ServerOptions};

/// Each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Harm {
    Restarted,
    Killed,
    Frozen,
    ScriptsFlushed,
    ConnectionsCut,
    PasswordChanged,
    OutOfMemory,
}

impl Harm {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Restarted,
        Self::Killed,
        Self::Frozen,
        Self::ScriptsFlushed,
        Self::ConnectionsCut,
        Self::PasswordChanged,
        Self::OutOfMemory,
    ];
}

/// A server, and what is to befall it.
#[derive(Debug)]
pub struct Alone {
    server: Server,
    harm: Harm,
    password: Option<Secret>,
}

impl Alone {
    /// Starts the server.
    pub async fn start(harm: Harm) -> Self {
        let server = ServerOptions::default().with_password().start().await;
        let password = server.password();
        Self { server, harm, password }
    }
}

/// Out and in again, faster than anybody could look.
const BRIEFLY: Duration = Duration::from_millis(1500);

#[async_trait]
impl Fault for Alone {
    fn name(&self) -> &'static str {
        match self.harm {
            Harm::Restarted => "server restarted",
            Harm::Killed => "server killed, started again",
            Harm::Frozen => "server frozen for longer than every deadline",
            Harm::ScriptsFlushed => "scripts flushed, again and again",
            Harm::ConnectionsCut => "connections cut, again and again",
            Harm::PasswordChanged => "password changed, put right",
            Harm::OutOfMemory => "out of memory, relieved",
        }
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn heals(&self) -> bool {
        matches!(self.harm, Harm::ScriptsFlushed | Harm::ConnectionsCut)
    }

    async fn begin(&self, _: Option<&StoreKey>) {
        match self.harm {
            Harm::Restarted => self.server.stop().await,
            Harm::Killed => self.server.kill(),
            Harm::Frozen => self.server.freeze(),
            Harm::ScriptsFlushed | Harm::ConnectionsCut => {
                for _ in 0..10 {
                    match self.harm {
                        Harm::ScriptsFlushed => self.server.tell(&["SCRIPT", "FLUSH"]),
                        _ => self.server.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]),
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Harm::PasswordChanged => self.server.set_password(Some(Secret::new(secret_key("password")))),
            Harm::OutOfMemory => {
                self.server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
                self.server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
            }
        }
    }

    fn lasts(&self) -> Duration {
        match self.harm {
            Harm::Frozen => policy().wait + policy().save + OPERATION,
            _ => BRIEFLY,
        }
    }

    async fn end(&self) {
        match self.harm {
            Harm::Restarted | Harm::Killed => self.server.start_again().await,
            Harm::Frozen => self.server.thaw(),
            Harm::ScriptsFlushed | Harm::ConnectionsCut => {}
            Harm::PasswordChanged => self.server.set_password(self.password.clone()),
            Harm::OutOfMemory => self.server.tell(&["CONFIG", "SET", "maxmemory", "0"]),
        }
    }

    async fn whole(&self) {}
}
