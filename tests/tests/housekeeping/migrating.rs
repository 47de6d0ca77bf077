//! Moving to another store while instances use both: nobody is set back, nobody is left behind.

use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::housekeeping::Housekeeper;
use wix_visitor_core::{KeyRing, PlainRecords, Policy, Role, SealedStore, StoreErrorKind, StoreKey, TokenStore};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::{FaultyStore, Rotation, StoreFault, StoreOperation};
use wix_visitor_tests::instance::Instance;
use wix_visitor_tests::sealing::{RING, is_the_suites_own, sealed};

use crate::only_key;

/// An application on one store, and the same on the store it moves to.
struct Move {
    from: MemoryStore,
    to: MemoryStore,
    before: Instance,
    after: Instance,
}

impl Move {
    fn new(rotation: Rotation) -> Self {
        is_the_suites_own();
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        let before = Instance::with_store(SealedStore::new(from.clone(), ring()), rotation, Policy::default());
        let after = before.another_on(to.clone());
        Self { from, to, before, after }
    }

    fn housekeeper(&self) -> Housekeeper {
        Housekeeper::new(self.from.clone()).sealed(ring(), PlainRecords::Refused)
    }

    async fn migrate(&self) -> wix_visitor_core::housekeeping::Migrated {
        self.housekeeper().migrate(Arc::new(self.to.clone())).await.unwrap()
    }
}

fn ring() -> KeyRing {
    KeyRing::from_text(RING).unwrap()
}

#[tokio::test]
async fn a_visitor_is_itself_in_the_other_store_and_a_second_run_finds_nothing_to_do() {
    let moving = Move::new(Rotation::Strict);
    let identity = moving.before.who().await.unwrap();
    let first = moving.migrate().await;
    assert_eq!((first.copied, first.updated, first.there, first.is_settled()), (1, 0, 0, false));
    let second = moving.migrate().await;
    assert_eq!((second.copied, second.updated, second.there, second.is_settled()), (0, 0, 1, true));
    assert_eq!(moving.after.who().await.unwrap(), identity);
    assert_eq!(moving.before.endpoint.grants(), 1, "nothing was asked of the endpoint");
}

