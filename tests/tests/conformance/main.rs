//! Every store against the contract: by value, boxed, and shared.

#![allow(clippy::expect_used)] // the fixtures too are tests

mod file;
mod memory;
mod sqlite;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use wix_visitor_core::TokenStore;
use wix_visitor_tests::sealing;

/// How a store is handed over.
#[derive(Clone, Copy)]
enum As {
    Value,
    Boxed,
    Shared,
    Sealed,
}

impl As {
    fn wrap(self, store: impl TokenStore) -> Arc<dyn TokenStore> {
        match self {
            Self::Sealed => sealing::sealed(store),
            Self::Value => Arc::new(store),
            Self::Boxed => Arc::new(Box::new(store) as Box<dyn TokenStore>),
            Self::Shared => Arc::new(Arc::new(store) as Arc<dyn TokenStore>),
        }
    }
}

/// One test for each function of the suite, for each way to hand the store over.
macro_rules! every_way {
    ($fixture:ident) => {
        mod by_value {
            wix_visitor_testkit::store_conformance!(super::$fixture::new(super::As::Value));
        }
        mod boxed {
            wix_visitor_testkit::store_conformance!(super::$fixture::new(super::As::Boxed));
        }
        mod shared {
            wix_visitor_testkit::store_conformance!(super::$fixture::new(super::As::Shared));
        }
    };
}
use every_way;

/// That one place can run the whole suite, and that this fixture leaves nothing out but what the store does not do.
macro_rules! shows_everything {
    ($fixture:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_promise_is_put_to_the_test() {
            for handed in [As::Value, As::Sealed] {
                let report = wix_visitor_testkit::conformance::all(&$fixture::new(handed)).await;
                assert!(report.holds(), "{report}");
                assert_eq!(report.not_shown(), ["a_change_by_any_handle_is_told_to_all_who_listen"], "{report}");
            }
        }
    };
}
use shows_everything;

/// Copies `here` to `copy`, without a word to the store that uses it: what a crash would leave.
fn copy_in_use(directory: &Path) {
    let copied = Command::new("cp").args(["-r", "here", "copy"]).current_dir(directory).status().expect("cp runs");
    assert!(copied.success());
}
