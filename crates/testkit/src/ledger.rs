//! Notes every secret of a test run, so that the run can search its output for leaks.
//!
//! Where the environment variable `WIX_VISITOR_SECRETS_LEDGER` names a directory, each process appends its secrets, one per
//! line, to a file of its own in it (`<pid>-<random>.txt`, readable by its owner alone). Without the variable nothing is
//! kept. The variable is read once, at the first secret.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::random;

/// The environment variable that names the ledger's directory.
pub const LEDGER_VARIABLE: &str = "WIX_VISITOR_SECRETS_LEDGER";

/// Notes one secret: a token, a visitor key, a password, a sealing key.
///
/// # Panics
///
/// When a ledger is asked for and cannot be written: a leak check that misses secrets would pass for the wrong reason.
pub fn note_secret(secret: &str) {
    static LEDGER: OnceLock<Option<Ledger>> = OnceLock::new();
    let ledger = LEDGER.get_or_init(|| {
        let directory = std::env::var_os(LEDGER_VARIABLE).filter(|value| !value.is_empty())?;
        let directory = PathBuf::from(directory);
        Some(Ledger::create(&directory).unwrap_or_else(|error| {
            panic!(
                "cannot keep a secrets ledger in {}: {error}; {LEDGER_VARIABLE} must name a directory that can be written",
                directory.display()
            )
        }))
    });
    if let Some(ledger) = ledger
        && let Err(error) = ledger.note(secret)
    {
        panic!("cannot write the secrets ledger named by {LEDGER_VARIABLE}: {error}");
    }
}

/// A fresh visitor key for a test: a short prefix of `label`, then 32 random hex digits; noted in the ledger.
///
/// The prefix is cut to eight characters, so that any 16 characters in a row of the key are found only where the key leaked.
pub fn secret_key(label: &str) -> String {
    let prefix: String = label.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let key = format!("{prefix}-{}", random::hex_digits::<16>());
    note_secret(&key);
    key
}

/// One process's file in the ledger's directory.
struct Ledger {
    file: Mutex<File>,
}

impl Ledger {
    fn create(directory: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let name = format!("{}-{}.txt", std::process::id(), random::hex_digits::<8>());
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: Mutex::new(options.open(directory.join(name))?) })
    }

    fn note(&self, secret: &str) -> std::io::Result<()> {
        // One write per line: a process that dies leaves whole lines.
        let line = format!("{secret}\n");
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_is_long_random_and_says_little() {
        let one = secret_key("a shopper with a long name");
        let two = secret_key("a shopper with a long name");
        assert_ne!(one, two);
        assert!(one.len() >= 32, "{one}");
        assert!(one.starts_with("ashopper-"), "{one}");
    }

    #[test]
    fn each_secret_is_one_line_of_a_private_file() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(directory.path()).unwrap();
        ledger.note("first").unwrap();
        ledger.note("second").unwrap();
        let file = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "first\nsecond\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
