//! The process that peers ask for tokens: `bin/endpoint.rs`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Result, program::sibling};

/// Ends with its owner.
pub(crate) struct Endpoint {
    child: Child,
    origin: String,
}

/// How grants of a name are answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) status: u16,
    pub(crate) after: Duration,
    /// The first one, at once and with a token that has all but ended: what is asked for next finds it expired.
    pub(crate) first_has_ended: bool,
}

impl Answers {
    pub(crate) const AT_ONCE: Self = Self { status: 200, after: Duration::ZERO, first_has_ended: false };
}

impl Endpoint {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(sibling("endpoint")?).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("the endpoint has no stdout")?;
        let mut port = String::new();
        BufReader::new(stdout).read_line(&mut port)?;
        Ok(Self { child, origin: format!("http://127.0.0.1:{}", port.trim()) })
    }

    /// Where grants are not counted.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The base of all URLs under which grants of this name are asked for.
    pub(crate) fn url(&self, name: &str, answers: Answers) -> String {
        let Answers { status, after, first_has_ended } = answers;
        let first = if first_has_ended { "ended" } else { "as-all" };
        format!("{}/{status}/{}/{first}/{name}", self.origin, after.as_millis())
    }

    /// How many grants of this name came.
    pub(crate) async fn count(&self, name: &str) -> Result<u64> {
        let count = reqwest::get(format!("{}/count/{name}", self.origin)).await?;
        Ok(count.error_for_status()?.text().await?.parse()?)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
