//! Many seeds, on all cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::draft::draft;
use crate::plan::flaw::Flaw;
use crate::plan::{Campaign, Plan};
use crate::run::{Scrutiny, run};
use crate::verdict::totals::Totals;

/// How many seeds in a row one thread takes.
const CHUNK: u64 = 50;

/// How closely a seed is watched: of some, everything that is printed is searched.
pub fn scrutiny(plan: &Plan) -> Scrutiny {
    let small = plan.visitors.len() <= 100;
    Scrutiny { log: false, search: plan.seed.is_multiple_of(16), trace: plan.seed.is_multiple_of(1_000) && small }
}

/// Runs these seeds, and tells how it goes on. A flaw breaks something on purpose.
pub fn campaign(
    campaign: Campaign,
    from: u64,
    seeds: u64,
    flaw: Option<Flaw>,
    progress: impl Fn(u64, u64, Duration) + Sync,
) -> Totals {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut totals = Totals::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut totals = Totals::default();
                    loop {
                        let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                        if first >= seeds {
                            return totals;
                        }
                        for seed in (first..(first + CHUNK).min(seeds)).map(|offset| from + offset) {
                            let plan = Arc::new(Plan { flaw, ..draft(seed, campaign) });
                            let scrutiny = scrutiny(&plan);
                            let outcome = run(&plan, scrutiny);
                            failed.fetch_add(u64::from(!outcome.findings.is_empty()), Ordering::Relaxed);
                            totals.add(&plan, outcome, scrutiny.trace);
                        }
                        done.fetch_add(CHUNK, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut told = Instant::now();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(50));
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                progress(done.load(Ordering::Relaxed).min(seeds), failed.load(Ordering::Relaxed), begun.elapsed());
            }
        }
        for worker in workers {
            match worker.join() {
                Ok(part) => totals.merge(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    totals
}
