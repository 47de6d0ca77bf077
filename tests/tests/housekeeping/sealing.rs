//! Records that are sealed: opened for whom they were sealed, by a key of the ring, and never taken for none.

use std::sync::Arc;

use wix_visitor_core::housekeeping::Housekeeper;
use wix_visitor_core::{
    ErrorKind, Etag, Exchange, KeyRing, PlainRecords, Policy, Role, SealedStore, SealingKey, StoreErrorKind, StoreKey,
    Stored, TokenStore,
};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::Rotation;
use wix_visitor_testkit::ledger::note_secret;
use wix_visitor_tests::instance::{Instance, hours};
use wix_visitor_tests::sealing::is_the_suites_own;

use crate::{all_keys, only_key};

fn key() -> SealingKey {
    let key = SealingKey::generate().unwrap();
    note_secret(key.to_text().expose());
    key
}

fn ring(keys: &[&SealingKey]) -> KeyRing {
    let (first, others) = keys.split_first().unwrap();
    others.iter().fold(KeyRing::new((*first).clone()), |ring, key| ring.also((*key).clone()))
}

/// Instances of one application on one store, each of which may have a ring of its own.
struct Fleet {
    store: MemoryStore,
    first: Instance,
}

impl Fleet {
    fn new() -> Self {
        is_the_suites_own();
        let store = MemoryStore::new();
        let first = Instance::with_store(store.clone(), Rotation::Strict, Policy::default());
        Self { store, first }
    }

    fn with(&self, ring: KeyRing, plain: PlainRecords) -> Instance {
        self.first.another_on(SealedStore::new(self.store.clone(), ring).plain_records(plain))
    }

    async fn only_key(&self) -> StoreKey {
        only_key(&self.store).await
    }
}

/// A call fails for what is wrong with the record, says so, and neither asks the endpoint nor changes anything.
async fn is_refused(fleet: &Fleet, instance: &Instance, kind: StoreErrorKind, says: &str) {
    let (grants, before) = (instance.endpoint.grants(), fleet.store.load(&fleet.only_key().await).await.unwrap());
    let visitor = instance.visitor();
    for error in [visitor.authorization().await.err(), visitor.renew().await.err(), visitor.tokens().await.err()] {
        let error = error.expect("an error");
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert_eq!(error.store_error().unwrap().kind(), kind, "{error}");
        assert!(error.to_string().contains(says) && !error.is_transient(), "{error}");
    }
    assert_eq!(instance.endpoint.grants(), grants, "nothing was asked of the endpoint");
    assert_eq!(fleet.store.load(&fleet.only_key().await).await.unwrap(), before, "nothing was written");
}

#[tokio::test(start_paused = true)]
async fn a_store_in_front_of_which_records_are_sealed_holds_nothing_that_can_be_read() {
    let (fleet, one) = (Fleet::new(), key());
    let instance = fleet.with(ring(&[&one]), PlainRecords::Refused);
    instance.who().await.unwrap();
    let tokens = instance.visitor().tokens().await.unwrap();
    let stored = fleet.store.load(&fleet.only_key().await).await.unwrap().unwrap();
    assert_eq!(KeyRing::sealed_by(&stored.bytes), Some(one.name()));
    let secret = tokens.refresh.unwrap().value;
    assert!(!stored.bytes.windows(secret.expose().len()).any(|window| window == secret.expose().as_bytes()));
    assert!(!stored.bytes.windows(6).any(|window| window == b"tokens"));
}

