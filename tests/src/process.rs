//! A child that does not outlive this process, however that ends.

use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A running program. Killed when dropped; and when this process is killed, by a watcher that sees its pipe close, which then also
/// removes the program's directory.
#[derive(Debug)]
pub struct Process {
    child: Child,
    watcher: Child,
}

impl Process {
    /// Starts it in its directory, with nothing on stdin; what it prints goes nowhere.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(program: &Path, arguments: &[&str], directory: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null());
        Self::spawn(&mut command, directory)
    }

    /// Starts a command as it is, with nothing on stdin. The directory is what goes with it, should this process be killed.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(command: &mut Command, directory: &Path) -> Self {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()));
        let watcher = Command::new("sh")
            .args(["-c", r#"cat >/dev/null; kill -9 "$1"; rm -rf "$2""#, "sh", &child.id().to_string()])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        Self { child, watcher }
    }

    /// What it prints, where the command was given a pipe for it; the first time.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.status().is_some()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// Never, for a child of ours.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    fn end(&mut self) {
        // The watcher first: it must not see its pipe close.
        for child in [&mut self.watcher, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
