//! The same visitors in stores of tower-sessions: as sessions that hold their tokens.

use std::time::Instant;

use serde_json::Value;

use crate::{Result, random::Random, tasks::Turns};

/// Of Wix's access and refresh tokens, in bytes.
pub(crate) const LENGTHS: [usize; 2] = [1000, 700];

/// What a session holds: both tokens, and what makes it as large as a record of ours.
pub(crate) fn data(bytes: usize) -> [(String, Value); 3] {
    let [access, refresh] = LENGTHS;
    let text = |name: &str, length: usize| (name.to_owned(), Value::String("x".repeat(length)));
    let parts = [text("access_token", access), text("refresh_token", refresh), text("rest", 0)];
    let so_far: usize = parts.iter().map(|(name, _)| name.len()).sum();
    let [one, other, (rest, _)] = parts;
    [one, other, text(&rest, bytes.saturating_sub(access + refresh + so_far))]
}

/// The id of a session: at random, as theirs are.
pub(crate) fn id(n: usize) -> i128 {
    let mut random = Random(n as u64);
    i128::from(random.next()) << 64 | i128::from(random.next())
}

/// A store of sessions, of whichever version its trait is.
pub(crate) trait Sessions: Clone + Send + Sync + 'static {
    type Record: Clone + Send + Sync + 'static;

    /// A session of so many bytes.
    fn record(bytes: usize) -> Self::Record;

    /// Makes it the session of this visitor, which is new.
    fn create(&self, n: usize, record: &mut Self::Record) -> impl Future<Output = Result> + Send;

    /// Makes it the session of this visitor, which is there.
    fn save(&self, n: usize, record: &mut Self::Record) -> impl Future<Output = Result> + Send;

    /// Loads the session of a visitor.
    fn load(&self, n: usize) -> impl Future<Output = Result> + Send;
}

/// The same code for stores of different versions of the core.
macro_rules! sessions {
    ($store:ty, $core:ident) => {
        impl $crate::sessions::Sessions for $store {
            type Record = $core::session::Record;

            fn record(bytes: usize) -> Self::Record {
                let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::days(365);
                let data = $crate::sessions::data(bytes).into_iter().collect();
                $core::session::Record { id: $core::session::Id(0), data, expiry_date }
            }

            async fn create(&self, n: usize, record: &mut Self::Record) -> $crate::Result {
                record.id = $core::session::Id($crate::sessions::id(n));
                Ok($core::SessionStore::create(self, record).await?)
            }

            async fn save(&self, n: usize, record: &mut Self::Record) -> $crate::Result {
                record.id = $core::session::Id($crate::sessions::id(n));
                Ok($core::SessionStore::save(self, record).await?)
            }

            async fn load(&self, n: usize) -> $crate::Result {
                let id = $core::session::Id($crate::sessions::id(n));
                let found = $core::SessionStore::load(self, &id).await?;
                if found.is_none_or(|found| found.data.len() != 3) {
                    return Err("what was written is not there".into());
                }
                Ok(())
            }
        }
    };
}
pub(crate) use sessions;

/// Creates the sessions from the one to the other, many at a time.
pub(crate) async fn fill<S: Sessions>(store: &S, bytes: usize, from: usize, to: usize) -> Result {
    const TOGETHER: usize = 128;
    let mut tasks = tokio::task::JoinSet::new();
    for first in 0..TOGETHER {
        let (store, mut record) = (store.clone(), S::record(bytes));
        tasks.spawn(async move {
            for n in (from + first..to).step_by(TOGETHER) {
                store.create(n, &mut record).await?;
            }
            Result::<_>::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// A task that loads.
pub(crate) async fn load<S: Sessions>(store: S, mut turns: Turns) -> Result {
    while let Some(n) = turns.next().await {
        store.load(n).await?;
    }
    Ok(())
}

/// A task that saves.
pub(crate) async fn save<S: Sessions>(store: S, bytes: usize, mut turns: Turns) -> Result {
    let mut record = S::record(bytes);
    while let Some(n) = turns.next().await {
        store.save(n, &mut record).await?;
    }
    Ok(())
}

/// How long one load takes, in nanoseconds: the middle one of a thousand, spread evenly over all visitors. Their keys are made before: a
/// request brings its own.
pub(crate) async fn middle_load<K>(
    visitors: usize,
    key: impl Fn(usize) -> K,
    load: impl AsyncFn(&K) -> Result,
) -> Result<f64> {
    const LOADS: usize = 1_000;
    let keys: Vec<K> = (0..LOADS).map(|n| key(n * visitors / LOADS)).collect();
    let mut times = Vec::with_capacity(LOADS);
    for key in &keys {
        let start = Instant::now();
        load(key).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[LOADS / 2].as_nanos() as f64)
}
