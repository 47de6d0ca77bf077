//! `key-1m`: one of a million by its key, in another order than that in which they came.

use std::{hint::black_box, sync::Arc};

use sha2::{Digest, Sha256};
use wix_visitor_core::Visitors;
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::FakeEndpoint;

use crate::{
    Result,
    keys::{keys, shuffled},
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    site::{ISSUER, client_id, runtime},
};

const VISITORS: usize = 1_000_000;

pub(crate) fn row() -> Row {
    Row {
        id: "key-1m",
        work: "by key among 1,000,000",
        unit: Unit::Nanoseconds,
        goals: vec![Goal(Of::Limit, Bound::Most(1.5))],
        run: Box::new(run),
    }
}

/// As large as what is kept of a visitor without tokens, with its counts: 32 bytes. Among a million, waiting for memory is most of a
/// look-up.
struct Value {
    /// How many keys to skip: none.
    skip: usize,
    _rest: u64,
}

impl Value {
    fn new() -> Arc<Self> {
        Arc::new(Self { skip: black_box(0), _rest: 0 })
    }
}

/// Finds what is kept under a key, and how many keys to skip by that.
type Find<'a> = dyn Fn(&str) -> usize + 'a;

fn run(rounds: &Rounds) -> Result<Outcome> {
    let keys = keys(VISITORS);
    let wanted = shuffled(&keys);
    let _runtime = runtime()?;
    let site = Visitors::builder(client_id()?, FakeEndpoint::issued_by(ISSUER), MemoryStore::default());
    // Room for twice as many, as in all caches here: none is evicted, however unevenly they spread over a cache's shards.
    let site = site.snapshot_bytes(2 * VISITORS * 2 * 1024).build()?;
    let moka = moka::sync::Cache::new(2 * VISITORS as u64);
    let quick_cache = quick_cache::sync::Cache::new(2 * VISITORS);
    let papaya = papaya::HashMap::new();
    let bare = papaya::HashMap::with_capacity_and_hasher(VISITORS, foldhash::fast::RandomState::default());
    let hashed = papaya::HashMap::with_capacity_and_hasher(VISITORS, foldhash::fast::RandomState::default());
    for key in &keys {
        site.visitor(key);
        moka.insert(key.clone(), Value::new());
        quick_cache.insert(key.clone(), Value::new());
        papaya.pin().insert(key.clone(), Value::new());
        bare.pin().insert(Box::<str>::from(key.as_str()), Value::new());
        hashed.pin().insert(sha256(key), Value::new());
    }
    moka.run_pending_tasks();

    let skip = |value: Option<Arc<Value>>| black_box(value).map_or(usize::MAX, |value| value.skip);
    // None has a token.
    let find_ours = |key: &str| usize::from(black_box(black_box(&site).visitor(key)).is_in_memory());
    let find_bare = |key: &str| skip(black_box(&bare).pin().get(key).map(Arc::clone));

    // Which key is next is known by what was found before: a request's key comes when the last request is long over. Each side goes
    // round in them: what one round has brought near is far again when its turn comes.
    let one_by_one = |find: &Find<'_>| {
        let mut at = 0;
        Ok(rounds.nanoseconds(|| at = (at + 1 + find(&wanted[at])) % VISITORS))
    };
    let sides = rounds.alternate(vec![
        Side::ours(|| one_by_one(&find_ours)),
        Side::peer("moka", || one_by_one(&|key| skip(black_box(&moka).get(key)))),
        Side::peer("quick_cache", || one_by_one(&|key| skip(black_box(&quick_cache).get(key)))),
        Side::peer("papaya", || one_by_one(&|key| skip(black_box(&papaya).pin().get(key).map(Arc::clone)))),
        Side::limit(BARE, || one_by_one(&find_bare)),
        Side::limit("the same behind SHA-256", || {
            one_by_one(&|key| skip(black_box(&hashed).pin().get(&sha256(key)).map(Arc::clone)))
        }),
    ])?;

    // Where all keys are known beforehand, the processor looks for several at once: as many as its window holds.
    let at_once = |find: &Find<'_>| {
        let mut keys = wanted.iter().cycle();
        Ok(rounds.nanoseconds(|| _ = black_box(keys.next().map(|key| find(key)))))
    };
    let overlapping =
        rounds.alternate(vec![Side::ours(|| at_once(&find_ours)), Side::limit(BARE, || at_once(&find_bare))])?;
    let [ours, bare] = [0, 1].map(|side: usize| overlapping[side].median());
    Ok(Outcome { sides, counted: vec![("× limit where look-ups overlap", ours / bare)], ..Outcome::default() })
}

/// What ours has to do before it can look: a visitor is known by this, and its key is kept nowhere.
fn sha256(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

const BARE: &str = "papaya with a fast hasher";
