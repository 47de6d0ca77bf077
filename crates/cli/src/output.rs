//! What is printed, and where: data on standard output, everything about it on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::json;

use crate::exit::Failure;

/// Standard error: notices and failures, for people or (with `--json`) one JSON object a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    json: bool,
    colour: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, colour: !json && colour(&io::stderr()) }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Something worth knowing.
    pub(crate) fn notice(self, kind: &str, text: &str) {
        if self.json {
            print_error(&json!({ "notice": { "kind": kind, "message": text } }).to_string());
        } else {
            print_error(&format!("{kind}: {text}"));
        }
    }

    /// Something that went wrong, though the command goes on.
    pub(crate) fn warning(self, kind: &str, text: &str) {
        if self.json {
            print_error(&json!({ "warning": { "kind": kind, "message": text } }).to_string());
        } else {
            print_error(&format!("{} {text}", self.paint("33", "warning:")));
        }
    }

    pub(crate) fn failure(self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        if self.json {
            print_error(&in_json(failure).to_string());
            return;
        }
        print_error(&format!("{} {}", self.paint("1;31", "error:"), failure.line()));
        for cause in &failure.causes {
            print_error(&format!("  because: {cause}"));
        }
        if let Some(advice) = &failure.advice {
            print_error(&format!("  what to do: {advice}"));
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        paint(self.colour, code, text)
    }
}

pub(crate) fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Whether colours are wanted on this stream: see <https://no-color.org>.
pub(crate) fn colour(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn in_json(failure: &Failure) -> serde_json::Value {
    json!({ "error": {
        "kind": failure.kind,
        "message": failure.message,
        "causes": failure.causes,
        "advice": failure.advice,
        "status": failure.status,
        "request_id": failure.request_id,
        "retry_in": failure.retry_in.map(|after| after.as_secs_f64()),
        "visitor": failure.visitor.map(|visitor| visitor.to_string()),
        "exit": failure.exit.code(),
    } })
}

/// Unlike `eprintln!` this does not panic where nobody reads.
fn print_error(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Standard output. When its reader has gone, what is left is dropped without a word: `| head -1` is no failure.
#[derive(Debug, Default)]
pub(crate) struct Out {
    gone: bool,
    last: Option<u8>,
}

impl Out {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Writes it through at once, so that nothing is said to have been printed that was not.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.gone || bytes.is_empty() {
            return Ok(());
        }
        self.last = bytes.last().copied();
        let written = if takes_at_once(&io::stdout(), bytes.len()) {
            write_through(bytes)
        } else {
            // On a thread of its own: where nobody reads, only that one waits.
            let bytes = bytes.to_vec();
            let write = move || write_through(&bytes);
            tokio::task::spawn_blocking(write).await.map_err(io::Error::other).and_then(|written| written)
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other.map_err(|error| Failure::other("cannot write to standard output").because(&error)),
        }
    }

    pub(crate) async fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.write(format!("{text}\n").as_bytes()).await
    }

    pub(crate) async fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::other("the answer cannot be written as JSON").because(&error))?;
        self.line(&text).await
    }

    /// Nobody reads any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// On a terminal, the prompt begins on a line of its own.
    pub(crate) async fn end_line(&mut self) -> Result<(), Failure> {
        if self.last.is_some_and(|last| last != b'\n') && io::stdout().is_terminal() {
            self.write(b"\n").await?;
        }
        Ok(())
    }
}

fn write_through(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Whether nobody has to read before so many bytes are written: a token is not worth a thread then.
#[cfg(unix)]
fn takes_at_once(out: &impl std::os::fd::AsFd, bytes: usize) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    // A pipe that takes anything takes as many, a terminal may take less.
    if bytes > rustix::pipe::PIPE_BUF || out.as_fd().is_terminal() {
        return false;
    }
    let mut polled = [PollFd::new(out, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec::default())).is_ok() && polled[0].revents().contains(PollFlags::OUT)
}

#[cfg(not(unix))]
fn takes_at_once(_: &io::Stdout, _: usize) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_pipe_takes_a_little_at_once_until_it_is_full() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let mut page = [0; rustix::pipe::PIPE_BUF];
        let mut pages = 0;
        while takes_at_once(&writer, page.len()) {
            writer.write_all(&page).unwrap();
            pages += 1;
        }
        assert!(pages > 0);
        assert!(!takes_at_once(&writer, 1));
        for _ in 0..pages {
            reader.read_exact(&mut page).unwrap();
        }
        assert!(takes_at_once(&writer, page.len()) && !takes_at_once(&writer, page.len() + 1));
    }
}
