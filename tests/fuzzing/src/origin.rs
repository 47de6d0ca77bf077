//! What a caller asks to call, any base URL and any target: a token never goes to another origin.

use url::{Host, Url};
use wix_visitor_http::fuzzing::resolve;

const BASE: &str = "http://127.0.0.1:4747/gate/";

/// The target, or the base URL, a line break and the target.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    goes_home(BASE, text);
    if let Some((base, target)) = text.split_once('\n') {
        goes_home(base, target);
    }
}

fn goes_home(base: &str, target: &str) {
    let Ok(url) = resolve(base, target) else { return };
    let home = Url::parse(base.trim()).unwrap_or_else(|error| panic!("no URL was taken for one: {error}"));
    assert_eq!(url.origin(), home.origin(), "{target:?} leads elsewhere");
    assert!(home.scheme() == "https" || is_loopback(&home), "{base:?} is read by others on the way");
    for url in [&home, &url] {
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    }
    // Whoever sends it reads it once more.
    assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url), "it is read in two ways");
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.octets()[0] == 127,
        Some(Host::Ipv6(ip)) => ip.segments() == [0, 0, 0, 0, 0, 0, 0, 1],
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
