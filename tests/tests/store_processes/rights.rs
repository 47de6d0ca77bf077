//! Who may read and write, and what happens where nobody can.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::place::{Kind, Place, of_each_kind};
use crate::worker::{Running, WORKER, said};

of_each_kind!(
    the_files_are_private_under_any_umask,
    what_is_read_only_is_misconfigured_and_keeps_its_records,
    a_full_disk_and_a_read_only_mount_lose_nothing,
    room_that_was_set_aside_is_there_on_a_full_disk,
);

/// The files of a store in which there is one record, below the store's own path.
fn files(place: &Place) -> Vec<PathBuf> {
    let path = place.path();
    match place.kind {
        Kind::Sqlite => ["", "-wal", "-shm"].map(|suffix| format!("{}{suffix}", path.display()).into()).to_vec(),
        Kind::File => below(&path),
    }
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn the_files_are_private_under_any_umask(kind: Kind) {
    for umask in ["000", "022", "077", "777"] {
        let place = Place::new(kind);
        let script = format!("umask {umask}; exec \"$0\" run \"$1\" site/1");
        let mut worker = Running::of(Command::new("sh").args(["-c", &script, WORKER, &place.url()]));
        let mut lines = worker.lines();
        let first = lines.next().unwrap();
        assert!(first.starts_with("site/1/"), "{umask}: {first}");
        let files = match kind {
            // While it runs, with all its files there.
            Kind::Sqlite => files(&place),
            // Not while it runs: staged files come and go.
            Kind::File => {
                worker.kill();
                files(&place)
            }
        };
        assert!(files.len() >= 3);
        let mut unfinished = 0;
        for file in files {
            // Killed right after it was made: its rights are what the umask left of them, until they are set.
            if kind == Kind::File && umask == "777" && mode(&file) == 0 {
                unfinished += 1;
                continue;
            }
            assert_eq!(mode(&file), 0o600, "{} under {umask}", file.display());
            let directory = file.parent().unwrap();
            assert_eq!(mode(directory), 0o700, "{} under {umask}", directory.display());
        }
        assert!(unfinished <= 1, "{unfinished} files that nobody can read, under {umask}");
    }
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Runs the worker as a user whom permissions bind: nobody, if this is root.
fn as_bound_user(directory: &Path, arguments: &[&str]) -> Output {
    // Where that user can reach it.
    let worker = directory.join("store-worker");
    if !worker.exists() {
        fs::copy(WORKER, &worker).unwrap();
        set_mode(&worker, 0o755);
    }
    let mut command = Command::new(worker);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(arguments).output().unwrap()
}

fn what_is_read_only_is_misconfigured_and_keeps_its_records(kind: Kind) {
    let place = Place::new(kind);
    let here = place.directory.path();
    set_mode(here, 0o755);
    let (path, url) = (place.path(), place.url());
    let home = path.parent().unwrap();
    fs::create_dir(home).unwrap();
    if is_root() {
        chown(home, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    assert_eq!(said(&as_bound_user(here, &["count", &url, "site/1", "3"])), "3");

    let whole = mode(&path);
    let cases = match kind {
        Kind::Sqlite => {
            [(0o400, 0o700, "visitors is read-only"), (0o600, 0o500, "new is read-only"), (0, 0o700, "read-only")]
        }
        Kind::File => [(0o500, 0o700, "visitors is read-only"), (0o400, 0o700, "visitors"), (0, 0o700, "visitors")],
    };
    for (own, around, says) in cases {
        set_mode(&path, own);
        set_mode(home, around);
        let said = said(&as_bound_user(here, &["open", &url]));
        assert!(said.starts_with("Misconfigured: ") && said.contains(says), "{said}");
        set_mode(home, 0o700);
        set_mode(&path, whole);
        assert_eq!(self::said(&as_bound_user(here, &["count", &url, "site/1", "0"])), "3");
    }
    set_mode(home, 0o500);
    let said_of_new = said(&as_bound_user(here, &["open", &format!("{url}-2")]));
    assert!(said_of_new.starts_with("Misconfigured: ") && said_of_new.contains("cannot create"), "{said_of_new}");
    set_mode(home, 0o700);
    assert_eq!(said(&as_bound_user(here, &["count", &url, "site/1", "0"])), "3");
}

/// What a script prints that has a disk of its own, of 2,000 KiB, where the store is: `$0` is the worker, `$1` the disk, `$2` the
/// store's URL. Only root can have one, and not everywhere. Elsewhere the same is shown by other tests, by SQLite's limit on pages
/// and by permissions, which this says.
fn on_a_small_disk(place: &Place, script: &str) -> Option<Vec<String>> {
    let script = format!("set -e; mount -t tmpfs -o size=2000k none \"$1\" || exit 77; {script}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, WORKER]).arg(place.directory.path()).arg(place.url());
    let run = command.output().ok().filter(|run| run.status.code() != Some(77) && is_root());
    if run.is_none() {
        eprintln!("no file system can be mounted here: full disk and read-only mount are shown by other tests only");
    }
    eprint!("{}", String::from_utf8_lossy(&run.as_ref()?.stderr));
    Some(said(&run?).lines().map(str::to_owned).collect())
}

fn a_full_disk_and_a_read_only_mount_lose_nothing(kind: Kind) {
    let script = r#"
        head -c 1200000 /dev/zero > "$1/ballast"
        "$0" fill "$2" "$1/ballast"
        mount -o remount,ro "$1"
        "$0" open "$2" || true
        mount -o remount,rw "$1"
        "$0" count "$2" site/new 1
    "#;
    let Some(said) = on_a_small_disk(&Place::new(kind), script) else { return };
    let [full, records, read_only, after] = &said[..] else { panic!("{said:?}") };
    assert!(full.starts_with("Unavailable: ") && full.contains("full"), "{full}");
    assert!(records.ends_with(" records"), "{records}");
    assert!(read_only.starts_with("Misconfigured: ") && read_only.contains("read-only"), "{read_only}");
    assert_eq!(after, "1");
}

fn room_that_was_set_aside_is_there_on_a_full_disk(kind: Kind) {
    let Some(said) = on_a_small_disk(&Place::new(kind), r#""$0" reserve "$2" "$1/ballast""#) else { return };
    let [without, with] = &said[..] else { panic!("{said:?}") };
    assert!(without.starts_with("Unavailable: ") && without.contains("full"), "{without}");
    assert_eq!(with, "Swapped");
}
