//! Many processes on one SQLite database: nothing lost, nobody starved, and a kill at any moment leaves it whole.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // the helpers too are tests

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use tempfile::{TempDir, tempdir};
use wix_visitor_core::{StoreKey, TokenStore};
use wix_visitor_sqlite::SqliteStore;

const WORKER: &str = env!("CARGO_BIN_EXE_store-worker");

/// A process that is not left behind, whatever becomes of the test.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self(Command::new(WORKER).args(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn lines(&mut self) -> impl Iterator<Item = String> + Send + use<> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map_while(Result::ok)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn database() -> (TempDir, String) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("visitors.db").to_str().unwrap().to_owned();
    (directory, path)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn count(store: &SqliteStore, key: &str) -> u64 {
    let found = store.load(&StoreKey::parse(key).unwrap()).await.unwrap();
    let Some(found) = found else { return 0 };
    let (number, rest) = found.bytes.split_first_chunk::<8>().unwrap();
    assert!(rest.chunks(8).all(|again| again == number), "a torn record");
    u64::from_be_bytes(*number)
}

#[tokio::test]
async fn four_processes_count_up_one_record_and_no_step_is_lost() {
    let (_directory, path) = database();
    // They also race to create the database.
    let mut workers: Vec<_> = (0..4).map(|_| Running::start(&["count", &path, "site/shared", "150"])).collect();
    for worker in &mut workers {
        let last = worker.lines().last();
        assert!(worker.0.wait().unwrap().success(), "{last:?}");
    }
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(count(&store, "site/shared").await, 600);
}

#[test]
fn of_four_busy_processes_each_gets_its_share_of_the_commits() {
    let (_directory, path) = database();
    let (steps, heard) = mpsc::channel();
    let _workers: Vec<_> = (0..4)
        .map(|n| {
            let mut worker = Running::start(&["run", &path, &format!("site/{n}")]);
            let (lines, steps) = (worker.lines(), steps.clone());
            thread::spawn(move || lines.for_each(|_| steps.send(n).unwrap_or(())));
            worker
        })
        .collect();
    let mut heard = heard.iter();
    let mut waiting = [true; 4];
    while waiting.contains(&true) {
        waiting[heard.next().unwrap()] = false;
    }
    // All are at work: from here on it counts.
    let mut shares = [0; 4];
    for n in heard.take(4000) {
        shares[n] += 1;
    }
    println!("{shares:?} of 4000");
    assert!(shares.iter().all(|share| *share >= 1000 / 4), "{shares:?}");
}

#[tokio::test]
async fn killed_at_any_moment_the_database_is_whole_and_holds_every_acknowledged_write() {
    let (_directory, path) = database();
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    for round in 0..8 {
        let (steps, heard) = mpsc::channel();
        let mut workers: Vec<_> = (0..4).map(|n| Running::start(&["run", &path, &format!("site/{n}")])).collect();
        for worker in &mut workers {
            let (lines, steps) = (worker.lines(), steps.clone());
            thread::spawn(move || lines.for_each(|line| drop(steps.send(line))));
        }
        drop(steps);
        let mut note = |line: String| {
            // The kill may have cut the last line.
            if let Some((key, step)) = line.split_once(' ')
                && let Ok(step) = step.parse::<u64>()
            {
                let last = acknowledged.entry(key.to_owned()).or_default();
                *last = step.max(*last);
            }
        };
        // Not all at the same place: after another number of steps, and one round as soon as any begins.
        for line in heard.iter().take(1 + 137 * round) {
            note(line);
        }
        // SIGKILL, one after the other, so that the last ones see what the first left behind.
        drop(workers);
        heard.iter().for_each(note);

        let store = SqliteStore::open(&path).await.unwrap();
        for (key, step) in &acknowledged {
            let found = count(&store, key).await;
            // One more may have been written whose answer was not heard.
            assert!((*step..=*step + 1).contains(&found), "{key}: {step} were acknowledged, {found} found");
        }
    }
    assert!(acknowledged.len() == 12 && acknowledged.values().all(|steps| *steps > 10), "{acknowledged:?}");
    let checked: String =
        rusqlite::Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(checked, "ok");
}

