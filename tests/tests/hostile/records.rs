//! What stands in a store, put there by whomever.

use std::time::Duration;

use wix_visitor_core::housekeeping::Housekeeper;
use wix_visitor_core::record::{Doubt, Record, Standing, Trouble, decode, encode};
use wix_visitor_core::{ErrorKind, Etag, Exchange, StoreErrorKind, StoreKey, Stored, Timestamp, TokenStore};
use wix_visitor_testkit::Rotation;
use wix_visitor_tests::instance::{Instance, client_id, hours};

use crate::{MIB, MOMENTS, is_not_repeated};

fn key(site: &Instance) -> StoreKey {
    StoreKey::new(site.visitors.issuer(), &client_id(), &wix_visitor_core::Secret::new(&*site.key))
}

/// Puts this in the place of what stands.
async fn put(site: &Instance, bytes: Vec<u8>) -> Stored {
    let key = key(site);
    let standing = site.store.load(&key).await.unwrap().map(|stored| stored.etag);
    let new = Stored { etag: Etag::from_bits(0x7075_7421), bytes };
    let answer = site.store.compare_exchange(&key, standing.as_ref(), &new, Duration::MAX).await.unwrap();
    assert_eq!(answer, Exchange::Swapped);
    new
}

#[tokio::test(start_paused = true)]
async fn a_record_of_anything_is_an_error_and_stays_until_the_application_decides() {
    const SECRET: &str = "a-piece-of-a-refresh-token";
    wix_visitor_testkit::ledger::note_secret(SECRET);
    let contents: [Vec<u8>; 12] = [
        vec![],
        vec![0],
        vec![0xff; Stored::MAX_BYTES],
        b"null".to_vec(),
        b"{}".to_vec(),
        SECRET.as_bytes().to_vec(),
        format!("{{\"checksum\":\"0\",\"record\":{{\"{SECRET}\":1}}}}").into_bytes(),
        b"[".repeat(Stored::MAX_BYTES),
        b"{\"record\":".repeat(Stored::MAX_BYTES / 10),
        b"\xef\xbb\xbf{}".to_vec(),
        format!("\"{}\"", "\u{202e}".repeat(1000)).into_bytes(),
        b" ".repeat(Stored::MAX_BYTES),
    ];
    for bytes in contents {
        let site = Instance::new(Rotation::Same);
        let stored = put(&site, bytes).await;
        let visitor = site.visitor();
        let answers = [
            visitor.authorization().await.map(drop),
            visitor.renew().await.map(drop),
            visitor.tokens().await.map(drop),
            visitor.status().await.map(drop),
            visitor.retired().await.map(drop),
        ];
        for error in answers.map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert_eq!(error.store_error().unwrap().kind(), StoreErrorKind::Corrupt, "{error}");
            is_not_repeated(&error, SECRET);
        }
        Housekeeper::new(site.store.clone()).inspect(&key(&site)).await.unwrap_err();
        assert_eq!(site.store.load(&key(&site)).await.unwrap().unwrap(), stored);
        assert_eq!(site.endpoint.grants(), 0);
        visitor.forget().await.unwrap();
        site.who().await.unwrap();
    }
}

/// Every number of a record at its end.
fn at_its_end(mut record: Record, millis: i64) -> Record {
    let moment = Timestamp::from_millis(millis);
    record.epoch = u64::MAX;
    if let Standing::Held(chain) = &mut record.standing {
        chain.generation = u64::MAX;
        chain.began = moment;
        chain.lifetime = Duration::from_millis(u64::MAX);
        chain.doubt = Some(Doubt { count: u32::MAX, since: moment, last: moment });
        if let Some(access) = &mut chain.tokens.access {
            access.expires_at = moment;
        }
    }
    record
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_numbers_are_at_their_ends_is_the_same_visitor() {
    for (millis, rotation) in MOMENTS.into_iter().flat_map(|at| [(at, Rotation::Same), (at, Rotation::Single)]) {
        let site = Instance::new(rotation);
        let identity = site.who().await.unwrap();
        let standing = site.store.load(&key(&site)).await.unwrap().unwrap();
        put(&site, encode(&at_its_end(decode(&standing.bytes).unwrap(), millis))).await;
        for _ in 0..3 {
            let next = site.another();
            assert_eq!(next.who().await.unwrap(), identity, "{millis}");
            next.visitor().renew().await.unwrap();
            next.visitor().status().await.unwrap();
            site.expire().await;
        }
        assert_eq!(site.endpoint.mints(), 1, "{millis}");
        let next = site.another();
        next.visitor().forget().await.unwrap();
        assert_ne!(site.another().who().await.unwrap(), identity, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_any_length_in_a_record_is_an_error_that_says_for_how_long() {
    for (millis, pause) in MOMENTS.into_iter().flat_map(|at| [0, 1, u64::MAX].map(|pause| (at, pause))) {
        let site = Instance::new(Rotation::Same);
        let identity = site.who().await.unwrap();
        let standing = site.store.load(&key(&site)).await.unwrap().unwrap();
        let mut record = decode(&standing.bytes).unwrap();
        record.trouble = Some(Trouble {
            failures: u32::MAX,
            pause: Duration::from_millis(pause),
            until: Timestamp::from_millis(millis),
            kind: ErrorKind::Unavailable,
            message: "planned".to_owned(),
        });
        put(&site, encode(&record)).await;
        tokio::time::sleep(hours(5)).await;
        let next = site.another();
        match next.who().await {
            Ok(who) => assert_eq!(who, identity),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.retry_in().is_some(), "{error}");
            }
        }
        assert_eq!(site.endpoint.mints(), 1, "{millis}, {pause}");
    }
}

#[test]
fn bytes_of_any_length_are_decoded_in_time() {
    for bytes in [b"[".repeat(8 * MIB), b"\"".repeat(8 * MIB), vec![0xff; 8 * MIB], b"{\"checksum\":".repeat(MIB)] {
        assert_eq!(decode(&bytes).unwrap_err().kind(), StoreErrorKind::Corrupt);
    }
}
