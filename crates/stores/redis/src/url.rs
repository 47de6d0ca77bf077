//! Store URLs. What is wrong in one is never quoted: it may be a piece of a password.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use wix_visitor_core::StoreError;

use crate::config::{Place, RedisOptions};
use crate::error::misconfigured;
use crate::server::Address;
use crate::tls::Tls;

const SCHEMES: &str =
    "a store URL for Redis starts with redis://, rediss://, redis+unix://, redis+sentinel:// or redis+cluster://";
const OPTIONS: [&str; 9] =
    ["timeout_ms", "prefix", "tls", "tls_ca", "wait_replicas", "wait_ms", "sentinel_user", "sentinel_password", "db"];

impl RedisOptions {
    /// Reads a URL: [where it leads](crate#where-to-connect), and in the documentation of `wix-visitor` the
    /// [options](https://docs.rs/wix-visitor/latest/wix_visitor/#stores) of all stores.
    ///
    /// In user, password, path and values, `%XX` stands for the byte `XX`; so must `@`, `/`, `?`, `#`, `&` and `%` be written in a
    /// password.
    ///
    /// # Errors
    /// Of the kind *misconfigured*, naming what is known, if the URL is of another kind, or an option is not known, given twice, out
    /// of range or out of place; *unsupported*
    /// for TLS in a build without it. None quotes the URL.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| misconfigured(SCHEMES))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
        if url.contains('#') || query.contains('@') || path.is_some_and(|path| path.contains('@')) {
            return Err(misconfigured("in a store URL, write @ / ? # of a password as %40 %2F %3F %23"));
        }
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));

        let mut options = match scheme {
            "redis" | "rediss" => {
                let mut options = Self::at(Place::Server(address(hosts, 6379)?)).tls(scheme == "rediss");
                options.database = database(path)?;
                options
            }
            "redis+unix" => {
                let path = path.filter(|path| hosts.is_empty() && !path.is_empty());
                let path = path.ok_or_else(|| misconfigured("redis+unix:// is followed by an absolute path"))?;
                Self::unix(format!("/{}", decode(path)?))
            }
            "redis+sentinel" => {
                let path = path.unwrap_or_default();
                let (service, number) = path.split_once('/').map_or((path, None), |(s, number)| (s, Some(number)));
                if service.is_empty() {
                    return Err(misconfigured(
                        "a redis+sentinel: URL names the service after its hosts, as in /mymaster",
                    ));
                }
                let sentinels = addresses(hosts, 26379)?;
                let mut options = Self::at(Place::Sentinel { sentinels, service: decode(service)? });
                options.database = database(number)?;
                options
            }
            "redis+cluster" => {
                let mut options = Self::at(Place::Cluster(addresses(hosts, 6379)?));
                options.database = database(path)?;
                options
            }
            _ => return Err(misconfigured(SCHEMES)),
        };
        if !login.is_empty() {
            let Some((user, password)) = login.split_once(':') else {
                return Err(misconfigured(
                    "before the @ of a store URL stand user:password, or :password without a user",
                ));
            };
            if !user.is_empty() {
                options = options.user(decode(user)?);
            }
            options = options.password(decode(password)?);
        }
        let mut given = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = OPTIONS.into_iter().find(|known| *known == name).ok_or_else(|| {
                let known = OPTIONS.join(", ");
                misconfigured(format!("a store URL for Redis has an option that is not known; those are {known}"))
            })?;
            if given.contains(&name) {
                return Err(misconfigured(format!("the store URL gives the option {name} twice")));
            }
            given.push(name);
            options = options.option(name, decode(value)?)?;
        }
        if options.tls {
            // Says so now if this build has none.
            Tls::available()?;
        }
        options.check()?;
        Ok(options)
    }

    fn option(mut self, name: &str, value: String) -> Result<Self, StoreError> {
        if value.is_empty() && ["tls_ca", "sentinel_user", "sentinel_password"].contains(&name) {
            return Err(misconfigured(format!("{name} in a store URL is empty")));
        }
        Ok(match name {
            "timeout_ms" => self.timeout(millis(name, &value)?),
            "wait_ms" => self.wait(millis(name, &value)?),
            "prefix" => self.prefix(value),
            "wait_replicas" => {
                let replicas = value.parse().map_err(|_| misconfigured("wait_replicas in a store URL is a number"))?;
                self.wait_replicas(replicas)
            }
            "tls" if value == "true" => self.tls(true),
            // `rediss:` and `tls=false` contradict each other.
            "tls" if value == "false" && !self.tls => self,
            "tls" => return Err(misconfigured("tls in a store URL is true or false, and true with rediss:")),
            "tls_ca" => self.tls_ca(value),
            "sentinel_user" => self.sentinel_user(value),
            "sentinel_password" => self.sentinel_password(value),
            // `db`, the last of them.
            _ if matches!(self.place, Place::Server(Address::Unix(_))) => {
                self.database = database(Some(&value))?;
                self
            }
            _ => {
                return Err(misconfigured(
                    "db is for redis+unix: alone; elsewhere the database follows a slash, as in redis://localhost/3",
                ));
            }
        })
    }
}

