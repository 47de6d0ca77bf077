//! Where tokens may go: the base URL, and nothing outside its origin.

use std::fmt;

use url::{Host, Url};
use wix_visitor_core::{Error, ErrorKind};

/// A base URL that passed the rules: `https` or loopback, no user info, no query, no fragment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    url: Url,
    /// Origin and path without a slash at the end: what a path is put after.
    prefix: String,
}

impl BaseUrl {
    pub(crate) const WIX: &str = "https://www.wixapis.com";

    /// Checks and keeps a base URL. Errors never repeat it: what is refused may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        check_length(text, "API URL")?;
        let url = Url::parse(text.trim())
            .map_err(|e| invalid(format!("the API URL cannot be read: {e}; it should look like {}", Self::WIX)))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the API URL holds a user name or password: remove it, Wix takes neither"));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(invalid(
                    "the API URL is http to another machine, where anybody on the way could read the tokens: \
                     use https (only 127.0.0.0/8, [::1] and localhost may be http)",
                ));
            }
            _ => return Err(invalid("the API URL is neither https nor http")),
        }
        if url.query().is_some() {
            return Err(invalid("the API URL holds a query: give the part before the `?` alone"));
        }
        if url.fragment().is_some() {
            return Err(invalid("the API URL holds a fragment: give the part before the `#` alone"));
        }
        if url.scheme() == "https" && !cfg!(any(feature = "rustls", feature = "native-tls")) {
            return Err(invalid(
                "the API URL is https, and this program was built without TLS: \
                 turn on the cargo feature `rustls` or `native-tls`",
            ));
        }
        let prefix = format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/'));
        Ok(Self { url, prefix })
    }

    /// Origin and path, without a slash at the end.
    pub(crate) fn as_str(&self) -> &str {
        &self.prefix
    }

    /// The origin's ASCII form: scheme, host, and the port where it is not the usual one.
    pub(crate) fn ascii_origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// The URL of one of our own paths, `/oauth2/token` and the like.
    pub(crate) fn with_path(&self, path: &'static str) -> Result<Url, Error> {
        self.resolve(path)
    }

    /// Turns what a caller wants to call into a URL of this origin, or refuses it.
    pub(crate) fn resolve(&self, target: &str) -> Result<Url, Error> {
        // The URL parser takes these out or turns them into slashes; then what was checked is not what is called.
        let before_query = target.split('?').next().unwrap_or(target);
        if before_query.contains('\\') || target.chars().any(|c| c.is_control()) {
            return Err(invalid("the path to call holds a backslash or a control character"));
        }
        if target.starts_with("//") {
            return Err(invalid(format!(
                "the path to call starts with `//`, which names another host: a token goes to {} alone",
                self.ascii_origin()
            )));
        }
        let url = if target.starts_with('/') {
            Url::parse(&format!("{}{target}", self.prefix))
                .map_err(|e| invalid(format!("the path to call cannot be read: {e}")))?
        } else {
            check_length(host_of(target), "host in the path to call")?;
            Url::parse(target).map_err(|_| {
                invalid(format!("the path to call must start with `/`, or be a whole URL of {}", self.ascii_origin()))
            })?
        };
        if !self.allows(&url) {
            return Err(invalid(format!("will not send a token there: it goes to {} alone", self.ascii_origin())));
        }
        if url.fragment().is_some() {
            return Err(invalid(
                "the path to call holds a fragment (`#`), which is never sent: write %23 if it is meant",
            ));
        }
        Ok(url)
    }

    /// Whether a token may go to this URL.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        url.origin() == self.url.origin() && url.username().is_empty() && url.password().is_none()
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The longest address of a server, in bytes. Reading a name in other scripts takes the square of its length.
const LONGEST: usize = 2000;

pub(crate) fn check_length(text: &str, what: &str) -> Result<(), Error> {
    if text.len() <= LONGEST { Ok(()) } else { Err(invalid(format!("the {what} is longer than {LONGEST} bytes"))) }
}

