//! Ctrl-C, SIGTERM and SIGHUP.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use wix_visitor_testkit::sandbox::Gate;

use crate::support::{Said, User, sandbox, send_signal};

/// Reads the command's stderr until it says that it has heard the signal.
fn until_heard(child: &mut Child) -> BufReader<std::process::ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while stderr.read_line(&mut line).unwrap() > 0 {
        eprint!("{line}");
        if line.contains("interrupted") {
            return stderr;
        }
        line.clear();
    }
    panic!("it ended without having heard the signal");
}

fn end(mut child: Child, mut stderr: impl std::io::Read) -> (Option<i32>, String) {
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    eprint!("{rest}");
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    (child.wait().unwrap().code(), stdout)
}

async fn interrupted_while_held(user: &User, gate: Gate, words: &[&str], signal: &str, code: i32) {
    let mut child = user.start(words);
    gate.arrived().await;
    send_signal(&child, signal);
    let stderr = until_heard(&mut child);
    gate.release();
    assert_eq!(end(child, stderr), (Some(code), String::new()));
}

/// Whether this process was started to ignore SIGHUP, which its children inherit.
fn hanging_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[tokio::test]
async fn a_renewal_in_flight_is_committed_before_ctrl_c_ends_the_command() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        if signal == "HUP" && hanging_up_is_ignored() {
            // This very suite runs under `nohup`, and so would the command: the test of that has it covered.
            continue;
        }
        let sandbox = sandbox();
        let user = User::of(&sandbox);
        let first = user.token();
        interrupted_while_held(&user, sandbox.hold_renewals(), &["renew"], signal, code).await;
        assert_eq!(sandbox.renewals(), 1);
        let next = user.token();
        assert_ne!(next, first);
        assert_eq!(user.status()["generation"], 1);
        assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 2));
    }
}

#[tokio::test]
async fn a_mint_in_flight_is_committed_before_ctrl_c_ends_the_command() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    interrupted_while_held(&user, sandbox.hold_mints(), &["token"], "INT", 130).await;
    user.token();
    assert_eq!((sandbox.mints(), sandbox.token_requests()), (1, 1));
}

#[tokio::test]
async fn a_second_ctrl_c_ends_the_command_at_once() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.token();
    let gate = sandbox.hold_renewals();
    let mut child = user.start(&["renew"]);
    gate.arrived().await;
    send_signal(&child, "INT");
    let stderr = until_heard(&mut child);
    send_signal(&child, "INT");
    // The gate still holds the renewal: it cannot have been waited for.
    assert_eq!(end(child, stderr), (Some(130), String::new()));
    assert_eq!(sandbox.renewals(), 0);
}

#[test]
fn ctrl_c_ends_a_command_that_waits_for_its_input() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let mut child = user.start(&["import", "-"]);
    // It is kept open, and nothing comes. That the command listens for signals shows when its store has been opened.
    let _input = child.stdin.take().unwrap();
    while !user.database().exists() {
        std::thread::yield_now();
    }
    send_signal(&child, "INT");
    let stderr = child.stderr.take().unwrap();
    assert_eq!(end(child, stderr), (Some(130), String::new()));
    assert!(sandbox.log().is_empty());
}

/// As under `nohup`.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_that_was_started_deaf_to_hanging_up_stays_so() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    let gate = sandbox.hold_mints();
    let mut shell = user.shell("trap '' HUP; exec wix-visitor token");
    let child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    gate.arrived().await;
    send_signal(&child, "HUP");
    gate.release();
    let said = Said::from(child.wait_with_output().unwrap()).done();
    assert!(!said.stdout.is_empty() && said.errors().is_empty(), "{said:?}");
}
