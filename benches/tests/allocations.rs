//! What is served from memory allocates nothing.

use std::hint::black_box;

use alloc_tracker::{Allocator, Session};
use wix_visitor_benches::{keys, runtime, site};
use wix_visitor_core::Secret;

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

const CALLS: usize = 10_000;

/// How often this thread allocates while `work` runs.
fn allocations(name: &str, work: impl FnOnce()) -> u64 {
    let session = Session::new();
    {
        let operation = session.operation(name);
        let _span = operation.measure_thread();
        work();
    }
    let report = session.to_report();
    report.operations().map(|(_, operation)| operation.total_allocations_count()).sum()
}

#[test]
fn a_valid_token_through_a_visitor_allocates_nothing() {
    let runtime = runtime();
    let visitor = site(1).visitor("default");
    runtime.block_on(visitor.authorization()).unwrap();
    let count = allocations("hot_path", || {
        runtime.block_on(async {
            for _ in 0..CALLS {
                assert!(visitor.authorization().await.is_ok());
            }
        });
    });
    assert_eq!(count, 0, "in {CALLS} calls");
}

#[test]
fn finding_a_visitor_in_memory_allocates_nothing() {
    let keys = keys(CALLS);
    let site = site(2 * CALLS);
    for key in &keys {
        site.visitor(key);
    }
    let count = allocations("lookup", || {
        for key in &keys {
            black_box(site.visitor(key));
        }
    });
    assert_eq!(count, 0, "in {CALLS} look-ups");
}

#[test]
fn an_allocation_is_counted() {
    assert!(allocations("control", || drop(black_box(Secret::new("one")))) > 0);
}
