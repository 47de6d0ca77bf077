//! A ring of keys from where operators keep secrets: a file, or a variable.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use wix_visitor_core::{Error, ErrorKind, KeyRing, Secret};
use zeroize::Zeroizing;

/// Holds the ring itself.
const KEYS: &str = "WIX_VISITOR_KEYS";

/// Names a file that holds it.
const KEYS_FILE: &str = "WIX_VISITOR_KEYS_FILE";

/// More than any ring has.
const LARGEST: usize = 64 * 1024;

/// The ring of keys in this file, as `wix-visitor keys generate` makes it: see [`KeyRing::from_text`].
///
/// # Errors
/// [`ErrorKind::Misconfigured`] if the file cannot be read, or (on Unix) can be read by others; [`ErrorKind::InvalidInput`] if it is no
/// ring.
pub fn read_key_ring(path: impl AsRef<Path>) -> Result<KeyRing, Error> {
    let path = path.as_ref();
    let shown = shown(path);
    let fail = |error: std::io::Error| {
        let message = format!("the key ring {shown} cannot be read: {error}");
        Error::new(ErrorKind::Misconfigured, message).with_source(error)
    };
    // Looked at first: to open a pipe is to wait for its other end.
    let found = std::fs::metadata(path).map_err(fail)?;
    if !found.is_file() {
        let message = format!("the key ring {shown} is not a file: name one that `wix-visitor keys generate` made");
        return Err(Error::new(ErrorKind::Misconfigured, message));
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0 {
        let message = format!("the key ring {shown} is open to others than its owner: `chmod 600 {shown}`");
        return Err(Error::new(ErrorKind::Misconfigured, message));
    }
    let mut text = Zeroizing::new(String::new());
    let read =
        File::open(path).and_then(|file| file.take(LARGEST as u64 + 1).read_to_string(&mut text)).map_err(fail)?;
    if read > LARGEST {
        let message = format!("the key ring {shown} is larger than {LARGEST} bytes, which none is");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    KeyRing::from_text(&text)
        .map_err(|error| Error::new(error.kind(), format!("the key ring {shown} cannot be used: {}", error.message())))
}

/// A file's name for an error; not if it is what was meant to be *in* the file.
fn shown(path: &Path) -> String {
    let name = path.to_string_lossy();
    if name.len() > 1000 || KeyRing::from_text(&name).is_ok() {
        return "(its name is a key or is too long, so it is not shown: give the name of a file)".to_owned();
    }
    name.into_owned()
}

/// The ring of keys that the environment names: by `WIX_VISITOR_KEYS`, which holds it, or by `WIX_VISITOR_KEYS_FILE`, the name of a
/// [file](read_key_ring) that does. `None` if neither is set, or to nothing.
///
/// # Errors
/// Those of [`read_key_ring`]; [`ErrorKind::Misconfigured`] if both are set.
pub fn key_ring_from_environment() -> Result<Option<KeyRing>, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    match (set(KEYS), set(KEYS_FILE)) {
        (None, None) => Ok(None),
        (None, Some(path)) => read_key_ring(Path::new(&path)).map(Some),
        (Some(text), None) => {
            let text = text.into_string().map(Secret::new).unwrap_or_else(|_| Secret::new("not text"));
            let wrong = |error: Error| Error::new(error.kind(), format!("{KEYS} cannot be used: {}", error.message()));
            KeyRing::from_text(text.expose()).map(Some).map_err(wrong)
        }
        (Some(_), Some(_)) => {
            let message = format!("the key ring is named twice, by {KEYS} and by {KEYS_FILE}: unset one of them");
            Err(Error::new(ErrorKind::Misconfigured, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use wix_visitor_core::SealingKey;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_ring_that_others_may_read_is_refused_and_so_is_what_is_none() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let ring = KeyRing::new(SealingKey::generate().unwrap());
        std::fs::write(&path, ring.to_text().expose()).unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o640);
        let error = read_key_ring(&path).unwrap_err();
        assert!(error.kind() == ErrorKind::Misconfigured && error.to_string().contains("chmod 600"), "{error}");
        mode(0o600);
        assert_eq!(read_key_ring(&path).unwrap().names().count(), 1);
        std::fs::write(&path, "hunter2hunter2").unwrap();
        let error = read_key_ring(&path).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && !error.to_string().contains("hunter2"), "{error}");
        std::fs::write(&path, format!("# {}\n{}", "x".repeat(LARGEST), ring.to_text().expose())).unwrap();
        let error = read_key_ring(&path).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("larger"), "{error}");
        // A pipe, whose other end nobody has.
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read_key_ring(&pipe).unwrap_err().kind(), ErrorKind::Misconfigured);
        let key = SealingKey::generate().unwrap().to_text();
        for misplaced in [key.expose(), &"x".repeat(100_000)] {
            let error = read_key_ring(misplaced).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(!format!("{error} {error:?}").contains(misplaced), "the name is repeated");
        }
        for nothing in [directory.path(), &directory.path().join("none")] {
            assert_eq!(read_key_ring(nothing).unwrap_err().kind(), ErrorKind::Misconfigured);
        }
    }
}