#[tokio::test(start_paused = true)]
async fn without_its_key_a_visitor_is_out_of_reach_and_never_replaced() {
    let (fleet, right, wrong) = (Fleet::new(), key(), key());
    let instance = fleet.with(ring(&[&right]), PlainRecords::Refused);
    let identity = instance.who().await.unwrap();

    let unknown = format!("sealed by the key {}", right.name());
    let with_wrong = fleet.with(ring(&[&wrong]), PlainRecords::Refused);
    is_refused(&fleet, &with_wrong, StoreErrorKind::Misconfigured, &unknown).await;
    let removed_too_early = fleet.with(ring(&[&wrong]), PlainRecords::Read);
    is_refused(&fleet, &removed_too_early, StoreErrorKind::Misconfigured, &unknown).await;
    let without_any = fleet.first.another_on(fleet.store.clone());
    is_refused(&fleet, &without_any, StoreErrorKind::Misconfigured, "no ring of keys was given").await;
    // Not even what an application does on purpose undoes what it cannot read.
    let (_, tokens) = with_wrong.sign_in(Role::Member);
    for locked_out in [&with_wrong, &without_any] {
        assert_eq!(locked_out.visitor().set_tokens(tokens.clone()).await.unwrap_err().kind(), ErrorKind::Store);
        assert_eq!(locked_out.visitor().forget().await.unwrap_err().kind(), ErrorKind::Store);
    }

    let back = fleet.with(ring(&[&wrong, &right]), PlainRecords::Refused);
    assert_eq!(back.who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_plain_record_is_refused_where_all_must_be_sealed_and_sealed_at_the_next_write_where_it_may_be_read() {
    let (fleet, one) = (Fleet::new(), key());
    let identity = fleet.first.who().await.unwrap();
    let strict = fleet.with(ring(&[&one]), PlainRecords::Refused);
    is_refused(&fleet, &strict, StoreErrorKind::Misconfigured, "not sealed").await;

    let lenient = fleet.with(ring(&[&one]), PlainRecords::Read);
    assert_eq!(lenient.who().await.unwrap(), identity);
    lenient.visitor().renew().await.unwrap();
    let stored = fleet.store.load(&fleet.only_key().await).await.unwrap().unwrap();
    assert_eq!(KeyRing::sealed_by(&stored.bytes), Some(one.name()));
    assert_eq!(fleet.with(ring(&[&one]), PlainRecords::Refused).who().await.unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_moved_to_another_visitor_or_given_another_etag_is_known_to_be() {
    let (fleet, one) = (Fleet::new(), key());
    let instance = fleet.with(ring(&[&one]), PlainRecords::Refused);
    instance.who().await.unwrap();
    let key = fleet.only_key().await;
    let stored = fleet.store.load(&key).await.unwrap().unwrap();

    // Under another version's etag, in the same place.
    let renamed = Stored { etag: Etag::from_bits(7), bytes: stored.bytes.clone() };
    let swapped = fleet.store.compare_exchange(&key, Some(&stored.etag), &renamed, hours(9)).await.unwrap();
    assert_eq!(swapped, Exchange::Swapped);
    let another = fleet.with(ring(&[&one]), PlainRecords::Refused);
    is_refused(&fleet, &another, StoreErrorKind::Corrupt, "moved here from elsewhere").await;

    // Under another visitor's key, with its own etag.
    let other = Fleet::new();
    other.store.compare_exchange(&key_like(&key), None, &stored, hours(9)).await.unwrap();
    let opened = SealedStore::new(other.store.clone(), ring(&[&one]));
    let error = opened.load(&key_like(&key)).await.unwrap_err();
    assert_eq!((error.kind(), error.standing()), (StoreErrorKind::Corrupt, Some(stored.etag)));

    // To begin anew is the application's to say, as with any record that is damaged.
    another.visitor().forget().await.unwrap();
    another.who().await.unwrap();
}

fn key_like(key: &StoreKey) -> StoreKey {
    let (rest, last) = key.as_str().split_at(key.as_str().len() - 1);
    StoreKey::parse(&format!("{rest}{}", if last == "0" { '1' } else { '0' })).unwrap()
}

/// Two versions of a deployment serve the same visitors, each instance in turn; everybody renews all the time.
async fn both_serve(identity: u64, old: &Instance, new: &Instance) {
    for round in 0..4 {
        let (one, other) = if round % 2 == 0 { (old, new) } else { (new, old) };
        one.expire().await;
        assert_eq!(one.who().await.unwrap(), identity);
        assert_eq!(other.who().await.unwrap(), identity);
        other.visitor().renew().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn sealing_begins_and_its_key_changes_under_a_rolling_deployment_without_an_error() {
    let (fleet, old, new) = (Fleet::new(), key(), key());
    let identity = fleet.first.who().await.unwrap();
    // Each version of the deployment, as it follows on the one before.
    let versions = [
        fleet.first.another_on(fleet.store.clone()),
        fleet.with(ring(&[&old]), PlainRecords::Written),
        fleet.with(ring(&[&old]), PlainRecords::Read),
        fleet.with(ring(&[&old]), PlainRecords::Refused),
        fleet.with(ring(&[&old, &new]), PlainRecords::Refused),
        fleet.with(ring(&[&new, &old]), PlainRecords::Refused),
        fleet.with(ring(&[&new]), PlainRecords::Refused),
    ];
    for pair in versions.windows(2) {
        both_serve(identity, &pair[0], &pair[1]).await;
        // What nobody wrote meanwhile is sealed anew before the next step.
        pair[1].expire().await;
        pair[1].who().await.unwrap();
    }
    assert_eq!(fleet.first.endpoint.mints(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_sealed_anew_by_the_primary_key_while_instances_write() {
    let (store, old, new) = (MemoryStore::new(), key(), key());
    let sealed = |ring: KeyRing| SealedStore::new(store.clone(), ring);
    is_the_suites_own();
    let first = Instance::with_store(sealed(ring(&[&old])), Rotation::Strict, Policy::default());
    let mut identities = Vec::new();
    for n in 0..50 {
        let visitor = first.visitors.visitor(format!("visitor {n}"));
        identities.push(first.identity(&visitor.authorization().await.unwrap()));
    }
    let plain = first.another_on(store.clone());
    plain.visitors.visitor("plain").authorization().await.unwrap();

    let promoted = first.another_on(sealed(ring(&[&new, &old])));
    let writing = {
        let promoted = promoted.clone();
        tokio::spawn(async move {
            for n in (0..50).step_by(2) {
                promoted.visitors.visitor(format!("visitor {n}")).renew().await.unwrap();
            }
        })
    };
    let refused = Housekeeper::new(store.clone()).sealed(ring(&[&new, &old]), PlainRecords::Refused);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let done = refused.on_progress(move |at| tell.lock().unwrap().push(at)).reseal().await.unwrap();
    writing.await.unwrap();
    assert_eq!(done.resealed + done.already, 50);
    assert_eq!(done.failed.count, 1, "the plain one is not sealed behind anybody's back");
    assert_eq!(told.lock().unwrap().last().map(|at| (at.done, at.total)), Some((51, 51)));

    let lenient = Housekeeper::new(store.clone()).sealed(ring(&[&new, &old]), PlainRecords::Read);
    let again = lenient.reseal().await.unwrap();
    assert_eq!((again.resealed, again.already, again.failed.count), (1, 50, 0));
    let removed = first.another_on(sealed(ring(&[&new])));
    for (n, identity) in identities.iter().enumerate() {
        let visitor = removed.visitors.visitor(format!("visitor {n}"));
        assert_eq!(removed.identity(&visitor.authorization().await.unwrap()), *identity);
    }
    assert_eq!(first.endpoint.mints(), 51);
}

#[tokio::test]
async fn a_record_that_names_the_primary_key_and_is_another_visitors_is_not_counted_as_sealed() {
    let (store, only) = (MemoryStore::new(), key());
    is_the_suites_own();
    let sealed = SealedStore::new(store.clone(), ring(&[&only]));
    let first = Instance::with_store(sealed, Rotation::Strict, Policy::default());
    for name in ["one", "another"] {
        first.visitors.visitor(name).authorization().await.unwrap();
    }
    let keys = all_keys(&store).await;
    let theirs = store.load(&keys[1]).await.unwrap().unwrap();
    let ours = store.load(&keys[0]).await.unwrap().unwrap();
    let moved = Stored { etag: Etag::from_bits(7), bytes: theirs.bytes };
    store.compare_exchange(&keys[0], Some(&ours.etag), &moved, hours(1)).await.unwrap();
    let done = Housekeeper::new(store).sealed(ring(&[&only]), PlainRecords::Refused).reseal().await.unwrap();
    assert_eq!((done.resealed, done.already, done.failed.count), (0, 1, 1));
}
