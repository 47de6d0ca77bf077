//! The programs that are not Rust crates of ours: which versions, and how to get them.

use std::process::{Command, Stdio};

use crate::{
    Result, nightly,
    run::{cargo, program, run},
};

/// Pinned, so that a new release cannot turn a green change red.
const CARGO_DENY: &str = "0.20.2";
const CARGO_CYCLONEDX: &str = "0.5.9";
const CARGO_SEMVER_CHECKS: &str = "0.51.0";
const CARGO_FUZZ: &str = "0.13.2";
const CARGO_LLVM_COV: &str = "0.9.1";
const CARGO_MUTANTS: &str = "27.1.0";

/// The oldest Node.js that runs the JavaScript SDK: it has a global `fetch`.
const NODE_MAJOR: u32 = 18;

/// Makes sure that the pinned cargo-deny is installed.
pub(crate) fn cargo_deny() -> Result {
    subcommand_of_cargo("deny", CARGO_DENY, "three minutes")
}

/// Makes sure that the pinned cargo-cyclonedx is installed.
pub(crate) fn cargo_cyclonedx() -> Result {
    subcommand_of_cargo("cyclonedx", CARGO_CYCLONEDX, "two minutes")
}

/// Makes sure that the pinned cargo-semver-checks is installed.
pub(crate) fn cargo_semver_checks() -> Result {
    subcommand_of_cargo("semver-checks", CARGO_SEMVER_CHECKS, "eight minutes")
}

/// Makes sure that the pinned cargo-llvm-cov is installed.
pub(crate) fn cargo_llvm_cov() -> Result {
    subcommand_of_cargo("llvm-cov", CARGO_LLVM_COV, "a minute")
}

/// Makes sure that the pinned cargo-mutants is installed.
pub(crate) fn cargo_mutants() -> Result {
    subcommand_of_cargo("mutants", CARGO_MUTANTS, "three minutes")
}

/// Makes sure that `cargo NAME` is installed, in this very version.
fn subcommand_of_cargo(name: &str, wanted: &str, takes: &str) -> Result {
    let package = format!("cargo-{name}");
    if version_of(cargo(name).arg("--version")).is_some_and(|version| version == wanted) {
        println!("{package} {wanted}: installed");
        return Ok(());
    }
    println!("{package} {wanted}: missing; building it takes about {takes}");
    run(cargo("install").args(["--locked", "--version", wanted, &package]))
}

/// Makes sure that the pinned cargo-fuzz is installed, and the nightly Rust that it needs: what measures how far an input came is not
/// stable.
pub(crate) fn cargo_fuzz() -> Result {
    nightly::install()?;
    subcommand_of_cargo("fuzz", CARGO_FUZZ, "two minutes")
}

/// Makes sure that Node.js and npm are installed and new enough.
pub(crate) fn node() -> Result {
    let node = version_of(program("node").arg("--version"));
    let npm = version_of(program("npm").arg("--version"));
    if let (Some(node), Some(npm)) = (&node, &npm)
        && major(node).is_some_and(|major| major >= NODE_MAJOR)
    {
        println!("node {node}, npm {npm}: installed");
        return Ok(());
    }
    println!("node {}, npm {}: trying apt-get", node.as_deref().unwrap_or("-"), npm.as_deref().unwrap_or("-"));
    // Some packages of Node.js bring npm along and refuse the separate one, so npm is asked for only when it is still missing.
    let tried = apt_get_install("nodejs").and_then(|()| match version_of(program("npm").arg("--version")) {
        Some(_) => Ok(()),
        None => apt_get_install("npm"),
    });
    let found = version_of(program("node").arg("--version"));
    match (tried, found.as_deref().and_then(major)) {
        (Ok(()), Some(major)) if major >= NODE_MAJOR => Ok(()),
        (tried, _) => {
            let why = tried.err().map(|error| format!(" ({error})")).unwrap_or_default();
            Err(format!(
                "the interop suite needs Node.js {NODE_MAJOR} or newer with npm{why}; install it with: \
                 sudo apt-get update && sudo apt-get install -y nodejs npm"
            )
            .into())
        }
    }
}

