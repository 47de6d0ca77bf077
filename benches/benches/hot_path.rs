//! A valid token through a visitor, against the least that it can cost.

#![expect(clippy::expect_used, reason = "without a token there is nothing to measure")]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wix_visitor_benches::{Floor, ROUNDS, runtime, site};

fn hot_path(criterion: &mut Criterion) {
    let runtime = runtime();
    let visitor = site(1).visitor("default");
    let minted = runtime.block_on(visitor.authorization()).expect("a token");
    let floor = Floor::new(minted.header().clone());
    let mut group = criterion.benchmark_group("hot_path");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    for round in ROUNDS {
        group.bench_function(BenchmarkId::new("floor", round), |bencher| {
            bencher.iter(|| black_box(&floor).authorization());
        });
        // All calls of a sample within one `block_on`.
        group.bench_function(BenchmarkId::new("visitor", round), |bencher| {
            bencher.to_async(&runtime).iter(|| black_box(&visitor).authorization());
        });
    }
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