fn millis(name: &str, value: &str) -> Result<Duration, StoreError> {
    let time = value.parse().ok().map(Duration::from_millis);
    time.filter(|time| !time.is_zero() && *time <= RedisOptions::MAX_TIMEOUT).ok_or_else(|| {
        let longest = RedisOptions::MAX_TIMEOUT.as_millis();
        misconfigured(format!("{name} in a store URL is a number from 1 to {longest}"))
    })
}

fn database(path: Option<&str>) -> Result<u32, StoreError> {
    match path {
        None | Some("") => Ok(0),
        Some(number) => number.parse().map_err(|_| misconfigured("the database in a store URL is a number")),
    }
}

fn addresses(hosts: &str, port: u16) -> Result<Vec<Address>, StoreError> {
    hosts.split(',').map(|host| address(host, port)).collect()
}

fn address(text: &str, port: u16) -> Result<Address, StoreError> {
    let (host, rest) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, rest)) => (host, rest),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(number) => number.parse().ok().filter(|port| *port > 0),
        None => rest.is_empty().then_some(port),
    };
    let port = port.ok_or_else(|| misconfigured("a port in a store URL is a number from 1 to 65535"))?;
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    if host.is_empty() || !plain {
        return Err(misconfigured("a host in a store URL is a name or an address, as in redis://localhost:6379"));
    }
    Ok(Address::Tcp { host: host.to_owned(), port })
}