#[tokio::test(start_paused = true)]
async fn what_came_late_is_brought_over_and_what_is_newer_there_stays() {
    let moving = Move::new(Rotation::Strict);
    let identity = moving.before.who().await.unwrap();
    moving.migrate().await;
    moving.before.visitor().renew().await.unwrap();
    let late = moving.migrate().await;
    assert_eq!((late.copied, late.updated), (0, 1));
    assert_eq!(moving.after.who().await.unwrap(), identity);

    moving.after.visitor().renew().await.unwrap();
    let newest = moving.after.refresh_token().await;
    for _ in 0..2 {
        assert!(moving.migrate().await.is_settled(), "the other store's is the newer one");
    }
    let again = moving.before.another_on(moving.to.clone());
    assert_eq!(again.refresh_token().await, newest);
    again.expire().await;
    assert_eq!(again.who().await.unwrap(), identity);
    assert_eq!(moving.before.endpoint.mints(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_renewed_apart_neither_token_is_thrown_away() {
    // Both stores were in use for a while: each has a generation that the other lacks.
    let moving = Move::new(Rotation::New);
    let identity = moving.before.who().await.unwrap();
    moving.migrate().await;
    moving.after.who().await.unwrap();
    moving.before.visitor().renew().await.unwrap();
    moving.before.visitor().renew().await.unwrap();
    moving.after.visitor().renew().await.unwrap();
    let (ahead, behind) = (moving.before.refresh_token().await, moving.after.refresh_token().await);
    assert_eq!(moving.migrate().await.updated, 1);
    let merged = moving.before.another_on(moving.to.clone());
    assert_eq!(merged.refresh_token().await, ahead);
    let stored = moving.to.load(&only_key(&moving.to).await).await.unwrap().unwrap();
    let record = wix_visitor_core::record::decode(&stored.bytes).unwrap();
    assert!(record.chain().unwrap().knows(&behind) && ahead != behind, "the other one is kept aside");
    assert_eq!(merged.who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_and_a_forget_are_brought_over_and_never_undone() {
    let moving = Move::new(Rotation::Same);
    moving.before.who().await.unwrap();
    moving.migrate().await;
    let (member, tokens) = moving.before.sign_in(Role::Member);
    moving.before.visitor().set_tokens(tokens).await.unwrap();
    assert_eq!(moving.migrate().await.updated, 1);
    assert_eq!(moving.after.who().await.unwrap(), member);
    moving.after.visitor().forget().await.unwrap();
    assert!(moving.migrate().await.is_settled(), "forgotten stays forgotten");
    assert!(moving.before.another_on(moving.to.clone()).visitor().status().await.unwrap().forgotten);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_at_any_moment_and_begun_again_with_writers_on_both_stores_nobody_is_lost() {
    let moving = Move::new(Rotation::New);
    let (from, to) = (FaultyStore::new(sealed(moving.from.clone())), FaultyStore::new(moving.to.clone()));
    for store in [&from, &to] {
        store.decide(|operation, number| match number % 7 {
            0 if operation == StoreOperation::Swap => Some(StoreFault::LoseAnswer),
            1 => Some(StoreFault::Fail(StoreErrorKind::Unavailable)),
            2 => Some(StoreFault::Delay(Duration::from_millis(1))),
            _ => None,
        });
    }
    let visitors = |n: usize| format!("visitor {n}");
    let mut identities = Vec::new();
    for n in 0..60 {
        let visitor = moving.before.visitors.visitor(visitors(n));
        identities.push(moving.before.identity(&visitor.authorization().await.unwrap()));
    }
    let mut writers = Vec::new();
    for n in 0..60 {
        let (before, after) = (moving.before.clone(), moving.after.clone());
        writers.push(tokio::spawn(async move {
            for turn in 0..6 {
                // Those who have been brought over go on there; a visitor that is not there yet is not asked for there.
                let there = after.visitors.visitor(visitors(n));
                let there = (turn > 2 && there.status().await.unwrap().exists).then_some(there);
                let visitor = there.unwrap_or_else(|| before.visitors.visitor(visitors(n)));
                visitor.renew().await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }));
    }
    let housekeeper = Housekeeper::new(from.clone()).in_flight(8);
    for killed_after in 0..40_u64 {
        let (housekeeper, to) = (housekeeper.clone(), to.clone());
        let run = tokio::spawn(async move { housekeeper.migrate(Arc::new(to)).await });
        tokio::time::sleep(Duration::from_millis(killed_after)).await;
        run.abort();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    from.heal();
    to.heal();
    let done = housekeeper.migrate(Arc::new(to.clone())).await.unwrap();
    assert_eq!(done.failed.count, 0);
    assert!(housekeeper.migrate(Arc::new(to)).await.unwrap().is_settled());
    let after = moving.before.another_on(moving.to.clone());
    for (n, identity) in identities.iter().enumerate() {
        let visitor = after.visitors.visitor(visitors(n));
        visitor.renew().await.unwrap();
        assert_eq!(after.identity(&visitor.authorization().await.unwrap()), *identity, "visitor {n}");
    }
    assert_eq!(moving.before.endpoint.mints(), 60);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_of_and_holds_up_nobody() {
    let moving = Move::new(Rotation::Same);
    moving.before.who().await.unwrap();
    let plain = moving.before.another_on(moving.from.clone());
    plain.visitors.visitor("plain").authorization().await.unwrap();
    let done = moving.migrate().await;
    assert_eq!((done.copied, done.failed.count), (1, 1));
    let (_, error) = &done.failed.first[0];
    assert!(error.to_string().contains("not sealed"), "{error}");
    assert!(!done.is_settled());
}

#[tokio::test(start_paused = true)]
async fn inspecting_shows_all_of_a_record_but_its_secrets() {
    use wix_visitor_core::housekeeping::Holding;

    let moving = Move::new(Rotation::New);
    moving.before.who().await.unwrap();
    moving.before.visitor().renew().await.unwrap();
    let key = only_key(&moving.from).await;
    let seen = moving.housekeeper().inspect(&key).await.unwrap().unwrap();
    let shown = format!("{seen:?}");
    let tokens = moving.before.visitor().tokens().await.unwrap();
    for secret in [tokens.access.unwrap().value, tokens.refresh.unwrap().value] {
        assert!(!shown.contains(secret.expose()));
    }
    let Holding::Tokens { generation, role, access, .. } = seen.holding else { panic!("{shown}") };
    assert_eq!((generation, role), (1, Role::Visitor));
    assert!(access.is_some() && seen.sealed_by.is_some() && seen.claim.is_none(), "{shown}");

    moving.before.visitor().forget().await.unwrap();
    let seen = moving.housekeeper().inspect(&key).await.unwrap().unwrap();
    assert!(matches!(seen.holding, Holding::Forgotten { .. }) && seen.epoch == 1);
    let nobody = StoreKey::parse("site/nobody").unwrap();
    assert!(moving.housekeeper().inspect(&nobody).await.unwrap().is_none());
}
