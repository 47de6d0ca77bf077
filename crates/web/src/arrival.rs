//! What a request tells of where it comes from.

use std::net::IpAddr;

use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, request};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// A request without its body.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self { method: request.method(), uri: request.uri(), headers: request.headers() }
    }
}

impl<'a> From<&'a request::Parts> for Head<'a> {
    fn from(request: &'a request::Parts) -> Self {
        Self { method: &request.method, uri: &request.uri, headers: &request.headers }
    }
}

/// Where a request comes from, as far as its browser tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Another site made the browser send it.
    pub(crate) cross_site: bool,
    /// A page of this very host made the browser send it, or the shopper did.
    pub(crate) own: bool,
    /// The browser may have a session cookie that it did not send along: `SameSite=Lax` keeps it from what other sites start, but
    /// for a link that is followed.
    pub(crate) cookie_withheld: bool,
    /// It asks for a page to show.
    pub(crate) document: bool,
    /// It is no style, script, font or the like, for which nobody acts as a visitor before the answer.
    pub(crate) may_need_tokens: bool,
}

impl Arrival {
    pub(crate) fn of(request: Head<'_>) -> Self {
        let site = site(request.headers);
        let cross_site = is_cross_site(request, site);
        let own = site.map_or(!cross_site, |site| matches!(site, b"same-origin" | b"none"));
        let text = |name: &HeaderName| request.headers.get(name).map(HeaderValue::as_bytes);
        let dest = text(&DEST);
        let document = dest == Some(b"document") && text(&MODE) == Some(b"navigate");
        let followed = document && matches!(*request.method, Method::GET | Method::HEAD);
        let may_need_tokens = dest.is_none_or(|dest| matches!(dest, b"document" | b"iframe" | b"empty"));
        Self { cross_site, own, cookie_withheld: cross_site && !followed, document, may_need_tokens }
    }
}

/// What the browser says of where the request was made; nothing that it knows, if it says so twice.
fn site(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(&SITE).iter().map(HeaderValue::as_bytes);
    let first = all.next()?;
    Some(if all.next().is_some() { b"" } else { first })
}

fn is_cross_site(request: Head<'_>, site: Option<&[u8]>) -> bool {
    match site {
        Some(site) => !matches!(site, b"same-origin" | b"same-site" | b"none"),
        // Of a browser that does not tell: where it names an origin, that has to be ours.
        None => request.headers.contains_key(ORIGIN) && !is_same_origin(request),
    }
}

/// Whether the browser says that a page of this very host made it send this.
pub(crate) fn is_same_origin(request: Head<'_>) -> bool {
    let site = site(request.headers);
    let origin = single(request.headers, &ORIGIN).and_then(|origin| origin.split_once("://"));
    let (Some((scheme, from)), Some(host)) = (origin, host(request)) else { return false };
    let port = |authority: &Authority| authority.port_u16().or(if scheme == "https" { Some(443) } else { Some(80) });
    let Ok(from) = from.parse::<Authority>() else { return false };
    let same = matches!(scheme, "http" | "https")
        && from.host().eq_ignore_ascii_case(host.host())
        && port(&from) == port(&host);
    same && site.is_none_or(|site| site == b"same-origin")
}

/// A header that is there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())?.to_str().ok()
}

fn host(request: Head<'_>) -> Option<Authority> {
    match request.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => single(request.headers, &HOST)?.parse().ok(),
    }
}

/// Whether the server was addressed as this very machine.
pub(crate) fn is_loopback(request: Head<'_>) -> bool {
    let Some(host) = host(request) else { return false };
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri("/page");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn arrival(method: &str, headers: &[(&str, &str)]) -> Arrival {
        Arrival::of((&request(method, headers)).into())
    }

    const SHOP: (&str, &str) = ("host", "shop.example");

    #[test]
    fn a_link_that_is_followed_brings_the_cookie_and_whatever_else_another_site_starts_does_not() {
        let cross = ("sec-fetch-site", "cross-site");
        let link = [SHOP, cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let arrived = arrival("GET", &link);
        assert!(arrived.cross_site && !arrived.cookie_withheld);
        assert!(arrival("POST", &link).cookie_withheld, "a form");
        let frame = [SHOP, cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert!(arrival("GET", &frame).cookie_withheld, "a frame");
        assert!(arrival("GET", &[SHOP, cross, ("sec-fetch-mode", "no-cors")]).cookie_withheld, "an image");
        for site in ["same-origin", "same-site", "none"] {
            assert!(!arrival("POST", &[SHOP, ("sec-fetch-site", site)]).cross_site, "{site}");
        }
        for site in ["CROSS-SITE", "bogus", ""] {
            assert!(arrival("POST", &[SHOP, ("sec-fetch-site", site)]).cookie_withheld, "{site}");
        }
        let twice = [SHOP, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")];
        assert!(arrival("POST", &twice).cross_site);
        for (site, own) in [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)] {
            assert_eq!(arrival("POST", &[SHOP, ("sec-fetch-site", site)]).own, own, "{site}");
        }
        assert!(!arrival("POST", &[SHOP]).cross_site, "no browser");
        assert!(arrival("POST", &[SHOP, ("origin", "https://evil.example")]).cookie_withheld);
        assert!(arrival("POST", &[SHOP, ("origin", "null")]).cookie_withheld);
        assert!(!arrival("POST", &[SHOP, ("origin", "https://shop.example")]).cookie_withheld);
    }

    #[test]
    fn an_origin_is_the_same_only_if_it_is_named_once_and_has_this_host_and_port() {
        let same = |headers: &[(&str, &str)]| is_same_origin((&request("POST", headers)).into());
        assert!(same(&[SHOP, ("origin", "https://shop.example")]));
        assert!(same(&[SHOP, ("origin", "https://SHOP.example"), ("sec-fetch-site", "same-origin")]));
        assert!(same(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")]));
        for headers in [
            &[SHOP][..],
            &[("origin", "https://shop.example")],
            &[SHOP, ("origin", "https://shop.example.evil.example")],
            &[SHOP, ("origin", "https://shop.example:8443")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8081")],
            &[SHOP, ("origin", "null")],
            &[SHOP, ("origin", "shop.example")],
            &[SHOP, ("origin", "file://shop.example")],
            &[SHOP, ("origin", "https://shop.example"), ("origin", "https://shop.example")],
            &[SHOP, ("origin", "https://shop.example"), ("sec-fetch-site", "same-site")],
            &[SHOP, ("host", "evil.example"), ("origin", "https://shop.example")],
        ] {
            assert!(!same(headers), "{headers:?}");
        }
    }

    #[test]
    fn loopback_is_told_by_the_parsed_host() {
        let loopback = |host: &str| is_loopback((&request("GET", &[("host", host)])).into());
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"] {
            assert!(loopback(host), "{host}");
        }
        for host in ["shop.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.0.1", "", "[::2]"] {
            assert!(!loopback(host), "{host}");
        }
    }
}
