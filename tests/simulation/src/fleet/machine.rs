//! One instance's surroundings: its clocks, its chance, and whether it lives at all.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use wix_visitor_core::{Clock, Entropy, Timestamp, async_trait};

use crate::plan::Millis;
use crate::plan::chance::mix;

/// What the true wall clock shows at first: 2026-01-01.
pub const BEGIN: i64 = 1_767_225_600_000;

/// One life of one instance, from its start to its end. Everything that an instance waits for passes through here: a dead one
/// waits for ever, and one that stands still until it goes on.
#[derive(Debug)]
pub struct Machine {
    /// Which instance.
    pub node: usize,
    /// How often it has been started.
    pub life: u64,
    seed: u64,
    start: Instant,
    began: Millis,
    leaving: AtomicBool,
    dead: AtomicBool,
    death: Notify,
    still_until: AtomicU64,
    /// How far the wall clock is off.
    skew: AtomicI64,
    /// For how long the monotonic clock stood still, before the last time it did.
    slept: AtomicU64,
    /// From when until when it did, last.
    sleep_from: AtomicU64,
    sleep_until: AtomicU64,
    drawn: AtomicU64,
}

impl Machine {
    /// An instance that starts now; `start` is when the simulation did.
    pub fn new(seed: u64, start: Instant, node: usize, life: u64, skew: i64) -> Self {
        let machine = Self {
            node,
            life,
            seed,
            start,
            began: 0,
            leaving: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            death: Notify::new(),
            still_until: AtomicU64::new(0),
            skew: AtomicI64::new(skew),
            slept: AtomicU64::new(0),
            sleep_from: AtomicU64::new(0),
            sleep_until: AtomicU64::new(0),
            drawn: AtomicU64::new(0),
        };
        Self { began: machine.real(), ..machine }
    }

    /// True time.
    fn real(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Marks it as one that is about to end.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether it is about to end, or has.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || self.is_dead()
    }

    /// Ends it.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.death.notify_waiters();
    }

    /// Returns once it has ended.
    pub async fn ended(&self) {
        let death = self.death.notified();
        if !self.is_dead() {
            death.await;
        }
    }

    /// Makes it stand still from now on for so long; asleep, its monotonic clock does too.
    pub fn freeze(&self, span: Millis, asleep: bool) {
        let now = self.real();
        self.still_until.fetch_max(now + span, Ordering::Relaxed);
        if asleep && self.sleep_until.load(Ordering::Relaxed) <= now {
            let (from, until) = (self.sleep_from.load(Ordering::Relaxed), self.sleep_until.load(Ordering::Relaxed));
            self.slept.fetch_add(until - from, Ordering::Relaxed);
            self.sleep_from.store(now, Ordering::Relaxed);
            self.sleep_until.store(now + span, Ordering::Relaxed);
        }
    }

    /// Sets its wall clock forward or back.
    pub fn jump(&self, by: i64) {
        self.skew.fetch_add(by, Ordering::Relaxed);
    }

    /// How far its wall clock is off.
    pub fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    /// Returns once it runs: never, if it has ended.
    pub async fn awake(&self) {
        loop {
            if self.is_dead() {
                pending::<()>().await;
            }
            let until = self.still_until.load(Ordering::Relaxed);
            if until <= self.real() {
                return;
            }
            sleep_until(self.start + Duration::from_millis(until)).await;
        }
    }

    /// The monotonic clock.
    fn up(&self) -> Millis {
        let (real, from) = (self.real(), self.sleep_from.load(Ordering::Relaxed));
        let sleeping = real.min(self.sleep_until.load(Ordering::Relaxed)).saturating_sub(from);
        real.saturating_sub(self.began).saturating_sub(self.slept.load(Ordering::Relaxed) + sleeping)
    }
}

#[async_trait]
impl Clock for Machine {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN + i64::try_from(self.real()).unwrap_or(i64::MAX / 2) + self.skew())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.up())
    }

    async fn sleep(&self, duration: Duration) {
        let target = self.up().saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4));
        loop {
            let left = target.saturating_sub(self.up());
            if left > 0 {
                tokio::time::sleep(Duration::from_millis(left)).await;
            }
            self.awake().await;
            if self.up() >= target {
                return;
            }
        }
    }
}

impl Entropy for Machine {
    fn draw(&self) -> u128 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let half =
            |which: u64| u128::from(mix(&[self.seed, u64::try_from(self.node).unwrap_or(0), self.life, count, which]));
        half(1) << 64 | half(2)
    }
}
