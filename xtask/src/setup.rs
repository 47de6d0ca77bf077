//! `cargo xtask setup`: installs what is missing. What is there already is left alone.

use std::{fs, path::Path};

use crate::{
    Result, nightly,
    run::{program, root, run},
    servers, tools,
};

/// Everything that `test` and `ci` need.
pub(crate) fn setup() -> Result {
    suites()?;
    tools::openssl()?;
    tools::cargo_deny()?;
    nightly::install()
}

/// What the test suites need.
pub(crate) fn suites() -> Result {
    sdk()?;
    redis()?;
    servers::others()?;
    tools::chromium()?;
    tools::wrk()
}

/// What the comparison with peers needs.
pub(crate) fn peers() -> Result {
    sdk()?;
    redis()?;
    tools::sqlite3()
}

fn sdk() -> Result {
    tools::node()?;
    javascript_sdk(&root().join("tests/sdk"))
}

/// What the proof of the shop under load needs.
pub(crate) fn load() -> Result {
    redis()?;
    tools::wrk()
}

/// What the proof of failovers needs.
pub(crate) fn redis() -> Result {
    servers::redis()
}

/// The JavaScript SDK that the interop suite runs and the bundler that puts it into a page, as the lock file beside them says.
fn javascript_sdk(folder: &Path) -> Result {
    let wanted = fs::read(folder.join("package-lock.json"))?;
    // npm leaves no mark that says which lock file it installed from: a copy of it, made last, is one.
    let mark = folder.join("node_modules/.installed-from.json");
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        println!("tests/sdk: installed");
        return Ok(());
    }
    println!("tests/sdk: installing the JavaScript SDK and a bundler");
    run(program("npm").arg("ci").current_dir(folder))?;
    fs::write(&mark, wanted)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_from_this_very_lock_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("node_modules")).unwrap();
        // No lock file at all for npm to read: running it would fail.
        for file in ["package-lock.json", "node_modules/.installed-from.json"] {
            fs::write(folder.path().join(file), "not a lock file").unwrap();
        }
        javascript_sdk(folder.path()).unwrap();
    }
}
