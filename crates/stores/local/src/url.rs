//! A store URL that names a path: `scheme:PATH[?name=value&…]`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use wix_visitor_core::StoreError;

use crate::backend::Backend;

/// A store URL, taken apart. `scheme://PATH` is taken too, where `PATH` does not begin with what may be another machine.
#[derive(Debug)]
pub struct LocalUrl<'a> {
    backend: Backend,
    /// With each `%XX` of the URL as the byte `XX`.
    pub path: PathBuf,
    /// Each as its name and its value; none twice.
    pub options: Vec<(&'a str, &'a str)>,
}

impl<'a> LocalUrl<'a> {
    /// Reads a URL whose scheme is the backend's name; `example` is one that would do.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is of another kind, names no path or one on another machine, or gives an option twice.
    pub fn parse(backend: Backend, url: &'a str, example: &str) -> Result<Self, StoreError> {
        let scheme = backend.0;
        let rest = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')).ok_or_else(|| {
            backend.misconfigured(format!("a store URL for {scheme} starts with {scheme}: and a path, as in {example}"))
        })?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = match path.strip_prefix("//") {
            Some(path) => on_this_machine(backend, path)?,
            None => path,
        };
        if path.is_empty() {
            return Err(backend.misconfigured(format!("a {scheme}: store URL names a path, as in {example}")));
        }
        let path = decode_path(backend, path)?;
        let mut options: Vec<(&str, &str)> = Vec::new();
        let mut names = HashSet::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !names.insert(name) {
                return Err(backend.misconfigured(format!("the store URL gives the option {name:?} twice")));
            }
            options.push((name, value));
        }
        Ok(Self { backend, path, options })
    }

    /// The value of `timeout_ms`, which is `longest` at most.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is none.
    pub fn timeout(&self, value: &str, longest: Duration) -> Result<Duration, StoreError> {
        let timeout = value.parse().ok().map(Duration::from_millis);
        timeout.filter(|timeout| !timeout.is_zero() && *timeout <= longest).ok_or_else(|| {
            let longest = longest.as_millis();
            self.backend.misconfigured(format!("timeout_ms in a store URL is a number from 1 to {longest}"))
        })
    }

    /// What is said of an option that is not among the `known`.
    pub fn unknown_option(&self, name: &str, known: &str) -> StoreError {
        self.backend.misconfigured(format!("{name:?} is not an option of a {}: URL; known is {known}", self.backend.0))
    }
}

/// What follows two slashes: in other URLs a machine's name stands there, up to the next slash.
fn on_this_machine(backend: Backend, rest: &str) -> Result<&str, StoreError> {
    let Some((host, _)) = rest.split_once('/') else { return Ok(rest) };
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(&rest[host.len()..]);
    }
    let may_be_one = host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
    if may_be_one {
        let scheme = backend.0;
        return Err(backend.misconfigured(format!(
            "what follows {scheme}:// up to the next slash would be another machine, and the store is on this one: write \
             {scheme}:///PATH from the root, or {scheme}:PATH from here"
        )));
    }
    Ok(rest)
}

fn decode_path(backend: Backend, text: &str) -> Result<PathBuf, StoreError> {
    let wrong = || {
        backend.misconfigured("a % in the path of a store URL is followed by two hex digits; write %25 for the sign")
    };
    // The library takes such a sign for itself.
    let is_code = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.as_bytes().split(|byte| *byte == b'%').skip(1).all(is_code) {
        return Err(wrong());
    }
    path_of(backend, percent_decode_str(text).collect())
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // it can fail on the other systems
fn path_of(_: Backend, bytes: Vec<u8>) -> Result<PathBuf, StoreError> {
    use std::os::unix::ffi::OsStringExt;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn path_of(backend: Backend, bytes: Vec<u8>) -> Result<PathBuf, StoreError> {
    String::from_utf8(bytes)
        .map(PathBuf::from)
        .map_err(|_| backend.misconfigured("the path in the store URL is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use wix_visitor_core::StoreErrorKind;

    use super::*;

    const SHOE: Backend = Backend("shoe");

    #[test]
    fn a_url_says_path_and_options() {
        for (url, path) in [
            ("shoe:visitors", "visitors"),
            ("shoe:/var/lib/v", "/var/lib/v"),
            ("shoe:///var/lib/v", "/var/lib/v"),
            ("shoe://v?a", "v"),
            ("shoe://./v/w", "./v/w"),
            ("shoe://localhost/var/lib/v", "/var/lib/v"),
            ("shoe:a%3Fb%25c%20d?", "a?b%c d"),
            ("shoe:ä", "ä"),
        ] {
            assert_eq!(LocalUrl::parse(SHOE, url, "").unwrap().path, PathBuf::from(path), "{url}");
        }
        let url = LocalUrl::parse(SHOE, "shoe:v?&a=1&b&c=2=3&", "").unwrap();
        assert_eq!(url.options, [("a", "1"), ("b", ""), ("c", "2=3")]);
        for (value, millis) in [("250", 250), ("1", 1), ("1000", 1000)] {
            assert_eq!(url.timeout(value, Duration::from_secs(1)).unwrap(), Duration::from_millis(millis));
        }
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_to_write() {
        for (url, says) in [
            ("redis://x", "shoe:"),
            ("shoes:x", "shoe:"),
            ("shoe:", "as in shoe:42"),
            ("shoe:?a=1", "as in shoe:42"),
            ("shoe:100%", "%25"),
            ("shoe:%+1", "%25"),
            ("shoe://host/path", "shoe:///PATH"),
            ("shoe://192.168.0.1/path", "shoe:///PATH"),
            ("shoe:v?a=1&b=2&a=1", "\"a\" twice"),
        ] {
            let error = LocalUrl::parse(SHOE, url, "shoe:42").unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
        let url = LocalUrl::parse(SHOE, "shoe:v", "").unwrap();
        for value in ["", "0", "soon", "-1", "1001", "99999999999999999999"] {
            let error = url.timeout(value, Duration::from_secs(1)).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{value}");
            assert!(error.to_string().contains("from 1 to 1000"), "{error}");
        }
    }
}
