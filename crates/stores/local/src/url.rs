//! A store URL that names a path: `scheme:PATH[?name=value&…]`.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use wix_visitor_core::StoreError;

use crate::backend::Backend;

/// A store URL, taken apart. `scheme://PATH` is taken too.
#[derive(Debug)]
pub struct LocalUrl<'a> {
    backend: Backend,
    /// With each `%XX` of the URL as the byte `XX`.
    pub path: PathBuf,
    query: &'a str,
}

impl<'a> LocalUrl<'a> {
    /// Reads a URL whose scheme is the backend's name; `example` is one that would do.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is of another kind or names no path.
    pub fn parse(backend: Backend, url: &'a str, example: &str) -> Result<Self, StoreError> {
        let scheme = backend.0;
        let rest = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')).ok_or_else(|| {
            backend.misconfigured(format!("a store URL for {scheme} starts with {scheme}: and a path, as in {example}"))
        })?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(backend.misconfigured(format!("a {scheme}: store URL names a path, as in {example}")));
        }
        Ok(Self { backend, path: decode_path(backend, path)?, query })
    }

    /// The options, each as its name and its value.
    pub fn options(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// The value of `timeout_ms`.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, if it is none.
    pub fn timeout(&self, value: &str) -> Result<Duration, StoreError> {
        let millis = value.parse().ok().filter(|millis| *millis > 0);
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| self.backend.misconfigured("timeout_ms in a store URL is a number of milliseconds above 0"))
    }

    /// What is said of an option that is not among the `known`.
    pub fn unknown_option(&self, name: &str, known: &str) -> StoreError {
        self.backend.misconfigured(format!("{name:?} is not an option of a {}: URL; known is {known}", self.backend.0))
    }
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
            ("shoe:a%3Fb%25c%20d?", "a?b%c d"),
            ("shoe:ä", "ä"),
        ] {
            assert_eq!(LocalUrl::parse(SHOE, url, "").unwrap().path, PathBuf::from(path), "{url}");
        }
        let url = LocalUrl::parse(SHOE, "shoe:v?&a=1&b&c=2=3&", "").unwrap();
        assert_eq!(url.options().collect::<Vec<_>>(), [("a", "1"), ("b", ""), ("c", "2=3")]);
        assert_eq!(url.timeout("250").unwrap(), Duration::from_millis(250));
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
        ] {
            let error = LocalUrl::parse(SHOE, url, "shoe:42").unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
        let url = LocalUrl::parse(SHOE, "shoe:v", "").unwrap();
        for value in ["", "0", "soon", "-1"] {
            assert_eq!(url.timeout(value).unwrap_err().kind(), StoreErrorKind::Misconfigured, "{value}");
        }
    }
}
