//! Both scenes in words and numbers.

use std::fmt::Write;
use std::time::Duration;

use wix_visitor_core::Policy;

use crate::books::Purpose;
use crate::day::Day;
use crate::outage::{Outage, bound};

/// Where the pictures are, beside the document.
pub const RENEWALS: &str = "renewals.svg";
/// Likewise.
pub const OUTAGE: &str = "outage.svg";

/// The day.
pub fn day(day: &Day, took: Duration) -> String {
    let policy = Policy::default();
    let Day { fleet, books, .. } = day;
    let (mints, waited) = (books.granted(Purpose::Mint), books.granted(Purpose::Waiting));
    let n = thousands;
    let mut text = format!(
        "**{} visitors over 24 hours**, on {} instances, simulated in {:.0} s.\n\n\
         ![Renewals per minute over 24 hours, with and without jitter]({RENEWALS})\n\n\
         | | renewals | most in a minute | shoppers who waited for one |\n| --- | --- | --- | --- |\n",
        n(fleet.visitors.into()),
        fleet.instances,
        took.as_secs_f64()
    );
    for (name, sum, peak, waited) in [
        ("without jitter, no limits (reckoned)", day.none.sum(), day.none.peak(), "-".to_owned()),
        ("with jitter, no limits (reckoned)", day.jitter.sum(), day.jitter.peak(), "-".to_owned()),
        ("with jitter and limits, as shipped (run)", books.renewals(), books.peak(), n(waited.sum())),
    ] {
        let _ = writeln!(text, "| {name} | {} | {} | {waited} |", n(sum), n(peak));
    }
    let _ = write!(
        text,
        "\nThe opening itself is {} mints, at most {} in a minute. With jitter at most {} renewals in a minute are promised, however \
         sharp the opening: a thirtieth of the visitors and five standard deviations. The busiest instance began {} renewals in the \
         background within a minute, where the limits allow {} and {} at once. {} calls, {} errors; {} visitors with another \
         identity, {} with more or fewer grants than renewals, {} refresh tokens that came twice.",
        n(mints.sum()),
        n(mints.peak()),
        n(day.bound()),
        n(books.most_background),
        n(policy.background_per_minute.into()),
        policy.background_in_flight,
        n(books.calls),
        n(books.errors),
        n(books.strangers),
        n(books.miscounted),
        n(books.spent_twice),
    );
    text
}

/// The outage.
pub fn outage(outage: &Outage) -> String {
    let books = &outage.books;
    let background = books.granted(Purpose::Background);
    let back = outage.back();
    let n = thousands;
    let mut text = format!(
        "**An hour without an endpoint**: {} visitors of one instance, each of whom calls about once a minute.\n\n\
         ![Grants per minute around the outage: for shoppers who wait, and in the background]({OUTAGE})\n\n\
         | minutes since it is back | grants for shoppers who wait | of these new visitors | renewals in the background |\n\
         | --- | --- | --- | --- |\n",
        n(outage.visitors.into())
    );
    let caught_up = outage.caught_up();
    for minute in back..caught_up + 2 {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            minute - back + 1,
            n(outage.waiting_at(minute)),
            n(books.granted(Purpose::Mint).at(minute)),
            n(background.at(minute))
        );
    }
    let seconds_later = books.first_back.map_or(0, |(_, second)| second - crate::outage::DOWN.end);
    let _ = write!(
        text,
        "\nWhile it was down, {} grants were sent, where the pauses leave room for {}; {} calls were told at once that it is down. A \
         shopper found out that it is back, after {seconds_later} s; from then on no call failed, and none waited for longer than \
         the {} ms that the endpoint takes. At most {} renewals in the background began within any minute, and after {} minutes \
         none was behind. {} visitors with another identity, {} with more or fewer grants than renewals.",
        n(books.failed),
        n(bound()),
        n(books.errors),
        books.longest_wait,
        n(books.most_background),
        caught_up - back,
        n(books.strangers),
        n(books.miscounted),
    );
    text
}

/// A number as a person reads it.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
