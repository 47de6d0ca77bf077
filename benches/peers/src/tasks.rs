//! Many calls at the same time: tasks that each call again and again, until the time of a round is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
};

use crate::Result;

/// The tasks of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tasks {
    pub(crate) in_flight: usize,
    /// Each task has its share of them: no two meet at the same one.
    pub(crate) visitors: usize,
    /// After so many calls a task looks at the clock. Where it is more than one, calls wait for nothing, and the task lets others go on.
    pub(crate) batch: u32,
    pub(crate) time: Duration,
}

impl Tasks {
    /// How many calls a second these tasks make, each of which calls for as long as it has turns.
    pub(crate) fn per_second<F>(&self, runtime: &Runtime, task: impl Fn(Turns) -> F) -> Result<f64>
    where
        F: Future<Output = Result> + Send + 'static,
    {
        let (start, done) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let until = start + self.time;
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for first in 0..self.in_flight {
                let Self { in_flight: step, visitors, batch, .. } = *self;
                let done = Arc::clone(&done);
                tasks.spawn(task(Turns { at: first, step, visitors, batch, left: 0, until, count: 0, done }));
            }
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            Result::<_>::Ok(())
        })?;
        Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
    }
}

/// The turns of one task.
#[derive(Debug)]
pub(crate) struct Turns {
    at: usize,
    step: usize,
    visitors: usize,
    batch: u32,
    left: u32,
    until: Instant,
    count: u64,
    done: Arc<AtomicU64>,
}

impl Turns {
    /// Whose turn it is; `None` once the time is over.
    pub(crate) async fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            // At least one batch: on a busy machine the time may be over before a task has its first turn.
            if self.count > 0 && Instant::now() >= self.until {
                self.done.fetch_add(self.count, Ordering::Relaxed);
                return None;
            }
            if self.batch > 1 {
                yield_now().await;
            }
            self.left = self.batch;
        }
        self.left -= 1;
        self.count += 1;
        let at = self.at;
        self.at += self.step;
        if self.at >= self.visitors {
            self.at %= self.step;
        }
        Some(at)
    }
}

/// As a server has it: a thread for each core.
pub(crate) fn server_runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}
