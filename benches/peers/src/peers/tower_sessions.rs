//! tower-sessions: its own store in memory, and those of its makers on moka and Redis. The one on SQLite is in the module `sqlx`.

use tower_sessions::MemoryStore;
use tower_sessions_moka_store::MokaStore;
use tower_sessions_redis_store::{
    RedisStore,
    fred::{
        interfaces::ClientLike,
        prelude::{Config, Pool},
    },
};

use crate::{Result, sessions::sessions};

sessions!(MemoryStore, tower_sessions);
sessions!(MokaStore, tower_sessions_core);
sessions!(RedisStore<Pool>, tower_sessions_core);

/// As its documentation says.
pub(crate) fn memory() -> MemoryStore {
    MemoryStore::default()
}

/// Likewise; with room for all.
pub(crate) fn moka() -> MokaStore {
    MokaStore::new(None)
}

/// Likewise: with a pool of six connections.
pub(crate) async fn redis(url: &str) -> Result<RedisStore<Pool>> {
    let pool = Pool::new(Config::from_url(url)?, None, None, None, 6)?;
    pool.connect();
    pool.wait_for_connect().await?;
    Ok(RedisStore::new(pool))
}