#[test]
fn the_files_are_private_under_any_umask() {
    for umask in ["000", "022", "077", "777"] {
        let directory = tempdir().unwrap();
        let path = directory.path().join("new/visitors.db");
        let script = format!("umask {umask}; exec \"$0\" run \"$1\" site/1");
        let child = Command::new("sh").args(["-c", &script, WORKER]).arg(&path).stdout(Stdio::piped()).spawn().unwrap();
        let mut worker = Running(child);
        let first = worker.lines().next().unwrap();
        assert!(first.starts_with("site/1/"), "{umask}: {first}");
        // While it runs, with all its files there.
        let mode = |name: &str| fs::metadata(path.with_file_name(name)).unwrap().mode() & 0o777;
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        for name in ["visitors.db", "visitors.db-wal", "visitors.db-shm"] {
            assert_eq!(mode(name), 0o600, "{name} under {umask}");
        }
    }
}

/// Runs the worker as a user whom permissions bind: nobody, if this is root.
fn as_bound_user(directory: &Path, arguments: &[&str]) -> Output {
    // Where that user can reach it.
    let worker = directory.join("store-worker");
    if !worker.exists() {
        fs::copy(WORKER, &worker).unwrap();
        fs::set_permissions(&worker, Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(worker);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(arguments).output().unwrap()
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[test]
fn a_read_only_file_or_directory_is_misconfigured_and_keeps_its_records() {
    let directory = tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    let path: PathBuf = home.join("visitors.db");
    let text = path.to_str().unwrap();
    let own = |path: &Path| {
        if is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap()
        }
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    own(&home);
    assert_eq!(said(&as_bound_user(directory.path(), &["count", text, "site/1", "3"])), "3");
    let before = fs::read(&path).unwrap();

    for (file, folder, says) in
        [(0o400, 0o700, "visitors.db is read-only"), (0o600, 0o500, "home is read-only"), (0o000, 0o700, "read-only")]
    {
        mode(&path, file);
        mode(&home, folder);
        let said = said(&as_bound_user(directory.path(), &["open", text]));
        assert!(said.starts_with("Misconfigured: ") && said.contains(says), "{said}");
        mode(&home, 0o700);
        mode(&path, 0o600);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    mode(&home, 0o500);
    let new = home.join("new.db");
    let said_of_new = said(&as_bound_user(directory.path(), &["open", new.to_str().unwrap()]));
    assert!(said_of_new.starts_with("Misconfigured: ") && said_of_new.contains("cannot create"), "{said_of_new}");
    mode(&home, 0o700);
    assert_eq!(said(&as_bound_user(directory.path(), &["count", text, "site/1", "0"])), "3");
}

/// A file system of its own: only root can have one, and not everywhere. Elsewhere the same is shown by SQLite's limit on pages
/// and by permissions, which this test says.
#[test]
fn a_full_disk_and_a_read_only_mount_lose_nothing() {
    let directory = tempdir().unwrap();
    let script = r#"
        set -e
        mount -t tmpfs -o size=2000k none "$1" || exit 77
        head -c 1200000 /dev/zero > "$1/ballast"
        "$0" fill "$1/visitors.db" "$1/ballast"
        mount -o remount,ro "$1"
        "$0" open "$1/visitors.db" || true
        mount -o remount,rw "$1"
        "$0" count "$1/visitors.db" site/new 1
    "#;
    let run = Command::new("unshare").args(["--mount", "sh", "-c", script, WORKER]).arg(directory.path()).output();
    let Some(run) = run.ok().filter(|run| run.status.code() != Some(77) && is_root()) else {
        eprintln!("no file system can be mounted here: full disk and read-only mount are shown by other tests only");
        return;
    };
    let said = said(&run);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said} {}", String::from_utf8_lossy(&run.stderr));
    assert!(lines[0].starts_with("Unavailable: ") && lines[0].contains("full"), "{said}");
    assert!(lines[1].ends_with(" records"), "{said}");
    assert!(lines[2].starts_with("Misconfigured: ") && lines[2].contains("read-only"), "{said}");
    assert_eq!(lines[3], "1", "{said}");
}
