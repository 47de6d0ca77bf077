//! `redis-load-1` and `redis-load-64`: loads from Redis, one at a time and 64 in flight. The latter tells of other numbers too, for the
//! plot.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::{Client, ProtocolVersion, aio::MultiplexedConnection};
use wix_visitor_redis::RedisOptions;

use crate::{
    Result, concurrency,
    peers::tower_sessions,
    processors::OneProcessor,
    redis_server::RedisServer,
    rounds::{Rounds, Side, ratio},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    sessions,
    tasks::{Tasks, server_runtime},
    visitors::{FEW, Kept},
};

pub(crate) fn rows() -> [Row; 2] {
    let near_the_limit = Goal(Of::Limit, Bound::Least(0.95));
    let row = |id, work, goals, in_flight| Row {
        id,
        work,
        unit: Unit::PerSecond,
        goals,
        run: Box::new(move |rounds| run(rounds, in_flight)),
    };
    [
        row("redis-load-1", "Redis: load, one at a time", vec![near_the_limit], 1),
        row("redis-load-64", "Redis: load, 64 in flight", vec![near_the_limit, Goal(Of::Peer, Bound::Least(1.2))], 64),
    ]
}

fn run(rounds: &Rounds, in_flight: usize) -> Result<Outcome> {
    // One at a time ours and the limit are as good as one. In turns of a hundredth of a second, so is the machine.
    let rounds = &rounds.finer(if in_flight == 1 { 27 } else { 3 });
    let (runtime, server) = (server_runtime()?, RedisServer::start()?);
    let _held = (in_flight == 1).then(OneProcessor::hold).transpose()?;
    let (ours, peer, limits) = runtime.block_on(async {
        let ours = Kept::filled(RedisOptions::new("127.0.0.1", server.port()).connect().await?, FEW).await?;
        let peer = tower_sessions::redis(&server.url()).await?;
        sessions::fill(&peer, ours.record.len(), 0, FEW).await?;
        Result::<_>::Ok((ours, peer, [connection(&server).await?, connection(&server).await?]))
    })?;
    let (runtime, ours, peer, limits, names) = (&runtime, &ours, &peer, &limits, &names(&ours));
    let get = &|tasks: Tasks, by: &[MultiplexedConnection]| {
        let task = AtomicUsize::new(0);
        tasks.per_second(runtime, |mut turns| {
            let mut connection = by[task.fetch_add(1, Ordering::Relaxed) % by.len()].clone();
            let (names, bytes) = (Arc::clone(names), ours.record.len());
            async move {
                while let Some(n) = turns.next().await {
                    let found: Vec<u8> = redis::cmd("GET").arg(&names[n]).query_async(&mut connection).await?;
                    if found.len() < bytes {
                        return Err("what was written is not there".into());
                    }
                }
                Ok(())
            }
        })
    };
    let sides = |rounds: Rounds, in_flight| {
        let tasks = Tasks { in_flight, visitors: FEW, batch: 1, time: rounds.time };
        Ok(vec![
            Side::ours(move || tasks.per_second(runtime, ours.loading())),
            Side::peer("tower-sessions, Redis", move || {
                tasks.per_second(runtime, |turns| sessions::load(peer.clone(), turns))
            }),
            Side::limit("GET by the same client", move || get(tasks, &limits[..1])),
        ])
    };
    let measured = rounds.alternate(sides(*rounds, in_flight)?)?;
    if in_flight == 1 {
        return Ok(measured.into());
    }
    let mut by_two = sides(*rounds, in_flight)?;
    by_two.truncate(1);
    let tasks = Tasks { in_flight, visitors: FEW, batch: 1, time: rounds.time };
    by_two.push(Side::limit("GET by two connections", move || get(tasks, limits)));
    let counted = vec![("× GET by two connections, as ours", ratio(&rounds.alternate(by_two)?))];
    Ok(Outcome { sides: measured, counted, series: concurrency::lines(rounds, sides)? })
}

/// By the client that our store has, with one connection for all, as its documentation has it, and RESP3, as there: our store takes a
/// second one where many loads are under way. How long an answer may take is limited by the client, as it comes; our store has a time-out
/// of its own.
pub(super) async fn connection(server: &RedisServer) -> Result<MultiplexedConnection> {
    let info = redis::IntoConnectionInfo::into_connection_info(server.url())?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
    let client = Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp))?;
    Ok(client.get_multiplexed_async_connection().await?)
}

/// Under which our store keeps them.
pub(super) fn names(ours: &Kept) -> Arc<[String]> {
    ours.keys.iter().map(|key| format!("wix-visitor:{}", key.as_str())).collect()
}
