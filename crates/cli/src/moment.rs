//! Moments and spans in words.

use std::time::Duration;

use wix_visitor::Timestamp;

/// RFC 3339, in UTC and to the second; nothing for a moment that no calendar of four-digit years has.
pub(crate) fn absolute(moment: Timestamp) -> Option<String> {
    jiff::Timestamp::from_second(moment.as_secs()).ok().map(|moment| moment.to_string())
}

/// `in 3 h 59 min`, `2 min ago`.
pub(crate) fn relative(moment: Timestamp, now: Timestamp) -> String {
    if moment > now { format!("in {}", span(moment.since(now))) } else { format!("{} ago", span(now.since(moment))) }
}

/// The two largest units.
pub(crate) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let (days, hours, mins) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{mins} min {} s", secs % 60),
        3600..86_400 => format!("{hours} h {mins} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_utc_and_to_the_second() {
        assert_eq!(absolute(Timestamp::from_secs(1_767_225_600)).as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(absolute(Timestamp::from_millis(1_767_225_600_999)).as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(absolute(Timestamp::from_secs(-1)).as_deref(), Some("1969-12-31T23:59:59Z"));
        assert_eq!(absolute(Timestamp::from_millis(i64::MAX)), None);
    }

    #[test]
    fn spans_are_told_in_their_two_largest_units() {
        let now = Timestamp::from_secs(1_000_000);
        for (secs, words) in [
            (1_000_059, "in 59 s"),
            (1_000_061, "in 1 min 1 s"),
            (1_014_399, "in 3 h 59 min"),
            (1_100_000, "in 1 d 3 h"),
            (1_000_000, "0 s ago"),
            (999_880, "2 min 0 s ago"),
        ] {
            assert_eq!(relative(Timestamp::from_secs(secs), now), words);
        }
    }
}
