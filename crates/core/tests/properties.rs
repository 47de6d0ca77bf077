//! What holds for every record and every token JSON, not only for those that somebody thought of.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wix_visitor_core::protocol::reconcile::{Held, Reconciled, reconcile};
use wix_visitor_core::record::{
    Alternate, Chain, Doubt, Lineage, Nonce, Record, Spent, Standing, Trouble, Version, decode, encode,
};
use wix_visitor_core::{
    AccessToken, ErrorKind, Etag, Now, Policy, RefreshToken, Role, Secret, StoreErrorKind, Timestamp, Tokens,
};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

fn now() -> Now {
    Now { wall: NOW, monotonic: Duration::from_secs(100_000) }
}

fn held(record: Record, saved: bool) -> Held {
    Held { record, etag: saved.then(|| Etag::from_bits(1)), seen: now() }
}

/// What the store shows once a process that holds this has had its say.
fn settled(mine: &Held, store: Option<Record>) -> Option<Record> {
    match reconcile(mine, store.as_ref(), now(), &Policy::default()) {
        Reconciled::Adopt => store,
        Reconciled::Put { record, .. } | Reconciled::Join { record, .. } => Some(record),
    }
}

fn tokens(record: &Record) -> Vec<String> {
    let chain = record.chain();
    let main = chain.and_then(|chain| chain.tokens.refresh.as_ref()).map(|token| token.value.expose().to_owned());
    let aside = chain.map(|chain| chain.alternates.iter().map(|one| one.value.expose().to_owned()).collect::<Vec<_>>());
    main.into_iter().chain(aside.unwrap_or_default()).collect()
}

// Any record at all.

fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| if text.is_empty() { "x".to_owned() } else { text })
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::None), Just(Role::Visitor), Just(Role::Member)]
}

fn seconds() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000i64).prop_map(Timestamp::from_secs)
}

