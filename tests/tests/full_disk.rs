//! A disk that is full to its last kilobytes, under a token that works once.
//!
//! The nastiest levels are those at which a claim still fits and the tokens that it brings do not. At every level the
//! command either renews and keeps what it got, or sends nothing.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code, also where no test attribute says so")]

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Rotation, Sandbox, SandboxOptions};
use wix_visitor_tests::command::wix_visitor;
use wix_visitor_tests::instance::CLIENT_ID;

/// Runs with a disk of its own, of 4 MiB: `$1` the command, `$2` where to mount it, `$3` how many KiB are left free, `$4` the
/// store, `$5` whether the room that it set aside is taken away as well. Prints the exit codes of five runs. The first and the last
/// must work, and are tried again: that a busy machine gave a store no turn in time says nothing of its disk.
const SCRIPT: &str = r#"
    mount -t tmpfs -o size=4m tmpfs "$2"; cd "$2"; store="$4"
    run() { "$1" --store "$store" $2 >/dev/null; echo $?; }
    work() { for try in 1 2 3 4 5; do code=$(run "$1" "$2"); [ "$code" = 5 ] || break; done; echo "$code"; }
    work "$1" token
    if [ "$5" = bare ]; then rm v-reserve; fi
    cat /dev/zero >fill 2>/dev/null; truncate -s "-${3}k" fill
    run "$1" renew; run "$1" renew; run "$1" doctor
    rm fill; work "$1" renew
"#;

struct Outcome {
    codes: Vec<i32>,
    log: String,
    sandbox: Sandbox,
}

fn at(store: &str, left: usize, room: &str) -> Outcome {
    let sandbox = Sandbox::start_on_thread(SandboxOptions::new().rotation(Rotation::Strict)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", SCRIPT, "sh"])
        .arg(wix_visitor())
        .arg(directory.path())
        .args([&left.to_string(), store, room])
        .env("WIX_API_URL", sandbox.url())
        .env("WIX_CLIENT_ID", CLIENT_ID)
        .env("WIX_VISITOR", secret_key("full disk"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let codes = String::from_utf8(output.stdout).unwrap().lines().map(|code| code.parse().unwrap()).collect();
    Outcome { codes, log: String::from_utf8(output.stderr).unwrap(), sandbox }
}

const SET_ASIDE: &str = "set aside";

#[test]
fn a_full_disk_loses_no_token_in_sqlite_at_any_level() {
    let levels = (0..=256).step_by(8).map(|left| (left, SET_ASIDE));
    at_every_level("sqlite:v", levels.chain([(32, "bare"), (56, "bare"), (128, "bare")]).collect());
}

#[test]
fn a_full_disk_loses_no_token_in_files_at_any_level() {
    at_every_level("file:v", (0..=96).step_by(4).map(|left| (left, SET_ASIDE)).collect());
}

fn at_every_level(store: &str, levels: Vec<(usize, &str)>) {
    // Where a claim fits and its release does not, the next run waits for it to run out: they wait together.
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = levels.iter().map(|(left, room)| scope.spawn(|| at(store, *left, room))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let (mut table, mut renewed, mut refused) = (String::new(), 0, 0);
    for ((left, room), Outcome { codes, log, sandbox }) in levels.into_iter().zip(outcomes) {
        let _ = writeln!(table, "{room}, {left} KiB left: {codes:?}, {} renewals", sandbox.renewals());
        let [minted, first, second, doctor, after] = codes[..] else { panic!("{table}\n{log}") };
        assert_eq!((minted, after), (0, 0), "{table}\n{log}");
        for code in [first, second, doctor] {
            assert!(code == 0 || code == 5, "{table}\n{log}");
        }
        assert!(room == SET_ASIDE || doctor == 5, "the doctor sees that there is no room: {table}\n{log}");
        let worked = [first, second, after].iter().filter(|code| **code == 0).count();
        assert_eq!(sandbox.renewals(), worked as u64, "a grant was sent in vain: {table}\n{log}");
        assert_eq!((sandbox.mints(), sandbox.refusals()), (1, 0), "{table}\n{log}");
        renewed += usize::from(first == 0);
        refused += usize::from(first == 5);
        assert!(first == 0 || log.contains("is full: make room and try again"), "{log}");
    }
    assert!(renewed > 0 && refused > 0, "no level was at the edge: {table}");
}
