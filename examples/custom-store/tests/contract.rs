//! The store against the whole contract, on memory: what the public suite of the testkit asks of every store.

#![allow(clippy::unwrap_used)] // the fixture too is a test

use std::sync::Arc;

use custom_store::ObjectTokens;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use wix_visitor::{StoreError, StoreKey, TokenStore, async_trait};
use wix_visitor_testkit::conformance::{self, Damage, StoreFixture};

#[derive(Default)]
struct Memory(Arc<InMemory>);

#[async_trait]
impl StoreFixture for Memory {
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        let objects: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&self.0);
        Ok(Arc::new(ObjectTokens::new(objects)))
    }

    async fn damage(&self, key: &StoreKey, damage: Damage) -> bool {
        let place = Path::from(key.as_str().replace('/', "_"));
        let object = self.0.get(&place).await.unwrap().bytes().await.unwrap();
        let mut bytes = object.to_vec();
        match damage {
            Damage::CutShort => drop(bytes.pop()),
            Damage::Emptied => bytes.clear(),
            Damage::FlippedBit => bytes[25] ^= 1,
            _ => return false,
        }
        self.0.put(&place, bytes.into()).await.unwrap();
        true
    }

    async fn pass(&self, _: std::time::Duration) -> bool {
        true // nothing here looks at a clock
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_the_whole_contract() {
    let report = conformance::all(&Memory::default()).await;
    println!("{report}");
    assert!(report.holds(), "{report}");
    let not_shown = [
        "an_acknowledged_write_survives_a_crash",
        "what_is_reported_as_not_applied_never_is",
        "an_outage_is_an_error_within_the_deadline",
        "a_change_by_any_handle_is_told_to_all_who_listen",
        "every_record_that_stands_is_listed",
        "a_purge_drops_what_is_over_and_nothing_else",
    ];
    assert_eq!(report.not_shown(), not_shown, "what memory survives, and what nobody can do to it");
}
