//! The store contract as tests: does a [`TokenStore`](wix_visitor_core::TokenStore) hold what
//! [`wix_visitor_core::store`] asks of it?
//!
//! Say how to open the store, by a [`StoreFixture`], and run [`all`], or have one `#[test]` for each function by
//! [`store_conformance!`](crate::store_conformance):
//!
//! ```
//! use std::sync::Arc;
//! use wix_visitor_core::{StoreError, TokenStore, async_trait};
//! use wix_visitor_memory::MemoryStore;
//! use wix_visitor_testkit::conformance::{self, StoreFixture};
//!
//! #[derive(Default)]
//! struct Memory(MemoryStore);
//!
//! #[async_trait]
//! impl StoreFixture for Memory {
//!     async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
//!         Ok(Arc::new(self.0.clone()))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! let report = conformance::all(&Memory::default()).await;
//! assert!(report.holds(), "{report}");
//! # });
//! ```
//!
//! What only the store's surroundings can bring about (a crash, an outage, a damaged record, time passing) the fixture is
//! asked for. Where it cannot, the function answers [`Shown::Not`] with the reason, and the report says so.
//!
//! Every function makes keys of its own and leaves its records behind, so a store can be tested again and again, and while in
//! use. They need a tokio runtime with its timer; on a single thread they race less.

mod atomic;
mod bytes;
mod deadline;
mod durable;
mod errors;
mod fixture;
mod keep;
mod listing;
mod primary;
mod repeat;
mod report;
mod trial;
mod watch;

pub use atomic::{
    a_first_write_needs_an_absent_record, a_swap_is_atomic_against_other_handles, a_swap_needs_the_version_it_names,
    an_etag_is_compared_in_every_bit, equal_bytes_are_not_equal_versions, keys_that_look_alike_are_kept_apart,
    of_many_first_writes_one_wins,
};
pub use bytes::{
    a_record_too_large_is_refused_or_kept_whole, every_byte_comes_back, every_key_is_taken,
    records_of_every_length_come_back,
};
pub use deadline::an_outage_is_an_error_within_the_deadline;
pub use durable::{
    a_call_that_is_given_up_leaves_a_whole_record, an_acknowledged_write_survives_a_crash, no_reader_sees_half_a_record,
};
pub use errors::{
    a_damaged_record_is_corrupt_and_never_absent, an_error_shows_nothing_of_the_record,
    what_is_reported_as_not_applied_never_is,
};
pub use fixture::{Damage, StoreFixture};
pub use keep::{
    a_record_outlives_a_crowd_of_short_lived_ones, a_record_stays_for_its_keep, any_keep_is_taken,
    the_last_write_sets_the_keep,
};
pub use listing::{a_purge_drops_what_is_over_and_nothing_else, every_record_that_stands_is_listed};
pub use primary::{a_conflict_shows_the_last_write_of_any_handle, a_load_sees_the_last_write_of_any_handle};
pub use repeat::a_repeated_write_meets_its_own_etag;
pub use report::{Outcome, Report, Shown, Verdict, Violation};
pub use watch::a_change_by_any_handle_is_told_to_all_who_listen;

/// The suite: each function under the MUST it belongs to. `$d` is a dollar sign, for the macro that this macro makes.
macro_rules! suite {
    ($d:tt $($must:literal: $($name:ident),+;)+) => {
        /// Runs the whole suite against one place, one function after the other, and says which of them hold.
        pub async fn all(fixture: &dyn StoreFixture) -> Report {
            let mut report = Report::default();
            $($(report.note($must, stringify!($name), $name(fixture).await);)+)+
            report
        }

        /// One `#[test]` for each function of the [suite](mod@crate::conformance), every one with a fixture of its own.
        ///
        /// ```
        /// # use std::sync::Arc;
        /// # use wix_visitor_core::{StoreError, TokenStore, async_trait};
        /// # #[derive(Default)]
        /// # struct MyFixture;
        /// # #[async_trait]
        /// # impl wix_visitor_testkit::conformance::StoreFixture for MyFixture {
        /// #     async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        /// #         Ok(Arc::new(wix_visitor_memory::MemoryStore::new()))
        /// #     }
        /// # }
        /// mod my_store {
        ///     wix_visitor_testkit::store_conformance!(super::MyFixture::default());
        /// }
        /// # fn main() {}
        /// ```
        ///
        /// The caller's crate needs tokio with its macros and its multi-threaded runtime.
        #[macro_export]
        macro_rules! store_conformance {
            ($d fixture:expr) => {
                $($(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        let fixture = $d fixture;
                        let mut report = $crate::conformance::Report::default();
                        report.note($must, stringify!($name), $crate::conformance::$name(&fixture).await);
                        assert!(report.holds(), "{report}");
                    }
                )+)+
            };
        }
    };
}

suite! { $
    1: a_first_write_needs_an_absent_record, a_swap_needs_the_version_it_names, an_etag_is_compared_in_every_bit,
       equal_bytes_are_not_equal_versions, keys_that_look_alike_are_kept_apart, of_many_first_writes_one_wins,
       a_swap_is_atomic_against_other_handles;
    2: a_record_stays_for_its_keep, the_last_write_sets_the_keep, a_record_outlives_a_crowd_of_short_lived_ones,
       any_keep_is_taken;
    3: every_byte_comes_back, records_of_every_length_come_back, a_record_too_large_is_refused_or_kept_whole,
       every_key_is_taken;
    4: an_acknowledged_write_survives_a_crash, no_reader_sees_half_a_record, a_call_that_is_given_up_leaves_a_whole_record;
    5: a_load_sees_the_last_write_of_any_handle, a_conflict_shows_the_last_write_of_any_handle;
    6: a_damaged_record_is_corrupt_and_never_absent, what_is_reported_as_not_applied_never_is,
       an_error_shows_nothing_of_the_record;
    7: an_outage_is_an_error_within_the_deadline;
    8: a_repeated_write_meets_its_own_etag;
    9: a_change_by_any_handle_is_told_to_all_who_listen;
    10: every_record_that_stands_is_listed, a_purge_drops_what_is_over_and_nothing_else;
}
