//! Runs a command and keeps all that it prints in a file; shows what a person wants to see of it.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::{Command, ExitStatus},
};

use crate::{Result, run::shown};

/// How a recorded command ended.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) status: ExitStatus,
    pub(crate) logged: Logged,
    /// The tests that failed, each with what it panicked of.
    pub(crate) failed: Vec<String>,
}

/// How much of what may hold a secret was in the log: where there is none of it, a search proves nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Lines at the trace level.
    pub(crate) trace: u64,
    /// Spans of ours that closed, with all their fields.
    pub(crate) spans: u64,
    /// Metrics of ours, with all their labels.
    pub(crate) metrics: u64,
}

impl Logged {
    fn count(&mut self, level: Level, line: &[u8]) {
        let holds = |text: &[u8]| line.windows(text.len()).any(|part| part == text);
        self.trace += u64::from(level == Level::Trace);
        self.spans += u64::from(holds(b" wix_visitor.") && holds(b": close time.busy="));
        self.metrics += u64::from(holds(b": metric wix_visitor_"));
    }
}

/// Runs a command, with stdout and stderr in one file in the order they were written. Log lines go to the file alone: at the
/// trace level they are hundreds for each that a person wants to read.
pub(crate) fn run_recorded(mut command: Command, record: &Path) -> Result<Recorded> {
    println!("$ {}", shown(&command));
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // It holds the writing ends: while it lives, the reading end never ends.
    drop(command);
    let (logged, tests) = record_lines(BufReader::new(reader), File::create(record)?, std::io::stdout())?;
    Ok(Recorded { status: child.wait()?, logged, failed: tests.failed() })
}

fn record_lines(mut from: impl BufRead, record: impl Write, mut shown: impl Write) -> Result<(Logged, Failures)> {
    let mut record = BufWriter::new(record);
    let (mut logged, mut tests) = (Logged::default(), Failures::default());
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        record.write_all(&line)?;
        match log_level(&line) {
            None => {
                tests.hear(String::from_utf8_lossy(&line).trim_end());
                shown.write_all(&line)?;
            }
            Some(level) => logged.count(level, &line),
        }
        line.clear();
    }
    record.flush()?;
    Ok((logged, tests))
}

/// What Rust's test programs say of the tests that fail, and where: in hundreds of thousands of lines, nobody finds it again.
#[derive(Debug, Default)]
struct Failures {
    names: Vec<String>,
    /// Of each thread what it panicked of last; a thread bears the name of its test.
    panics: HashMap<String, String>,
    part: Part,
}

/// What the next line belongs to.
#[derive(Debug, Default)]
enum Part {
    #[default]
    Nothing,
    /// The message of this thread's panic.
    Panic(String),
    /// The list of names at the end of a test program.
    Names,
}

impl Failures {
    /// No message needs more.
    const LONGEST: usize = 2_000;

    fn hear(&mut self, line: &str) {
        if let Some((thread, place)) = line.strip_prefix("thread '").and_then(|rest| rest.split_once("' ")) {
            self.panics.insert(thread.to_owned(), place.to_owned());
            self.part = Part::Panic(thread.to_owned());
        } else if line == "failures:" {
            self.part = Part::Names;
        } else if line.starts_with("test result:") || line.starts_with("stack backtrace:") {
            self.part = Part::Nothing;
        } else {
            match &self.part {
                Part::Nothing => {}
                Part::Panic(thread) => {
                    let message = self.panics.entry(thread.clone()).or_default();
                    if message.len() + line.len() < Self::LONGEST {
                        message.push_str("\n    ");
                        message.push_str(line);
                    }
                }
                Part::Names => self.names.extend(line.strip_prefix("    ").map(str::to_owned)),
            }
        }
    }

