//! One visitor among a million in memory, against a bare map's look-up.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wix_visitor_benches::{BareMap, ROUNDS, keys, shuffled, site};

const VISITORS: usize = 1_000_000;

fn lookup(criterion: &mut Criterion) {
    let keys = keys(VISITORS);
    let map = BareMap::new(&keys);
    // Twice as many as there are: none is evicted, however unevenly they spread over the cache's shards.
    let site = site(2 * VISITORS);
    for key in &keys {
        site.visitor(key);
    }
    let wanted = shuffled(&keys);
    // One cycle through all: what one sample has brought near is far again when its turn comes.
    let mut wanted = wanted.iter().cycle().map(String::as_str);
    let mut next = || wanted.next().unwrap_or_default();
    let mut group = criterion.benchmark_group("lookup");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    for round in ROUNDS {
        group.bench_function(BenchmarkId::new("floor", round), |bencher| {
            bencher.iter(|| black_box(&map).get(next()));
        });
        group.bench_function(BenchmarkId::new("visitor", round), |bencher| {
            bencher.iter(|| black_box(&site).visitor(next()));
        });
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);
