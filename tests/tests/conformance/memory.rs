use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::{StoreError, TokenStore, async_trait};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::conformance::{self, StoreFixture};
use wix_visitor_tests::step_clock::StepClock;

use super::As;

pub(super) struct Memory {
    handed: As,
    clock: StepClock,
    store: MemoryStore,
}

impl Memory {
    pub(super) fn new(handed: As) -> Self {
        let clock = StepClock::default();
        Self { handed, store: MemoryStore::with_clock(Arc::new(clock.clone())), clock }
    }
}

#[async_trait]
impl StoreFixture for Memory {
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        Ok(self.handed.wrap(self.store.clone()))
    }

    async fn pass(&self, time: Duration) -> bool {
        self.clock.pass(time);
        true
    }
}

super::every_way!(Memory);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_memory_cannot_show_is_known() {
    let report = conformance::all(&Memory::new(As::Value)).await;
    assert!(report.holds(), "{report}");
    let not_shown = [
        "an_acknowledged_write_survives_a_crash",
        "a_damaged_record_is_corrupt_and_never_absent",
        "what_is_reported_as_not_applied_never_is",
        "an_error_shows_nothing_of_the_record",
        "an_outage_is_an_error_within_the_deadline",
        "a_change_by_any_handle_is_told_to_all_who_listen",
        "a_purge_drops_what_is_over_and_nothing_else",
    ];
    assert_eq!(report.not_shown(), not_shown, "memory survives nothing, and nothing can happen to it");
}
