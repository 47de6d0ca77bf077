//! A site without a network, and the keys of its visitors.

use tokio::runtime::{Builder, Runtime};
use wix_visitor_core::{ClientId, Visitors};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::FakeEndpoint;

/// A site with room for up to `snapshots` visitors in memory.
///
/// # Panics
/// If the site cannot be set up.
#[expect(clippy::expect_used, reason = "a benchmark without a site has nothing to measure")]
pub fn site(snapshots: usize) -> Visitors {
    let client_id = ClientId::new("00000000-0000-4000-8000-000000000000").expect("a client id");
    Visitors::builder(client_id, FakeEndpoint::default(), MemoryStore::default())
        .snapshot_bytes(snapshots.saturating_mul(8 * 1024))
        .build()
        .expect("a site")
}

/// The runtime in which visitors are asked: of one thread, so that nothing else runs meanwhile.
///
/// # Panics
/// If there is none to be had.
#[expect(clippy::expect_used, reason = "a benchmark without a runtime has nothing to measure")]
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// This many visitor keys, each of 32 hexadecimal digits as a session id has, in no order. The same at every run.
pub fn keys(count: usize) -> Vec<String> {
    let mut random = Random(1);
    (0..count).map(|_| format!("{:016x}{:016x}", random.next(), random.next())).collect()
}

/// Splitmix64: well spread, and the same at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}
