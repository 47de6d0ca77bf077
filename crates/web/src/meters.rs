//! Numbers for operators, through the facade of the `metrics` crate: the only place that names one. Without the feature `metrics` it does
//! nothing.

use wix_visitor_core::Visitors;

/// Why a request has no session to go on with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Without {
    Damaged,
    Retired,
    CrossSite,
    TooLate,
}

#[cfg(feature = "metrics")]
pub(crate) fn without(why: Without, visitors: &Visitors) {
    let reason = match why {
        Without::Damaged => "damaged",
        Without::Retired => "retired",
        Without::CrossSite => "cross_site",
        Without::TooLate => "too_late",
    };
    // Rare enough to be looked up each time.
    let site = visitors.client_id().as_str().to_owned();
    metrics::counter!("wix_visitor_requests_without_session_total", "site" => site, "reason" => reason).increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn without(_: Without, _: &Visitors) {}
