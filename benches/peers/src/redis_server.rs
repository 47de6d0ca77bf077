//! A Redis server of the benchmark's own: on loopback, with a port and a folder of its own. It ends with whoever started it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{Result, scratch};

/// A running server.
#[derive(Debug)]
pub(crate) struct RedisServer {
    port: u16,
    shell: Child,
    /// After the shell, which is waited for.
    _folder: TempDir,
}

/// Starts the server, and ends it once its own input ends: also when the benchmark is killed.
const UNTIL_THE_END: &str = r#"redis-server "$@" </dev/null & cat >/dev/null; kill -9 $!; wait $!"#;

impl RedisServer {
    /// One that writes nothing down: where it does, the disk stops it now and then, and that is not what is measured.
    pub(crate) fn start() -> Result<Self> {
        let folder = scratch::folder()?;
        // Free a moment ago; should another take it now, the server says so and ends.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut shell = Command::new("sh");
        shell.args(["-c", UNTIL_THE_END, "sh", "--bind", "127.0.0.1", "--port", &port.to_string()]);
        shell.args(["--save", "", "--maxmemory-policy", "noeviction", "--logfile", "log", "--appendonly", "no"]);
        let shell = shell
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { port, shell, _folder: folder };
        server.wait()?;
        Ok(server)
    }

    fn wait(&self) -> Result {
        let (start, client) = (Instant::now(), redis::Client::open(self.url())?);
        loop {
            let answer = client.get_connection().and_then(|mut server| redis::cmd("PING").query::<String>(&mut server));
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > Duration::from_secs(5) => {
                    return Err(format!(
                        "redis-server does not answer ({error}); install it with: sudo apt-get install -y redis-server"
                    )
                    .into());
                }
                Err(_) => sleep(Duration::from_millis(20)),
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // The end of its input is what ends it. One that has ended by itself is as good.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
