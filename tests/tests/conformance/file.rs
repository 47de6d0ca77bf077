use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use wix_visitor_core::{Clock, StoreError, StoreKey, Timestamp, TokenStore, async_trait};
use wix_visitor_file::FileOptions;
use wix_visitor_testkit::conformance::{Damage, StoreFixture};
use wix_visitor_tests::step_clock::StepClock;

use super::{As, copy_in_use};

pub(super) struct Files {
    handed: As,
    clock: StepClock,
    directory: TempDir,
    /// The lock, held by somebody else while an outage lasts.
    held: Mutex<Option<File>>,
}

impl Files {
    pub(super) fn new(handed: As) -> Self {
        Self {
            handed,
            clock: StepClock::default(),
            directory: tempfile::tempdir().expect("a directory for the test"),
            held: Mutex::default(),
        }
    }

    async fn open_in(&self, directory: &str) -> Result<Arc<dyn TokenStore>, StoreError> {
        let options = FileOptions::new(self.directory.path().join(directory))
            .timeout(self.deadline())
            .clock(Arc::new(self.clock.clone()));
        Ok(self.handed.wrap(options.open().await?))
    }

    /// The sub-directories.
    fn shards(&self) -> impl Iterator<Item = PathBuf> {
        (0..4096).map(|n| self.directory.path().join(format!("here/{n:03x}")))
    }
}

#[async_trait]
impl StoreFixture for Files {
    async fn open(&self) -> Result<Arc<dyn TokenStore>, StoreError> {
        self.open_in("here").await
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn after_crash(&self) -> Option<Result<Arc<dyn TokenStore>, StoreError>> {
        // With a write under way in each: what a crash leaves of it is half a file that nobody reads.
        for record in self.shards().filter_map(|shard| fs::read_dir(shard).ok()).flatten().flatten() {
            if record.path().extension().is_some_and(|extension| extension == "json") {
                fs::write(record.path().with_extension("new"), "half a rec").expect("a file");
            }
        }
        copy_in_use(self.directory.path());
        Some(self.open_in("copy").await)
    }

    async fn damage(&self, key: &StoreKey, damage: Damage) -> bool {
        let name = format!("v-{}.json", key.as_str().replace('/', "_"));
        let path = self.shards().map(|shard| shard.join(&name)).find(|path| path.exists()).expect("the record");
        let mut content = fs::read(&path).expect("the record");
        match damage {
            Damage::CutShort => content.truncate(content.len() - 1),
            Damage::Emptied => content.clear(),
            Damage::FlippedBit => {
                // Of the record: one half of its file is blank.
                let record = |byte: &u8| *byte != b' ';
                let (first, last) = (content.iter().position(record), content.iter().rposition(record));
                let middle = usize::midpoint(first.expect("a record"), last.expect("a record"));
                content[middle] ^= 1;
            }
            _ => return false,
        }
        fs::write(&path, content).is_ok()
    }

    async fn begin_outage(&self) -> bool {
        // One lock in the place of all, so that one holds them all; also where there is no record yet, which may get its first.
        let path = self.directory.path().join("lock");
        let lock = File::create(&path).expect("a lock");
        lock.lock().expect("the lock");
        for shard in self.shards() {
            fs::create_dir_all(&shard).expect("a directory");
            let _ = fs::remove_file(shard.join("lock"));
            fs::hard_link(&path, shard.join("lock")).expect("a lock");
        }
        *self.held.lock().expect("no panic") = Some(lock);
        true
    }

    async fn end_outage(&self) {
        *self.held.lock().expect("no panic") = None;
    }

    async fn pass(&self, time: Duration) -> bool {
        self.clock.pass(time);
        true
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }
}

super::every_way!(Files);
super::shows_everything!(Files);
