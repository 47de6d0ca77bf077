//! The numbers of the flow, and how many bytes are kept.

use std::time::Duration;

use wix_visitor_core::{Policy, Visitors};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::{FakeEndpoint, Rotation, TestClock};
use wix_visitor_tests::instance::client_id;

use crate::{COUNTS, SPANS, is_refused};

type SetSpan = fn(&mut Policy, Duration);
type SetCount = fn(&mut Policy, u32);

const SPAN_FIELDS: [SetSpan; 17] = [
    |policy, span| policy.grant = span,
    |policy, span| policy.save = span,
    |policy, span| policy.margin = span,
    |policy, span| policy.lease = span,
    |policy, span| policy.lead = span,
    |policy, span| policy.jitter = span,
    |policy, span| policy.unusable = span,
    |policy, span| policy.wait = span,
    |policy, span| policy.keep = span,
    |policy, span| policy.keep_tombstone = span,
    |policy, span| policy.put_back = span,
    |policy, span| policy.backoff_first = span,
    |policy, span| policy.backoff_most = span,
    |policy, span| policy.retry_after_most = span,
    |policy, span| policy.doubts_over = span,
    |policy, span| policy.lifetime = span,
    |policy, span| policy.look_after = span,
];

const COUNT_FIELDS: [SetCount; 4] = [
    |policy, count| policy.doubts = count,
    |policy, count| policy.background_in_flight = count,
    |policy, count| policy.background_per_minute = count,
    |policy, count| policy.unsaved_most = count,
];

/// A century, to the second: no duration may be above that.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

fn policies() -> impl Iterator<Item = Policy> {
    let changed = |change: &dyn Fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        policy
    };
    let spans: Vec<_> = SPAN_FIELDS
        .iter()
        .flat_map(|set| SPANS.into_iter().chain([LONGEST]).map(move |span| changed(&|policy| set(policy, span))))
        .collect();
    let counts: Vec<_> = COUNT_FIELDS
        .iter()
        .flat_map(|set| [0, 1, u32::MAX].map(|count| changed(&|policy| set(policy, count))))
        .collect();
    let longest = changed(&|policy| {
        SPAN_FIELDS.iter().for_each(|set| set(policy, LONGEST));
        (policy.grant, policy.save, policy.margin) = (LONGEST / 3, LONGEST / 3, LONGEST / 3);
        policy.put_back = LONGEST / 2;
        COUNT_FIELDS.iter().for_each(|set| set(policy, u32::MAX));
    });
    longest.check().unwrap();
    spans.into_iter().chain(counts).chain([longest])
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_any_numbers_works_or_is_refused() {
    let mut works = 0;
    for policy in policies() {
        let endpoint = FakeEndpoint::new(Rotation::Same);
        let clock = TestClock::default();
        let store = MemoryStore::with_clock(std::sync::Arc::new(clock.clone()));
        let builder = Visitors::builder(client_id(), endpoint.clone(), store).clock(clock).policy(policy.clone());
        let visitors = match builder.build() {
            Ok(visitors) => visitors,
            Err(error) => {
                is_refused(&error, "");
                assert!(error.to_string().contains("this policy cannot work"), "{error}");
                continue;
            }
        };
        works += 1;
        let visitor = visitors.visitor(secret_key("visitor"));
        let minted = visitor.authorization().await.unwrap();
        let identity = endpoint.identity(&minted);
        endpoint.plan(wix_visitor_testkit::Plan::Fail(
            wix_visitor_core::GrantError::new(wix_visitor_core::GrantFailure::Transient, "planned")
                .with_retry_after(Some(Duration::MAX)),
        ));
        let _ = visitor.renew().await;
        tokio::time::sleep(Duration::from_secs(5 * 3600)).await;
        if let Ok(renewed) = visitor.authorization().await {
            assert_eq!(endpoint.identity(&renewed), identity, "{policy:?}");
        }
        visitor.forget().await.unwrap();
        assert_eq!(endpoint.mints(), 1, "{policy:?}");
    }
    assert!(works > 30, "{works}");
}

#[tokio::test(start_paused = true)]
async fn any_number_of_bytes_will_do_for_snapshots() {
    for bytes in COUNTS {
        let endpoint = FakeEndpoint::new(Rotation::Same);
        let visitors = Visitors::builder(client_id(), endpoint.clone(), MemoryStore::new())
            .clock(TestClock::default())
            .snapshot_bytes(bytes)
            .build()
            .unwrap();
        let key = secret_key("visitor");
        let first = visitors.visitor(&key).authorization().await.unwrap();
        for _ in 0..100 {
            visitors.visitor(secret_key("passing"));
        }
        assert_eq!(visitors.visitor(&key).authorization().await.unwrap().header(), first.header(), "{bytes}");
        assert_eq!(endpoint.mints(), 1, "{bytes}");
    }
}