/// What a URL's reader takes for the host, with the user before it and the port behind it; all of it where there is none.
fn host_of(url: &str) -> &str {
    let rest = url.split_once(':').map_or(url, |(_, rest)| rest).trim_start_matches('/');
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(error: &Error) -> String {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    }

    #[test]
    fn a_base_url_that_breaks_a_rule_gets_its_own_error() {
        for (url, says) in [
            ("", "cannot be read"),
            ("www.wixapis.com", "cannot be read"),
            ("ftp://127.0.0.1", "neither https nor http"),
            ("file:///etc/passwd", "neither https nor http"),
            ("http://www.wixapis.com", "is http to another machine"),
            ("http://127.0.0.1.evil.example", "is http to another machine"),
            ("http://localhost.evil.example", "is http to another machine"),
            ("http://128.0.0.1", "is http to another machine"),
            ("http://[::2]", "is http to another machine"),
            ("http://0.0.0.0", "is http to another machine"),
            ("http://user:hunter2@127.0.0.1", "user name or password"),
            ("http://localhost:hunter2@evil.example", "user name or password"),
            ("http://127.0.0.1?hunter2", "holds a query"),
            ("http://127.0.0.1/#hunter2", "holds a fragment"),
        ] {
            let shown = message(&BaseUrl::parse(url).unwrap_err());
            assert!(shown.contains(says), "{url}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn loopback_may_be_http_however_it_is_written() {
        for url in
            ["http://127.0.0.1:4747", "http://127.255.0.1", "http://[::1]:80", "http://LOCALHOST", "http://2130706433"]
        {
            assert!(BaseUrl::parse(url).unwrap().is_loopback(), "{url}");
        }
    }

    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[test]
    fn https_is_taken_when_there_is_tls() {
        let base = BaseUrl::parse(" https://www.wixapis.com:443/ ").unwrap();
        assert_eq!(base.ascii_origin(), "https://www.wixapis.com");
        assert_eq!(base.resolve("/a/b?x=y").unwrap().as_str(), "https://www.wixapis.com/a/b?x=y");
        assert_eq!(base.resolve("https://www.wixapis.com/a").unwrap().as_str(), "https://www.wixapis.com/a");
        assert_eq!(base.resolve("HTTPS://WWW.wixapis.com:443/a").unwrap().as_str(), "https://www.wixapis.com/a");
        for other in ["http://www.wixapis.com/a", "https://www.wixapis.com:444/a", "https://wixapis.com/a"] {
            message(&base.resolve(other).unwrap_err());
        }
    }

    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    #[test]
    fn https_without_a_tls_feature_says_which_features_there_are() {
        assert!(message(&BaseUrl::parse(BaseUrl::WIX).unwrap_err()).contains("`rustls` or `native-tls`"));
    }

    #[test]
    fn every_way_to_name_another_host_is_refused() {
        let base = BaseUrl::parse("http://127.0.0.1:4747").unwrap();
        for evil in [
            "",
            "a/b",
            "//evil.example",
            "//evil.example/a",
            "///evil.example",
            "\\\\evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "/a\r\nHost: evil.example",
            "https://evil.example/",
            "https:evil.example",
            "http:\\\\evil.example",
            "http://127.0.0.1:4748/",
            "http://127.0.0.1/",
            "https://127.0.0.1:4747/",
            "http://127.0.0.2:4747/",
            "http://localhost:4747/",
            "http://127.0.0.1:4747@evil.example/",
            "http://evil.example@127.0.0.1:4747/",
            "http://:pw@127.0.0.1:4747/",
            " //evil.example",
            "@evil.example",
            ":80@evil.example/",
            ".evil.example/",
            "javascript:alert(1)",
            "data:text/plain,x",
            "file:///etc/passwd",
            "/a#fragment",
        ] {
            let refused = base.resolve(evil);
            assert!(refused.is_err(), "{evil:?} went to {refused:?}");
            message(&refused.unwrap_err());
        }
    }

    #[test]
    fn what_only_looks_odd_stays_at_home() {
        let base = BaseUrl::parse("http://127.0.0.1:4747/gate/").unwrap();
        for (path, url) in [
            ("/a/b?x=y", "http://127.0.0.1:4747/gate/a/b?x=y"),
            ("/@evil.example", "http://127.0.0.1:4747/gate/@evil.example"),
            ("/a//b", "http://127.0.0.1:4747/gate/a//b"),
            ("/a?next=https://evil.example/", "http://127.0.0.1:4747/gate/a?next=https://evil.example/"),
            ("http://127.0.0.1:4747/other", "http://127.0.0.1:4747/other"),
        ] {
            assert_eq!(base.resolve(path).unwrap().as_str(), url);
        }
        assert_eq!(base.ascii_origin(), "http://127.0.0.1:4747");
    }
}
