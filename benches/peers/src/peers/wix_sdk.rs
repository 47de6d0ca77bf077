//! `@wix/sdk` in Node.js: a process that stays, and measures a round whenever it is asked for one.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::{Result, program::root};

/// Ends with its owner.
pub(crate) struct WixSdk {
    child: Child,
    asking: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl WixSdk {
    pub(crate) const NAME: &'static str = "@wix/sdk";

    /// With a visitor of its own, from this endpoint.
    pub(crate) fn new(origin: &str) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(root().join("tests/sdk/hit.mjs"));
        command.env("WIX_API_URL", origin).env("WIX_CLIENT_ID", "00000000-0000-4000-8000-000000000000");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start node ({error}); run: cargo xtask bench"))?;
        let asking = child.stdin.take().ok_or("node has no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("node has no stdout")?);
        Ok(Self { child, asking, answers })
    }

    /// Nanoseconds of one call, of each batch; batches are repeated for so long.
    pub(crate) fn batches(&mut self, time: Duration) -> Result<Vec<f64>> {
        writeln!(self.asking, "{}", time.as_millis())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        serde_json::from_str(&answer).map_err(|_| "tests/sdk/hit.mjs ended; run: cargo xtask bench".into())
    }
}

impl Drop for WixSdk {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
