//! `key-1m`: one of a million by its key, in another order than that in which they came.

use std::{hint::black_box, sync::Arc};

use sha2::{Digest, Sha256};
use wix_visitor_core::Visitors;
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::FakeEndpoint;

use crate::{
    Result,
    keys::{keys, shuffled},
    rounds::{Measured, Rounds, Side},
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

/// As large as what is kept of a visitor, and made like it: with a text of its own, so that it lies as far from its key. Among a
/// million, waiting for memory is most of a look-up.
struct Value {
    _text: String,
    _rest: [u64; 40],
}

impl Value {
    fn new(key: &str) -> Arc<Self> {
        Arc::new(Self { _text: format!("{key:0>101}"), _rest: [0; 40] })
    }
}

fn run(rounds: &Rounds) -> Result<Outcome> {
    let keys = keys(VISITORS);
    let wanted = shuffled(&keys);
    // Each side goes round in it: what one round has brought near is far again when its turn comes.
    let wanted = || {
        let mut cycle = wanted.iter().cycle();
        move || cycle.next().map_or("", String::as_str)
    };

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
        moka.insert(key.clone(), Value::new(key));
        quick_cache.insert(key.clone(), Value::new(key));
        papaya.pin().insert(key.clone(), Value::new(key));
        bare.pin().insert(Box::<str>::from(key.as_str()), Value::new(key));
        hashed.pin().insert(sha256(key), Value::new(key));
    }
    moka.run_pending_tasks();

    let sides = vec![
        Side::ours({
            let mut next = wanted();
            move || Ok(rounds.nanoseconds(|| drop(black_box(black_box(&site).visitor(next())))))
        }),
        Side::peer("moka", {
            let mut next = wanted();
            move || Ok(rounds.nanoseconds(|| drop(black_box(black_box(&moka).get(next())))))
        }),
        Side::peer("quick_cache", {
            let mut next = wanted();
            move || Ok(rounds.nanoseconds(|| drop(black_box(black_box(&quick_cache).get(next())))))
        }),
        Side::peer("papaya", {
            let mut next = wanted();
            move || Ok(rounds.nanoseconds(|| drop(black_box(black_box(&papaya).pin().get(next()).map(Arc::clone)))))
        }),
        Side::limit("papaya with a fast hasher", {
            let mut next = wanted();
            move || Ok(rounds.nanoseconds(|| drop(black_box(black_box(&bare).pin().get(next()).map(Arc::clone)))))
        }),
        Side::limit(HASHED, {
            let mut next = wanted();
            let find = move |key: &str| hashed.pin().get(&sha256(key)).map(Arc::clone);
            move || Ok(rounds.nanoseconds(|| drop(black_box(find(next())))))
        }),
    ];
    let sides = rounds.alternate(sides)?;
    let hashed = sides.iter().find(|side| side.name == HASHED).map_or(f64::NAN, Measured::median);
    Ok(Outcome { sides, counted: vec![(HASHED, hashed)], ..Outcome::default() })
}

/// What ours has to do before it can look: a visitor is known by this, and its key is kept nowhere.
fn sha256(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

const HASHED: &str = "ns by the same map behind SHA-256";
