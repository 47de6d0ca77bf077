//! tower-sessions-sqlx-store on SQLite, measured when a line on standard input says so: each is answered by one number.
//!
//! Its arguments: the path of the database, how it is set up, and how large a session is.

#[path = "../../src/random.rs"]
mod random;
#[allow(dead_code, reason = "this one is filled in a way of its own")]
#[path = "../../src/sessions.rs"]
mod sessions;
#[path = "../../src/tasks.rs"]
mod tasks;

use std::{io::stdin, str::FromStr, time::Duration};

use tower_sessions_core::session::Id;
use tower_sessions_sqlx_store::{
    SqliteStore,
    sqlx::{
        SqlitePool, query,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};

use crate::{
    sessions::{Sessions, middle_load, sessions},
    tasks::{Tasks, server_runtime},
};

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

sessions!(SqliteStore, tower_sessions_core);

fn main() -> Result {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, how, bytes] = &arguments[..] else { return Err("say the path, the set-up and the size".into()) };
    let (runtime, bytes) = (server_runtime()?, bytes.parse()?);
    let pool = runtime.block_on(open(path, how))?;
    let store = SqliteStore::new(pool.clone());
    runtime.block_on(store.migrate())?;
    for line in stdin().lines() {
        let line = line?;
        let (what, numbers) = line.split_once(' ').ok_or("no numbers")?;
        let numbers = numbers.split(' ').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let answer = match (what, &numbers[..]) {
            ("fill", [from, to]) => {
                runtime.block_on(fill(&pool, bytes, *from, *to))?;
                0.0
            }
            ("load", [in_flight, visitors, millis]) => tasks(*in_flight, *visitors, *millis)
                .per_second(&runtime, |turns| sessions::load(store.clone(), turns))?,
            ("save", [in_flight, visitors, millis]) => tasks(*in_flight, *visitors, *millis)
                .per_second(&runtime, |turns| sessions::save(store.clone(), bytes, turns))?,
            ("middle", [visitors]) => runtime.block_on(middle_load(*visitors, |n| n, async |n| store.load(*n).await))?,
            _ => return Err(format!("what is {line}?").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

fn tasks(in_flight: usize, visitors: usize, millis: usize) -> Tasks {
    Tasks { in_flight, visitors, batch: 1, time: Duration::from_millis(millis as u64) }
}

/// As its documentation says; or as that of sqlx says where durability is not a concern.
async fn open(path: &str, how: &str) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::from_str(&format!("sqlite://{path}"))?.create_if_missing(true);
    let options = match how {
        "default" => options,
        "wal" => options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal),
        _ => return Err(format!("what is {how}?").into()),
    };
    Ok(SqlitePool::connect_with(options).await?)
}

/// What the store itself would write for the sessions from the one to the other; but many to a transaction, for which it has no way.
async fn fill(pool: &SqlitePool, bytes: usize, from: usize, to: usize) -> Result {
    const TOGETHER: usize = 10_000;
    let mut record = <SqliteStore as Sessions>::record(bytes);
    for first in (from..to).step_by(TOGETHER) {
        let mut transaction = pool.begin().await?;
        for n in first..to.min(first + TOGETHER) {
            record.id = Id(sessions::id(n));
            query("insert into tower_sessions (id, data, expiry_date) values (?, ?, ?)")
                .bind(record.id.to_string())
                .bind(rmp_serde::to_vec(&record)?)
                .bind(record.expiry_date)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}