/// Whether a disk of one's own can be mounted here, for as long as a test runs.
pub(crate) fn small_disk() -> bool {
    let script = r#"d=$(mktemp -d) && mount -t tmpfs tmpfs "$d" && umount "$d" && rmdir "$d""#;
    let mut command = program("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Makes sure that OpenSSL can be built against: with all features on, the system's TLS is among them.
pub(crate) fn openssl() -> Result {
    from_apt_get("OpenSSL's headers", "the feature `native-tls`", &["pkg-config", "libssl-dev"], || {
        let mut asking = program("pkg-config");
        asking.args(["--modversion", "openssl"]);
        version_of(&mut asking)
    })
}

/// Makes sure that a browser and its driver are installed, both of one release.
pub(crate) fn chromium() -> Result {
    from_apt_get("Chromium and chromedriver", "the browser suite", &["chromium", "chromium-driver"], || {
        let version = |name: &str| number_in(&first_line(program(name).arg("--version"))?);
        let (browser, driver) = (version("chromium")?, version("chromedriver")?);
        (major(&browser) == major(&driver)).then_some(browser)
    })
}

/// Makes sure that wrk is installed.
pub(crate) fn wrk() -> Result {
    // It tells its version and fails.
    let version = || String::from_utf8(program("wrk").arg("--version").output().ok()?.stdout).ok();
    from_apt_get("wrk", "the load test", &["wrk"], || {
        Some(version()?.split_whitespace().nth(1)?.trim_start_matches("debian/").to_owned())
    })
}

/// Makes sure that valgrind is installed.
pub(crate) fn valgrind() -> Result {
    from_apt_get("valgrind", "the count of instructions", &["valgrind"], || {
        version_of(program("valgrind").arg("--version"))
    })
}

/// Makes sure that SQLite's own command is installed.
pub(crate) fn sqlite3() -> Result {
    from_apt_get("sqlite3", "the benchmark", &["sqlite3"], || {
        number_in(&first_line(program("sqlite3").arg("--version"))?)
    })
}

/// Makes sure that something is there, by its version.
fn from_apt_get(what: &str, needed_by: &str, packages: &[&str], version: impl Fn() -> Option<String>) -> Result {
    if let Some(version) = version() {
        println!("{what} {version}: installed");
        return Ok(());
    }
    println!("{what}: trying apt-get");
    let tried = packages.iter().try_for_each(|package| apt_get_install(package));
    if tried.is_ok() && version().is_some() {
        return Ok(());
    }
    let why = tried.err().map(|error| format!(" ({error})")).unwrap_or_default();
    let packages = packages.join(" ");
    Err(format!(
        "{needed_by} needs {what}{why}; install with: sudo apt-get update && sudo apt-get install -y {packages}"
    )
    .into())
}

pub(crate) fn apt_get_install(package: &str) -> Result {
    let apt_get = || {
        // Without a password to be asked for: there may be nobody at the keyboard.
        let mut command = if am_root() { program("apt-get") } else { program("sudo") };
        if !am_root() {
            command.args(["-n", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // An index that cannot be refreshed may still know the package.
    if let Err(error) = run(apt_get().args(["update", "--quiet"])) {
        println!("{error}");
    }
    run(apt_get().args(["install", "--yes", "--quiet", "--no-install-recommends", package]))
}

pub(crate) fn am_root() -> bool {
    program("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The version that a program prints, or nothing where it is not installed: the last word of its first line, without a `v`.
fn version_of(command: &mut Command) -> Option<String> {
    let line = first_line(command)?;
    Some(line.split_whitespace().last()?.trim_start_matches('v').to_owned())
}

/// The first word of a line that begins with a digit.
fn number_in(line: &str) -> Option<String> {
    line.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// The first line that a program prints, or nothing where it is not installed.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().map(str::to_owned))?
}

pub(crate) fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_printed_as(text: &str) -> Option<String> {
        version_of(program("/bin/echo").arg(text))
    }

    #[test]
    fn a_version_is_read_in_each_programs_manner() {
        assert_eq!(version_printed_as("v20.20.2").as_deref(), Some("20.20.2"));
        assert_eq!(version_printed_as("cargo-deny 0.20.2").as_deref(), Some("0.20.2"));
        assert_eq!(version_printed_as("11.19.1\nmore").as_deref(), Some("11.19.1"));
        assert_eq!(version_printed_as(""), None);
    }

    #[test]
    fn a_version_is_found_among_other_words() {
        let line = "ChromeDriver 156.0.8078.79 (a21ce95c24ce-refs/branch-heads/8078@{#1704})";
        assert_eq!(number_in(line).as_deref(), Some("156.0.8078.79"));
        assert_eq!(number_in("no version"), None);
    }

    #[test]
    fn what_is_there_is_left_alone() {
        from_apt_get("a thing", "nobody", &["no such package, or it would be installed now"], || Some("1".to_owned()))
            .unwrap();
    }

    #[test]
    fn a_program_that_is_missing_has_no_version() {
        assert_eq!(version_of(&mut program("no-such-program-here")), None);
    }

    #[test]
    fn the_major_version_is_compared_as_a_number() {
        assert!(major("18.20.4").is_some_and(|major| major >= NODE_MAJOR));
        assert!(major("9.0.0").is_some_and(|major| major < NODE_MAJOR));
        assert_eq!(major("nightly"), None);
    }
}
