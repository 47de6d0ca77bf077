//! Hostile input: what no caller means, into everything that takes something. Each time there is a clear error of its own kind or
//! a success that is well defined; nothing is minted, lost or stored that was not asked for; nothing panics; and it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code, also where no test attribute says so")]

mod crowds;
mod keys;
mod policy;
mod records;
mod rings;
mod sandbox;
mod stores;
mod times;
mod tokens;
mod urls;
mod web;
mod wire;

use std::error::Error as StdError;
use std::time::Duration;

use wix_visitor::{HttpOptions, MemoryStore, Site};
use wix_visitor_core::{Error, ErrorKind};
use wix_visitor_testkit::sandbox::{Sandbox, SandboxOptions};
use wix_visitor_tests::instance::CLIENT_ID;

/// A sandbox, and a site that it answers.
pub(crate) async fn site() -> (Sandbox, Site) {
    wix_visitor_tests::trace::to_stderr();
    let sandbox = Sandbox::start(SandboxOptions::new()).await.unwrap();
    let http = HttpOptions::new().base_url(sandbox.url());
    let site = wix_visitor::builder(CLIENT_ID).store(MemoryStore::new()).http(http).connect().await.unwrap();
    (sandbox, site)
}

/// A mebibyte.
pub(crate) const MIB: usize = 1 << 20;

/// What may stand in the place of any count.
pub(crate) const COUNTS: [usize; 4] = [0, 1, usize::MAX / 2, usize::MAX];

/// What may stand in the place of any span of time.
pub(crate) const SPANS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_secs(10_000 * 365 * 24 * 3600),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

/// What may stand in the place of any moment, in milliseconds.
pub(crate) const MOMENTS: [i64; 7] = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];

/// What may stand in the place of any text.
pub(crate) fn texts() -> Vec<String> {
    let short = [
        "",
        " \t\r\n",
        "\0",
        "a\0b",
        "\u{1}\u{1b}[2J\u{7f}\u{85}",
        "-",
        "..",
        "/",
        "%",
        "%00",
        "'\"`$(;\\",
        "\u{202e}\u{2066}abc",
        "e\u{301}\u{327}\u{20dd}",
        "\u{feff}",
        "\u{1f469}\u{200d}\u{1f680}",
        "NaN",
        "-1",
        "1e999",
        "99999999999999999999999999999999999999999",
    ];
    let long = ["x", "\u{1f600}", "%", "[", "a/"];
    let long = long.into_iter().map(|part| part.repeat(MIB / part.len()));
    short.into_iter().map(str::to_owned).chain(long).collect()
}

/// An error as anybody may come to see it.
pub(crate) fn shown(error: &(dyn StdError + 'static)) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        shown.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    shown
}

/// An error of the caller's making, which does not repeat what it was given.
pub(crate) fn is_refused(error: &Error, given: &str) {
    assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Misconfigured), "{given:.40?}: {error:.200}");
    is_not_repeated(error, given);
}

/// Nothing of what was given shows in the error; what is short stands in every text.
pub(crate) fn is_not_repeated(error: &(dyn StdError + 'static), given: &str) {
    let shown = shown(error);
    assert!(shown.len() < 10_000, "{given:.40?} makes an error of {} bytes", shown.len());
    let given = given.trim();
    assert!(given.chars().count() < 8 || !shown.contains(given), "{shown:.400}");
}
