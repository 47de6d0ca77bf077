//! `redis-swap-1` and `redis-swap-64`: swaps in Redis, one at a time and 64 in flight. The peer compares nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use redis::Script;
use wix_visitor_redis::{RedisOptions, SWAP_SCRIPT};

use crate::{
    Result,
    peers::tower_sessions,
    processors::OneProcessor,
    redis_server::RedisServer,
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    rows::redis_load::connection,
    sessions,
    tasks::{Tasks, Turns, server_runtime},
    visitors::{FEW, Kept, YEAR, key},
};

pub(crate) fn rows() -> [Row; 2] {
    let row = |id, work, in_flight| Row {
        id,
        work,
        unit: Unit::PerSecond,
        goals: vec![Goal(Of::Limit, Bound::Least(0.95))],
        run: Box::new(move |rounds| run(rounds, in_flight)),
    };
    [
        row("redis-swap-1", "Redis: compare and exchange, one at a time", 1),
        row("redis-swap-64", "Redis: compare and exchange, 64 in flight", 64),
    ]
}

fn run(rounds: &Rounds, in_flight: usize) -> Result<Outcome> {
    // One at a time ours and the limit are as good as one. In turns of a hundredth of a second, so is the machine.
    let rounds = &rounds.finer(if in_flight == 1 { 27 } else { 3 });
    let (runtime, server) = (server_runtime()?, RedisServer::start()?);
    let _held = (in_flight == 1).then(OneProcessor::hold).transpose()?;
    let tasks = Tasks { in_flight, visitors: FEW, batch: 1, time: rounds.time };
    let (ours, peer, limit) = runtime.block_on(async {
        let ours = Kept::filled(RedisOptions::new("127.0.0.1", server.port()).connect().await?, FEW).await?;
        let peer = tower_sessions::redis(&server.url()).await?;
        sessions::fill(&peer, ours.record.len(), 0, FEW).await?;
        Result::<_>::Ok((ours, peer, connection(&server).await?))
    })?;
    let bytes = ours.record.len();
    let bare = Bare::new(limit, bytes)?;
    let sides = vec![
        Side::ours(|| tasks.per_second(&runtime, ours.swapping())),
        Side::peer("tower-sessions, Redis", || {
            tasks.per_second(&runtime, |turns| sessions::save(peer.clone(), bytes, turns))
        }),
        Side::limit("EVALSHA of the same script by the same client", || {
            tasks.per_second(&runtime, |turns| bare.clone().swap(turns))
        }),
    ];
    Ok(rounds.alternate(sides)?.into())
}

/// The script of our store, and nothing around it.
#[derive(Clone)]
struct Bare {
    connection: redis::aio::MultiplexedConnection,
    hash: Arc<str>,
    names: Arc<[String]>,
    versions: Arc<[AtomicU64]>,
    bytes: usize,
}

impl Bare {
    fn new(connection: redis::aio::MultiplexedConnection, bytes: usize) -> Result<Self> {
        Ok(Self {
            connection,
            // The server knows it: our store has filled itself by it.
            hash: Script::new(SWAP_SCRIPT).get_hash().into(),
            names: (0..FEW).map(|n| Ok(format!("bare:{}", key(n)?.as_str()))).collect::<Result<_>>()?,
            versions: (0..FEW).map(|_| AtomicU64::new(0)).collect(),
            bytes,
        })
    }

    async fn swap(mut self, mut turns: Turns) -> Result {
        // As our store lays it out: an etag, a checksum, and the record.
        let mut value = vec![b'x'; 16 + 4 + self.bytes];
        while let Some(n) = turns.next().await {
            let version = self.versions[n].load(Ordering::Relaxed);
            let standing = u128::from(version).to_be_bytes();
            value[..16].copy_from_slice(&u128::from(version + 1).to_be_bytes());
            // No visitor's value is that of another: Lua would have it already.
            value[16..20].copy_from_slice(&(n as u32).to_be_bytes());
            let answer: String = redis::cmd("EVALSHA")
                .arg(&*self.hash)
                .arg(1)
                .arg(&self.names[n])
                .arg(if version == 0 { &[][..] } else { &standing[..] })
                .arg(&value)
                .arg(YEAR.as_millis() as u64)
                .arg("0")
                .arg("bare:00000000-0000-4000-8000-000000000000")
                .query_async(&mut self.connection)
                .await?;
            if answer != "OK" {
                return Err("somebody else has written here".into());
            }
            self.versions[n].store(version + 1, Ordering::Relaxed);
        }
        Ok(())
    }
}
