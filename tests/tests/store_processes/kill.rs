//! Four processes that write, and one of them killed (`kill -9`) at a random moment, again and again.
//!
//! `cargo xtask prove kill` runs the same, more often, and has it write what came of it to a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wix_visitor::{StoreKey, TokenStore, open_store};
use wix_visitor_tests::{counter, sealing};

use crate::place::{Kind, Place, of_each_kind};
use crate::worker::Running;

/// How many kills, where it is not 50.
const KILLS: &str = "WIX_VISITOR_KILLS";

/// The file to which a line about each store is added.
const REPORT: &str = "WIX_VISITOR_KILLS_REPORT";

const PROCESSES: usize = 4;
const SHARED: &str = "site/shared";

of_each_kind!(killed_at_any_moment_a_store_is_whole_and_holds_every_acknowledged_write);

fn killed_at_any_moment_a_store_is_whole_and_holds_every_acknowledged_write(kind: Kind) {
    let kills = std::env::var(KILLS).map_or(50, |kills| kills.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(Campaign::new(kind).run(kills));
    println!("{}: {found:?}", kind.name());
    if let Some(report) = std::env::var_os(REPORT) {
        let mut report = fs::File::options().create(true).append(true).open(report).unwrap();
        let Found { kills, acknowledged, torn, lost } = found;
        writeln!(report, "| {} | {kills} | {acknowledged} | {torn} | {lost} |", kind.name()).unwrap();
    }
    assert_eq!((found.torn, found.lost), (0, 0), "{found:?}");
    assert!(found.acknowledged > 5 * kills, "they hardly got to write: {found:?}");
}

#[derive(Debug, Default)]
struct Found {
    kills: u64,
    acknowledged: u64,
    torn: u64,
    lost: u64,
}

/// Of one record.
#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    /// The highest count.
    last: u64,
    /// How many there were.
    steps: u64,
}

type Ledger = Arc<Mutex<BTreeMap<String, Acknowledged>>>;

fn note(ledger: &Ledger, key: &str, count: u64) {
    let mut ledger = ledger.lock().unwrap();
    let noted = ledger.entry(key.to_owned()).or_default();
    noted.last = noted.last.max(count);
    noted.steps += 1;
}

struct Writer {
    process: Running,
    /// Ends when all that the process ever said was noted.
    listener: JoinHandle<()>,
}

impl Writer {
    fn start(place: &Place, ledger: &Ledger, n: usize) -> Self {
        let mut process = Running::start(&["run", &place.url(), &format!("site/{n}"), SHARED]);
        let (lines, ledger) = (process.lines(), Arc::clone(ledger));
        let listen = move |line: String| {
            // The kill may have cut the last line.
            if let Some((key, count)) = line.split_once(' ')
                && let Ok(count) = count.parse()
            {
                note(&ledger, key, count);
            }
        };
        Self { process, listener: thread::spawn(move || lines.for_each(listen)) }
    }

    fn kill(mut self) {
        self.process.kill();
        self.listener.join().unwrap();
    }
}

struct Campaign {
    place: Place,
    ledger: Ledger,
    random: u64,
    found: Found,
}

impl Campaign {
    fn new(kind: Kind) -> Self {
        Self { place: Place::new(kind), ledger: Ledger::default(), random: 7, found: Found::default() }
    }

    async fn run(mut self, kills: u64) -> Found {
        let start = |n| Writer::start(&self.place, &self.ledger, n);
        let mut writers: Vec<_> = (0..PROCESSES).map(start).collect();
        let (begun, mut progress) = (Instant::now(), kills / 10);
        while self.found.kills < kills {
            thread::sleep(self.moment());
            // Now and then all of them, one after the other: so that the last ones see what the first left behind.
            let one = self.draw(PROCESSES);
            let victims = if self.draw(10) == 0 { 0..PROCESSES } else { one..one + 1 };
            for writer in writers.drain(victims.clone()) {
                writer.kill();
                self.found.kills += 1;
            }
            self.check(victims.clone()).await;
            for n in victims {
                writers.insert(n, Writer::start(&self.place, &self.ledger, n));
            }
            if self.found.kills >= progress {
                let (name, now) = (self.place.kind.name(), self.found.kills);
                println!("{name}: {now} of {kills} kills in {} s", begun.elapsed().as_secs());
                progress += kills / 10;
            }
        }
        writers.into_iter().for_each(Writer::kill);
        self.found.kills += PROCESSES as u64;
        self.check(0..PROCESSES).await;
        self.check_nothing_else().await;
        self.found.acknowledged = self.ledger.lock().unwrap().values().map(|noted| noted.steps).sum();
        self.found
    }

    /// From no time at all, so that a process is killed while it starts, to that of some dozens of writes.
    fn moment(&mut self) -> Duration {
        let longest = [2_000, 10_000, 60_000][self.draw(3)];
        Duration::from_micros(self.draw(longest) as u64)
    }

    /// Below that number, and the same at every run.
    fn draw(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % below
    }

    async fn open(&self) -> Arc<dyn TokenStore> {
        sealing::as_asked(open_store(&self.place.url()).await.expect("it opens by itself"))
    }

    /// Comes after the killed ones: opens the store, finds all that was acknowledged, and writes where they wrote.
    async fn check(&mut self, killed: Range<usize>) {
        let store = self.open().await;
        let noted = self.ledger.lock().unwrap().clone();
        for (name, noted) in noted {
            match counter::read(&*store, &StoreKey::parse(&name).unwrap()).await {
                Ok(found) if found >= noted.last => {}
                Ok(found) => {
                    println!("{name}: {} were acknowledged, {found} are there", noted.last);
                    self.found.lost += 1;
                }
                Err(e) => {
                    println!("{name}: {e}");
                    self.found.torn += 1;
                }
            }
        }
        // Within the usual 5 s: a lock that was left behind would not be free by then.
        let own = killed.flat_map(|n| (0..3).map(move |own| format!("site/{n}/{own}")));
        for name in own.chain([SHARED.to_owned()]) {
            let step = counter::step(&*store, &StoreKey::parse(&name).unwrap(), &mut None).await;
            note(&self.ledger, &name, step.expect("no lock is left behind"));
        }
    }

    /// Once nobody writes any more: nothing that nobody wrote, and no file that nobody needs.
    async fn check_nothing_else(&self) {
        let store = self.open().await;
        let noted = self.ledger.lock().unwrap().clone();
        for (name, noted) in noted {
            let found = counter::read(&*store, &StoreKey::parse(&name).unwrap()).await.unwrap();
            // Of each life one step may have been taken and not been heard of.
            let lives = self.found.kills;
            assert!(found <= noted.steps + lives, "{name}: {found} steps, of which {} were heard of", noted.steps);
        }
        drop(store);
        match self.place.kind {
            Kind::File => {
                let known = |name: &str| {
                    ["lock", "turn"].contains(&name)
                        || name.starts_with("v-") && (name.ends_with(".json") || name.ends_with(".new"))
                };
                for shard in fs::read_dir(self.place.path()).unwrap().map(|shard| shard.unwrap().path()) {
                    for file in fs::read_dir(shard).into_iter().flatten() {
                        let name = file.unwrap().file_name().into_string().unwrap();
                        assert!(known(&name), "{name}");
                    }
                }
            }
            Kind::Sqlite => {
                let db = rusqlite::Connection::open(self.place.path()).unwrap();
                let checked: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                assert_eq!(checked, "ok");
            }
        }
    }
}