    fn failed(&self) -> Vec<String> {
        let of = |name: &String| match self.panics.get(name) {
            Some(panic) => format!("{name}\n    {panic}"),
            None => name.clone(),
        };
        self.names.iter().map(of).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Trace,
    Other,
}

/// The level of a log line as `tracing-subscriber` writes it: `2026-01-31T12:00:00.000000Z TRACE target: message`.
fn log_level(line: &[u8]) -> Option<Level> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let time = words.next()?;
    if !(time.first()?.is_ascii_digit() && time.contains(&b'T') && time.ends_with(b"Z")) {
        return None;
    }
    match words.next()? {
        b"TRACE" => Some(Level::Trace),
        b"DEBUG" | b"INFO" | b"WARN" | b"ERROR" => Some(Level::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::program;

    #[test]
    fn both_streams_are_kept_in_the_order_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("record");
        let mut command = program("/bin/sh");
        command.args(["-c", "echo one; echo two >&2; printf three; exit 7"]);
        let recorded = run_recorded(command, &file).unwrap();
        assert_eq!(recorded.status.code(), Some(7));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\nthree");
    }

    #[test]
    fn log_lines_are_kept_and_counted_but_not_shown() {
        let text =
            "test a ... ok\n2026-01-31T12:00:00.000001Z TRACE core: a\n2026-01-31T12:00:00.000002Z  INFO core: b\nend";
        let (mut record, mut shown) = (Vec::new(), Vec::new());
        let (logged, _) = record_lines(text.as_bytes(), &mut record, &mut shown).unwrap();
        assert_eq!(logged, Logged { trace: 1, ..Logged::default() });
        assert_eq!(String::from_utf8(record).unwrap(), text);
        assert_eq!(String::from_utf8(shown).unwrap(), "test a ... ok\nend");
    }

    #[test]
    fn spans_and_metrics_of_ours_are_counted() {
        let text = "2026-01-31T12:00:00.000001Z DEBUG wix_visitor.flight{visitor=0a}: core::spans: new\n\
                    2026-01-31T12:00:00.000002Z DEBUG wix_visitor.flight{visitor=0a}: core::spans: close time.busy=1µs\n\
                    2026-01-31T12:00:00.000003Z DEBUG theirs{a=b}: core: close time.busy=1µs\n\
                    2026-01-31T12:00:00.000004Z TRACE tests::numbers: metric wix_visitor_waiters{site=\"a\"}\n";
        let (logged, _) = record_lines(text.as_bytes(), Vec::new(), Vec::new()).unwrap();
        assert_eq!(logged, Logged { trace: 1, spans: 1, metrics: 1 });
    }

    #[test]
    fn the_tests_that_fail_are_told_with_what_they_panicked_of() {
        let text = "running 3 tests\n\
                    thread 'a::planned' (7) panicked at tests/a.rs:1:2:\nas planned\nstack backtrace:\n   0: begin\n\
                    test a::planned ... ok\n\
                    thread 'b::wrong' (8) panicked at tests/b.rs:3:4:\nassertion failed: one\n  left: 1\nstack backtrace:\n   0: x\n\
                    test b::wrong ... 2026-01-31T12:00:00.000001Z TRACE core: a\nFAILED\n\
                    \nfailures:\n\nfailures:\n    b::wrong\n    c::silent\n\n\
                    test result: FAILED. 1 passed; 2 failed\n    no::name\n";
        let (_, tests) = record_lines(text.as_bytes(), Vec::new(), Vec::new()).unwrap();
        assert_eq!(
            tests.failed(),
            ["b::wrong\n    (8) panicked at tests/b.rs:3:4:\n    assertion failed: one\n      left: 1", "c::silent"]
        );
    }

    #[test]
    fn what_only_resembles_a_log_line_is_shown() {
        for line in ["", "\n", "TRACE", "10:00 TRACE x", "2026-01-31T12:00:00Z", "Z TRACE", "2026-01-31T12:00:00Z ok"] {
            assert_eq!(log_level(line.as_bytes()), None, "{line}");
        }
    }
}
