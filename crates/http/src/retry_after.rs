//! For how long a server asks to be left alone.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// More than this is not obeyed: an answer is untrusted, and must not be able to lock a visitor out.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads `Retry-After`, seconds or a date, at most an hour. A date is compared with the answer's own `Date` where it has
/// one, so that a wrong local clock does no harm.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let after = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => LONGEST,
        Err(_) => {
            let date = headers.get(DATE).and_then(|d| httpdate::parse_http_date(d.to_str().ok()?).ok());
            let until = httpdate::parse_http_date(value).ok()?;
            until.duration_since(date.unwrap_or(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(after.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        retry_after(&headers, now).map(|d| d.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        assert_eq!(read("0", None), Some(0));
        assert_eq!(read(" 120 ", None), Some(120));
        assert_eq!(read("999999999", None), Some(3600));
        assert_eq!(read("99999999999999999999999999", None), Some(3600));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(37));
        assert_eq!(read("Sun, 06 Nov 1994 08:48:00 GMT", None), Some(0));
        assert_eq!(read("Sat, 06 Nov 1999 08:49:37 GMT", None), Some(3600));
    }

    #[test]
    fn a_date_is_measured_by_the_servers_own_clock() {
        let date = Some("Mon, 01 Jan 2035 00:00:00 GMT");
        assert_eq!(read("Mon, 01 Jan 2035 00:00:10 GMT", date), Some(10));
        assert_eq!(read("Mon, 01 Jan 2035 00:00:10 GMT", Some("nonsense")), Some(3600));
    }

    #[test]
    fn nonsense_says_nothing() {
        for value in ["", "-1", "1.5", "soon", "1994-11-06"] {
            assert_eq!(read(value, None), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
