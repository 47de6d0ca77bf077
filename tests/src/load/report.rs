//! What is told of a run.

use super::Outcome;

/// The latencies in wrk's output: the median and the 99th percentile, in microseconds.
pub(super) fn latency(text: &str) -> Option<[u64; 2]> {
    let line = text.lines().find_map(|line| line.strip_prefix("latency\t"))?;
    let mut numbers = line.split('\t').map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// The table.
pub fn table(outcome: &Outcome) -> String {
    let of = |[one, two]: [u64; 2]| format!("{one} + {two}");
    let millis = |micros: u64| micros as f64 / 1000.0;
    let share = outcome.failed as f64 / outcome.asked.max(1) as f64 * 100.0;
    let rows = [
        ("shoppers, each with cookies of its own", outcome.shoppers.to_string()),
        ("seconds", outcome.time.as_secs().to_string()),
        ("carts read", outcome.reads.to_string()),
        ("things put into carts", outcome.adds.to_string()),
        ("answers of one instance and of the other", of(outcome.answers)),
        (
            "half of the answers, and 99 of a hundred, took at most",
            format!("{:.0} ms, {:.0} ms", millis(outcome.latency[0]), millis(outcome.latency[1])),
        ),
        ("kills of an instance, `kill -9`", outcome.kills.to_string()),
        ("requests that the other instance answered instead", outcome.moved.to_string()),
        ("requests lost with an instance", outcome.lost.to_string()),
        ("requests for tokens", outcome.asked.to_string()),
        ("of these failed", format!("{} ({share:.1} %)", outcome.failed)),
        ("visitors made (answers to some were lost)", outcome.mints.to_string()),
        ("renewals", outcome.renewals.to_string()),
        ("answers above 499 without a usable token", outcome.excused.to_string()),
        ("**answers above 499 with a usable token**", format!("**{}**", outcome.refused)),
        ("**carts that changed owner, emptied or were another's**", format!("**{}**", outcome.findings.len())),
    ];
    let rows: String = rows.iter().map(|(what, count)| format!("| {what} | {count} |\n")).collect();
    format!("| | |\n| --- | ---: |\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_found_in_what_wrk_says() {
        assert_eq!(latency("shopper\t1\nlatency\t1500\t20000\t9\n"), Some([1500, 20_000]));
        assert_eq!(latency("latency\tx"), None);
    }
}
