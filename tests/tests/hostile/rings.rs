//! Rings of keys, and what they are to open.

use wix_visitor_core::{KeyName, KeyRing, OpenError, SealedStore, SealingKey, StoreKey, TokenStore};
use wix_visitor_memory::MemoryStore;
use wix_visitor_testkit::ledger::note_secret;

use crate::{COUNTS, MIB, is_refused, texts};

#[test]
fn a_key_a_ring_and_a_name_of_any_text_are_refused_and_not_repeated() {
    for text in texts() {
        is_refused(&SealingKey::from_text(&text).map(drop).unwrap_err(), &text);
        is_refused(&KeyRing::from_text(&text).map(drop).unwrap_err(), &text);
        is_refused(&KeyRing::from_text(&format!("# {text}")).map(drop).unwrap_err(), &text);
        is_refused(&KeyName::parse(&text).map(drop).unwrap_err(), &text);
    }
}

#[test]
fn a_ring_holds_a_hundred_keys_and_no_more() {
    let text = |keys: usize| {
        let keys = (0..keys).map(|_| SealingKey::generate().unwrap().to_text());
        keys.inspect(|key| note_secret(key.expose())).map(|key| format!("{}\n", key.expose())).collect::<String>()
    };
    assert_eq!(KeyRing::from_text(&text(100)).unwrap().names().count(), 100);
    is_refused(&KeyRing::from_text(&text(101)).map(drop).unwrap_err(), "");
}

#[test]
fn bytes_of_any_kind_are_damaged_or_of_an_unknown_key() {
    let ring = KeyRing::new(SealingKey::generate().unwrap());
    let sealed = ring.seal(b"purpose", b"plain");
    let mut whole = [vec![0; MIB], vec![1; MIB], vec![0xff; MIB], b"{".repeat(MIB)].to_vec();
    whole.extend((0..sealed.len()).map(|length| sealed[..length].to_vec()));
    whole.push([&sealed[..], &[0]].concat());
    for bytes in whole {
        match ring.open(b"purpose", &bytes).unwrap_err() {
            OpenError::Damaged => {}
            unknown => assert_ne!(KeyRing::sealed_by(&bytes), ring.names().next(), "{unknown}"),
        }
    }
    assert!(ring.open(&vec![0; MIB], &sealed).is_err());
    for plain in [vec![], vec![0; MIB / 8]] {
        assert_eq!(*ring.open(b"", &ring.seal(b"", &plain)).unwrap().0, plain);
    }
}

#[tokio::test]
async fn room_for_any_number_of_bytes_is_asked_for_in_front_of_a_sealed_store_too() {
    let store = SealedStore::new(MemoryStore::new(), KeyRing::new(SealingKey::generate().unwrap()));
    let key = StoreKey::parse("site/0").unwrap();
    for bytes in COUNTS {
        for answer in [store.reserve(&key, bytes).await, store.health(&key, bytes).await] {
            answer.unwrap();
        }
    }
    assert_eq!(store.load(&key).await.unwrap(), None);
}