fn any_chain() -> impl Strategy<Value = Chain> {
    let access = option::of((text(), seconds()).prop_map(|(value, at)| AccessToken::new(value, at)));
    let refresh = option::of((text(), role()).prop_map(|(value, role)| RefreshToken::new(value, role)));
    let aside = vec((text(), any::<u64>()), 0..3).prop_map(|all| {
        all.into_iter().map(|(value, generation)| Alternate { value: Secret::new(value), generation }).collect()
    });
    let replaces = option::of((any::<u128>(), any::<u64>()))
        .prop_map(|one| one.map(|(lineage, generation)| Version { lineage: Lineage(lineage), generation }));
    let doubt = option::of((any::<u32>(), seconds(), seconds()))
        .prop_map(|one| one.map(|(count, since, last)| Doubt { count, since, last }));
    let spent = vec(text(), 0..40);
    let place = (any::<u128>(), any::<u64>(), any::<i64>(), any::<u64>(), any::<bool>());
    (place, access, refresh, aside, replaces, doubt, spent).prop_map(
        |(place, access, refresh, alternates, replaces, doubt, spent)| {
            let (lineage, generation, began, lifetime, refused) = place;
            let mut chain = Chain {
                lineage: Lineage(lineage),
                generation,
                replaces,
                began: Timestamp::from_millis(began),
                tokens: Tokens::new(access, refresh),
                lifetime: Duration::from_millis(lifetime),
                refused,
                alternates,
                spent: Spent::default(),
                doubt,
            };
            spent.into_iter().for_each(|token| chain.spend(&Secret::new(token)));
            chain
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    let standing = prop_oneof![
        Just(Standing::Empty),
        any::<u128>().prop_map(|lineage| Standing::Forgotten(Lineage(lineage))),
        any::<(u128, i64)>()
            .prop_map(|(lineage, since)| Standing::Retired(Lineage(lineage), Timestamp::from_millis(since))),
        any_chain().prop_map(Standing::Held),
    ];
    let kind =
        prop_oneof![Just(ErrorKind::Misconfigured), Just(ErrorKind::OutcomeUnknown), Just(ErrorKind::Unavailable)];
    let trouble = (any::<u32>(), any::<u64>(), any::<i64>(), kind, any::<String>()).prop_map(
        |(failures, pause, until, kind, message)| Trouble {
            failures,
            pause: Duration::from_millis(pause),
            until: Timestamp::from_millis(until),
            kind,
            message,
        },
    );
    (any::<u64>(), standing, option::of(any::<u128>().prop_map(Nonce)), option::of(trouble))
        .prop_map(|(epoch, standing, claim, trouble)| Record { epoch, standing, claim, trouble })
}

/// The same record out of few lineages, generations and tokens, so that two of them have much to do with one another.
fn related(mut record: Record) -> Record {
    let few = |text: &str| Secret::new(format!("token-{}", text.len() % 5));
    record.epoch %= 3;
    match &mut record.standing {
        Standing::Empty => {}
        Standing::Forgotten(lineage) | Standing::Retired(lineage, _) => lineage.0 %= 3,
        Standing::Held(chain) => {
            (chain.lineage.0, chain.generation) = (chain.lineage.0 % 3, chain.generation % 4);
            chain.began = NOW - Duration::from_millis(chain.lifetime.as_millis() as u64 % 7_200_000);
            if let Some(replaced) = &mut chain.replaces {
                (replaced.lineage.0, replaced.generation) = (replaced.lineage.0 % 3, replaced.generation % 4);
            }
            if let Some(main) = &mut chain.tokens.refresh {
                main.value = few(main.value.expose());
            }
            for one in &mut chain.alternates {
                (one.value, one.generation) = (few(one.value.expose()), one.generation % 4);
            }
        }
    }
    record
}

// Records as they come about: what the application did, one epoch after the other, and in each what was minted in its place.

/// One lineage's tokens after some renewals; minted so long ago, on a clock that may be ahead.
fn grown(lineage: u128, generation: u64, epoch: u64, replaces: Option<Version>, age: i64) -> Record {
    let refresh = RefreshToken::new(format!("{lineage}-{generation}"), Role::Visitor);
    let chain = Chain {
        lineage: Lineage(lineage),
        generation,
        replaces,
        began: Timestamp::from_millis(NOW.as_millis() - age),
        tokens: Tokens::new(Some(AccessToken::new(format!("access {lineage}-{generation}"), NOW)), Some(refresh)),
        lifetime: Duration::from_secs(14_400),
        refused: false,
        alternates: Vec::new(),
        spent: Spent::default(),
        doubt: None,
    };
    Record { epoch, standing: Standing::Held(chain), ..Record::default() }
}

/// What one process may hold: of this epoch, the application's tokens or tombstone, or what was minted in its place.
fn one_of(forgets: &[bool], ages: &[i64], epoch: usize, minted: bool, generation: u64, over: u64) -> Record {
    let age = ages.get(epoch).copied().unwrap_or_default();
    let forgot = forgets.get(epoch).copied().unwrap_or(false);
    let number = u64::try_from(epoch).unwrap_or_default();
    let lineage = u128::from(number) * 2 + 1;
    let replaced = Version { lineage: Lineage(lineage), generation: if forgot { 0 } else { over } };
    match (minted, forgot) {
        (true, _) => grown(lineage + 1, generation, number, Some(replaced), age),
        (false, true) => Record { epoch: number, standing: Standing::Forgotten(Lineage(lineage)), ..Record::default() },
        (false, false) => grown(lineage, generation, number, None, age),
    }
}

fn fleet() -> impl Strategy<Value = Vec<Held>> {
    // The design promises an order only while a mint is younger than an hour.
    let ages = vec(-3_599_999..3_600_000i64, 4);
    let processes = vec((0..4usize, any::<bool>(), 0..6u64, any::<bool>()), 1..7);
    (vec(any::<bool>(), 4), ages, 0..4u64, processes).prop_map(|(forgets, ages, over, processes)| {
        let hold =
            |(epoch, minted, generation, saved)| held(one_of(&forgets, &ages, epoch, minted, generation, over), saved);
        processes.into_iter().map(hold).collect()
    })
}

/// What stands there once all of these have had their say, one after the other.
fn ends(fleet: &[Held]) -> Option<Record> {
    fleet.iter().fold(None, |store, mine| settled(mine, store))
}

/// The same in another order.
fn shuffled(fleet: &[Held], mut seed: u64) -> Vec<Held> {
    let mut other = fleet.to_vec();
    for at in (1..other.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        other.swap(at, usize::try_from(seed >> 33).unwrap_or_default() % (at + 1));
    }
    other
}

/// Anything at all in the place of a record, under its own checksum.
fn signed(body: &str) -> Vec<u8> {
    let checksum: String = Sha256::digest(body).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!(r#"{{"checksum":"{checksum}","record":{body}}}"#).into_bytes()
}

/// Where in this JSON there is something to be replaced.
fn paths(value: &Value, at: String, all: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in inner {
        let at = format!("{at}/{name}");
        paths(value, at.clone(), all);
        all.push(at);
    }
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was(record in any_record()) {
        prop_assert_eq!(decode(&encode(&record)).unwrap(), record);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_damage_makes_the_decoder_panic_or_another_record(
        record in any_record(), at in any::<prop::sample::Index>(), with in vec(any::<u8>(), 0..4)
    ) {
        let mut bytes = encode(&record);
        let at = at.index(bytes.len());
        bytes.splice(at..(at + 1).min(bytes.len()), with);
        if let Ok(read) = decode(&bytes) {
            prop_assert_eq!(read, record);
        }
    }

    #[test]
    fn what_never_was_a_record_is_corrupt_though_its_checksum_is_right(body in odd(), text in any::<String>()) {
        for body in [body.to_string(), text] {
            prop_assert_eq!(decode(&signed(&body)).unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_record_with_anything_in_the_place_of_a_field_is_corrupt_or_another_record_that_comes_back_as_it_is(
        record in any_record(), at in any::<prop::sample::Index>(), with in option::of(odd())
    ) {
        let encoded: Value = serde_json::from_slice(&encode(&record)).unwrap();
        let mut body = encoded["record"].clone();
        let mut fields = Vec::new();
        paths(&body, String::new(), &mut fields);
        let field = &fields[at.index(fields.len())];
        let (parent, name) = field.rsplit_once('/').unwrap();
        match (body.pointer_mut(parent).unwrap(), with) {
            (Value::Object(fields), None) => drop(fields.remove(name)),
            (parent, with) => *parent.pointer_mut(&format!("/{name}")).unwrap() = with.unwrap_or_default(),
        }
        match decode(&signed(&body.to_string())) {
            Ok(read) => prop_assert_eq!(decode(&encode(&read)).unwrap(), read),
            Err(error) if field == "/format" && error.kind() == StoreErrorKind::Unsupported => {}
            Err(error) => prop_assert_eq!(error.kind(), StoreErrorKind::Corrupt),
        }
    }

    #[test]
    fn to_reconcile_twice_is_to_reconcile_once(
        mine in any_record().prop_map(related), store in option::of(any_record().prop_map(related)), saved in any::<bool>()
    ) {
        let mine = held(mine, saved);
        let once = settled(&mine, store);
        prop_assert_eq!(settled(&mine, once.clone()), once);
    }

    #[test]
    fn whoever_comes_first_the_same_record_wins(fleet in fleet(), order in any::<u64>()) {
        // What is kept aside may differ: who was overtaken after it was saved leaves nothing behind.
        let bare = |mut record: Record| {
            if let Standing::Held(chain) = &mut record.standing {
                chain.alternates.clear();
            }
            record
        };
        prop_assert_eq!(ends(&fleet).map(bare), ends(&shuffled(&fleet, order)).map(bare));
    }

    #[test]
    fn of_one_identity_that_nobody_has_saved_the_same_tokens_are_kept_aside_whoever_comes_first(
        generations in vec(0..6u64, 1..7), age in any::<i32>(), order in any::<u64>()
    ) {
        let hold = |generation| held(grown(1, generation, 0, None, age.into()), false);
        let fleet: Vec<_> = generations.into_iter().map(hold).collect();
        prop_assert_eq!(ends(&fleet), ends(&shuffled(&fleet, order)));
    }

    #[test]
    fn no_token_of_one_identity_gets_into_the_record_of_another(fleet in fleet()) {
        let mut store: Option<Record> = None;
        for mine in &fleet {
            store = settled(mine, store);
            if let Some(chain) = store.as_ref().and_then(Record::chain) {
                let own = format!("{}-", chain.lineage.0);
                let all = tokens(store.as_ref().unwrap());
                prop_assert!(all.iter().all(|token| token.starts_with(&own)), "{:?} in {}", all, own);
            }
        }
    }

    #[test]
    fn however_odd_the_json_the_refresh_token_is_kept(
        token in text(), shape in 0..4usize, odd in odd(), role in odd(), wrap in 0..4usize, nan in any::<bool>()
    ) {
        prop_assume!(!token.trim().is_empty()); // what is blank is no token
        let refresh = match shape {
            0 => json!(token),
            1 => json!({ "value": token }),
            2 => json!({ "value": token, "role": role }),
            _ => json!({ "role": "member", "value": token, "more": odd.clone() }),
        };
        let access = if shape == 3 { odd } else { json!({ "value": "access NaN", "expiresAt": odd }) };
        let tokens = json!({ "accessToken": access, "refreshToken": refresh });
        let mut text = match wrap {
            0 => json!({ "clientId": "x", "tokens": tokens }),
            1 => json!({ "clientId": role, "tokens": tokens, "more": [1] }),
            2 => json!(tokens.to_string()),
            _ => tokens,
        }.to_string();
        if nan && wrap == 3 {
            // Some writers put a bare NaN where there was no expiry.
            text = text.replacen("\"expiresAt\":null", "\"expiresAt\":NaN", 1);
        }
        let kept = Tokens::from_json(&text).unwrap().refresh.unwrap();
        prop_assert_eq!(kept.value.expose(), token);
    }
}

fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof!["visitor", "member", "none", "Visitor", "admin"].prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((any::<String>(), inner), 0..3).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