fn decode(text: &str) -> Result<String, StoreError> {
    let wrong =
        || misconfigured("a % in a store URL is followed by two hex digits, and makes UTF-8; write %25 for the sign");
    // The library takes such a sign for itself.
    let is_code = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.as_bytes().split(|byte| *byte == b'%').skip(1).all(is_code) {
        return Err(wrong());
    }
    String::from_utf8(percent_decode_str(text).collect()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use wix_visitor_core::StoreErrorKind;

    use super::*;

    fn read(url: &str) -> RedisOptions {
        RedisOptions::from_url(url).unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    #[test]
    fn a_url_says_place_login_and_options() {
        for (url, place, database) in [
            ("redis://localhost", "localhost:6379", 0),
            ("redis://cache.internal:6380/3", "cache.internal:6380", 3),
            ("redis://[::1]:7000/", "[::1]:7000", 0),
            ("redis+unix:///run/redis%20a.sock?db=2", "/run/redis a.sock", 2),
            ("redis+sentinel://a,b:1/shop/4", "shop by the Sentinels a:26379,b:1", 4),
            ("redis+cluster://a:1,b", "the cluster of a:1,b:6379", 0),
        ] {
            let options = read(url);
            assert_eq!((options.place.to_string().as_str(), options.database), (place, database), "{url}");
        }
        let options = read("redis://u%40:p%2Fw%25@h?timeout_ms=250&prefix=a%3A&wait_replicas=2&wait_ms=100");
        assert_eq!(options.login.user.as_deref(), Some("u@"));
        assert_eq!(options.login.password.as_ref().unwrap().expose(), "p/w%");
        assert_eq!((options.timeout, options.wait), (Duration::from_millis(250), Some(Duration::from_millis(100))));
        assert_eq!((options.prefix.as_str(), options.wait_replicas), ("a:", 2));
        let options = read("redis+sentinel://:secret@h/s?sentinel_user=x&sentinel_password=y");
        assert_eq!((options.login.user, options.sentinel_login.user.as_deref()), (None, Some("x")));
        assert_eq!(options.sentinel_login.password.unwrap().expose(), "y");
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_is_known() {
        for (url, says) in [
            ("sqlite:x.db", "redis://"),
            ("http://h", "redis+cluster://"),
            ("redis://", "host"),
            ("redis://h:0", "port"),
            ("redis://h:99999", "port"),
            ("redis://h h", "host"),
            ("redis://h/one", "database"),
            ("redis://h?timeout=5", "timeout_ms"),
            ("redis://h?db=5", "db is for redis+unix:"),
            ("redis://h?timeout_ms=0", "timeout_ms in a store URL is a number from 1 to 3600000"),
            ("redis://h?timeout_ms=3600001", "timeout_ms in a store URL is a number from 1 to 3600000"),
            ("redis://h?timeout_ms=99999999999999999999", "from 1 to 3600000"),
            ("redis://h?wait_replicas=1&wait_ms=soon", "wait_ms in a store URL is a number from 1 to"),
            ("redis://h?timeout_ms=5&prefix=a&timeout_ms=5", "timeout_ms twice"),
            ("redis://h?wait_ms=100", "wait_ms is of no use without wait_replicas"),
            ("redis://h?tls_ca=a.pem", "tls_ca is of no use without TLS"),
            ("redis://h?tls_ca=", "tls_ca in a store URL is empty"),
            ("redis://h?sentinel_password=x", "sentinel_password are for redis+sentinel: alone"),
            ("redis+cluster://h?sentinel_user=x", "sentinel_password are for redis+sentinel: alone"),
            ("redis://h?tls=yes", "true or false"),
            ("redis+unix://h/x", "absolute path"),
            ("redis+unix://", "absolute path"),
            ("redis+sentinel://h", "service"),
            ("redis+sentinel://h,/s", "host"),
            ("redis+cluster://h/1", "database"),
            ("redis://h?wait_replicas=1&wait_ms=2000", "shorter"),
            ("redis://u:%zz@h", "%25"),
            ("redis://u:%ff@h", "UTF-8"),
        ] {
            let error = RedisOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
        let error = RedisOptions::from_url("redis+cluster://h?wait_replicas=1").unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    }

    #[test]
    fn a_password_is_never_shown() {
        let secret = "hunter2";
        for url in [
            "redis://user:hunter2@h",
            "redis+sentinel://user:hunter2@h/s?sentinel_password=hunter2",
            "redis+cluster://:hunter2@h",
            "redis+unix://user:hunter2@/run/x",
        ] {
            let options = read(url);
            assert!(!format!("{options:?} {options:#?} {}", options.place).contains(secret), "{url}");
        }
        for url in [
            "redis://user:hunter2/@h",
            "redis://user:hunter2?@h",
            "redis://user:a?hunter2=1@h",
            "redis://user:a/hunter2@h:1",
            "redis://user:hunter2#@h",
            "redis://user:hunter2@h h",
            "redis://user:hunter2%@h",
            "redis://user:hunter2",
            "hunter2://h",
            "redis://h?hunter2=hunter2",
        ] {
            let error = RedisOptions::from_url(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(secret), "{url}: {error}");
        }
    }

    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    #[test]
    fn without_tls_the_error_names_the_feature() {
        for url in ["rediss://h", "redis+sentinel://h/s?tls=true", "redis+cluster://h?tls=true"] {
            let error = RedisOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unsupported);
            assert!(error.to_string().contains("`rustls`"), "{error}");
        }
    }
}
