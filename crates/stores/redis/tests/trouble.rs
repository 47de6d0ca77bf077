//! What servers do when they are in trouble, and what the store says of it.

#![allow(clippy::expect_used, clippy::unwrap_used)] // all of it is a test

mod support;

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{Fake, HOUR, Heard, Say, array, bulk, error, hello, key, nil, ok, record};
use wix_visitor_core::{Exchange, StoreError, StoreErrorKind, TokenStore};
use wix_visitor_redis::{RedisOptions, RedisStore};

const SOON: Duration = Duration::from_millis(400);

/// Whether it is the store's own question, rather than one of connecting.
fn is_swap(heard: &Heard) -> bool {
    matches!(heard.name(), "EVALSHA" | "EVAL")
}

/// Says one after the other to swaps and loads; the last one for ever.
async fn saying(answers: Vec<Say>) -> Fake {
    let next = AtomicUsize::new(0);
    Fake::start(move |heard| {
        (is_swap(heard) || heard.name() == "GETEX")
            .then(|| answers[next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone())
    })
    .await
}

async fn swap(store: &RedisStore) -> Result<Exchange, StoreError> {
    store.compare_exchange(&key(), None, &record(1, "mine"), HOUR).await
}

/// All that an error shows.
fn shown(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&format!("{inner} {inner:?}"));
        source = inner.source();
    }
    text
}

#[tokio::test]
async fn what_was_not_applied_is_repeated_until_it_is() {
    for code in [
        "@user_script: 1: -READONLY x",
        "LOADING x",
        "MASTERDOWN x",
        "READONLY x",
        "CLUSTERDOWN x",
        "TRYAGAIN x",
        "NOREPLICAS x",
        "BUSY x",
    ] {
        let fake = saying(vec![error(code), error(code), ok()]).await;
        assert_eq!(swap(&fake.store().await).await.unwrap(), Exchange::Swapped, "{code}");
        let fake = saying(vec![error(code), error(code), nil()]).await;
        assert_eq!(fake.store().await.load(&key()).await.unwrap(), None, "{code}");
    }
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_left() {
    let fake = Fake::start(|heard| {
        is_swap(heard).then(|| if heard.connection == 1 { error("READONLY you can't write here") } else { ok() })
    })
    .await;
    assert_eq!(swap(&fake.store().await).await.unwrap(), Exchange::Swapped);
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn what_would_not_pass_is_told_at_once() {
    use StoreErrorKind::{Corrupt, Misconfigured, Unavailable, Unsupported};
    for (says, kind) in [
        ("OOM command not allowed", Unavailable),
        ("MISCONF Redis is configured to save", Unavailable),
        ("WRONGTYPE Operation against a key", Corrupt),
        ("NOAUTH Authentication required.", Misconfigured),
        ("NOPERM this user has no permissions", Misconfigured),
        // In a script of Redis 7, of Valkey 9, and of Redis 6.2.
        ("ERR The user executing the script can't run this command or subcommand", Misconfigured),
        ("ERR ACL failure in script: User x has no permissions to run the 'get' command", Misconfigured),
        ("@user_script: 1: The user executing the script can't run this command or subcommand", Misconfigured),
        ("@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.", Unavailable),
        ("@user_script: 1: -WRONGTYPE Operation against a key", Corrupt),
        ("MOVED 1 127.0.0.1:1", Misconfigured),
        ("ERR unknown command 'EVALSHA', with args beginning with: 'x'", Unsupported),
    ] {
        let fake = saying(vec![error(says)]).await;
        let store = fake.store().await;
        let failed = swap(&store).await.unwrap_err();
        assert_eq!(failed.kind(), kind, "{says}: {failed}");
        assert_eq!(fake.heard("EVALSHA").len(), 1, "{says}");
    }
}

#[tokio::test]
async fn a_forgotten_script_is_sent_in_full_with_the_same_arguments() {
    let fake = saying(vec![error("NOSCRIPT No matching script."), ok()]).await;
    assert_eq!(swap(&fake.store().await).await.unwrap(), Exchange::Swapped);
    let (by_hash, in_full) = (fake.heard("EVALSHA"), fake.heard("EVAL"));
    assert_eq!((by_hash.len(), in_full.len()), (1, 1));
    assert_eq!(by_hash[0].words[2..], in_full[0].words[2..]);
    assert_eq!(in_full[0].words[3], format!("wix-visitor:{}", key().as_str()).into_bytes());
}

#[tokio::test]
async fn silence_is_unavailable_for_a_load_and_unknown_for_a_write_within_the_timeout() {
    let fake = saying(vec![Say::Nothing]).await;
    let store = fake.options().timeout(SOON).connect().await.unwrap();
    let began = Instant::now();
    let key = key();
    let (loaded, swapped) = tokio::join!(store.load(&key), swap(&store));
    assert_eq!(loaded.unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert_eq!(swapped.unwrap_err().kind(), StoreErrorKind::Unknown);
    assert!(began.elapsed() < 2 * SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_for_a_write_too() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let began = Instant::now();
    let failed = RedisOptions::new("127.0.0.1", gone).timeout(SOON).connect().await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unavailable, "{failed}");
    assert!(failed.to_string().contains("refused") && began.elapsed() < 2 * SOON, "{failed}");

    // Nothing but connecting goes wrong: so nothing can have been applied.
    let deaf = Fake::start(|heard| match heard.name() {
        "HELLO" if heard.connection > 1 => Some(Say::Nothing),
        "CONFIG" => Some(Say::LastWord(b"-NOPERM x\r\n".to_vec())),
        _ => None,
    })
    .await;
    let store = deaf.options().timeout(SOON).connect().await.unwrap();
    assert_eq!(swap(&store).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_repeated_and_recognised() {
    let mine = {
        let fake = saying(vec![ok()]).await;
        swap(&fake.store().await).await.unwrap();
        fake.heard("EVALSHA")[0].words[5].clone()
    };
    let fake = saying(vec![Say::Goodbye, bulk(&mine)]).await;
    assert_eq!(swap(&fake.store().await).await.unwrap(), Exchange::Swapped, "the first try was applied");
    let tries = fake.heard("EVALSHA");
    assert_eq!(tries[0].words, tries[1].words, "the same etag and bytes");

    let fake = saying(vec![bulk(&mine)]).await;
    let answer = swap(&fake.store().await).await.unwrap();
    assert_eq!(answer, Exchange::Conflict(Some(record(1, "mine"))), "an earlier call wrote it");

    let theirs = {
        let fake = saying(vec![ok()]).await;
        let store = fake.store().await;
        store.compare_exchange(&key(), None, &record(2, "theirs"), HOUR).await.unwrap();
        fake.heard("EVALSHA")[0].words[5].clone()
    };
    let fake = saying(vec![Say::Goodbye, bulk(&theirs)]).await;
    let failed = swap(&fake.store().await).await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unknown, "it may have been applied, and replaced since");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_noticed() {
    let fake = saying(vec![Say::LastWord(b"_\r\n".to_vec())]).await;
    let store = fake.store().await;
    for round in 1..=5 {
        assert_eq!(store.load(&key()).await.unwrap(), None);
        while fake.heard("GETEX").len() < round {
            tokio::task::yield_now().await;
        }
        // Nobody can see when the client hears of it, so it gets some time.
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Were it sent on the dead connection, nobody could say whether it was applied.
        let answer = swap(&store).await.unwrap();
        assert_eq!(answer, Exchange::Conflict(None));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fake.heard("EVALSHA").len(), 5);
}

#[tokio::test]
async fn a_password_that_is_put_right_works_without_a_restart() {
    let right = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let now = std::sync::Arc::clone(&right);
    let fake = Fake::start(move |heard| match heard.name() {
        "HELLO" if !now.load(Ordering::SeqCst) => Some(error("WRONGPASS invalid username-password pair")),
        "GETEX" => Some(Say::LastWord(b"_\r\n".to_vec())),
        _ => None,
    })
    .await;
    let store = fake.options().user("shop").password("hunter2").connect().await.unwrap();
    store.load(&key()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    right.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        let failed = store.load(&key()).await.unwrap_err();
        assert_eq!((failed.kind(), failed.is_transient()), (StoreErrorKind::Misconfigured, false), "{failed}");
    }
    right.store(true, Ordering::SeqCst);
    store.load(&key()).await.unwrap();
}

#[tokio::test]
async fn a_replica_a_sentinel_and_a_node_of_a_cluster_are_refused() {
    for (mode, role, kind, says) in [
        ("standalone", "replica", StoreErrorKind::Unavailable, "is a replica,"),
        ("sentinel", "master", StoreErrorKind::Misconfigured, "redis+sentinel:"),
        ("cluster", "master", StoreErrorKind::Misconfigured, "redis+cluster:"),
    ] {
        let fake = Fake::start(move |heard| (heard.name() == "HELLO").then(|| hello(mode, role))).await;
        let failed = fake.options().timeout(SOON).connect().await.unwrap_err();
        assert_eq!(failed.kind(), kind);
        assert!(failed.to_string().contains(says), "{failed}");
    }
    let turns = AtomicUsize::new(0);
    let fake = Fake::start(move |heard| {
        let role = || if turns.fetch_add(1, Ordering::SeqCst) < 6 { "replica" } else { "master" };
        (heard.name() == "HELLO").then(|| hello("standalone", role()))
    })
    .await;
    fake.options().connect().await.unwrap();
}

#[tokio::test]
async fn nothing_that_a_server_quotes_is_shown() {
    let quoting = |heard: &Heard| {
        let words: Vec<_> = heard.words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        words.join(" ").replace(['\r', '\n'], " ")
    };
    for code in ["ERR unknown command,", "ERR odd", "WRONGPASS", "NOPERM", "OOM", "WRONGTYPE", "secret-token", "ODD"] {
        let fake = Fake::start(move |heard| {
            (is_swap(heard) || heard.name() == "GETEX").then(|| error(&format!("{code} {}", quoting(heard))))
        })
        .await;
        let store = fake.options().timeout(SOON).connect().await.unwrap();
        let new = record(1, "secret-token");
        let swapped = store.compare_exchange(&key(), None, &new, HOUR).await.unwrap_err();
        for failed in [swapped, store.load(&key()).await.unwrap_err()] {
            let text = shown(&failed);
            assert!(!text.contains("secret-token") && !text.contains(key().as_str()), "{text}");
        }
        let fake =
            Fake::start(move |heard| (heard.name() == "HELLO").then(|| error(&format!("{code} {}", quoting(heard)))))
                .await;
        let options = fake.options().timeout(SOON).user("shop-user").password("hunter2");
        let text = shown(&options.connect().await.unwrap_err());
        assert!(!text.contains("hunter2") && !text.contains("secret-token"), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_redis_is_said_to_be_none() {
    let fake = Fake::start(|_| Some(Say::LastWord(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()))).await;
    let failed = fake.options().timeout(SOON).connect().await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Misconfigured);
    assert!(failed.to_string().contains("not Redis"), "{failed}");
    let old = Fake::start(|_| Some(error("ERR unknown command `HELLO`, with args beginning with: `3`"))).await;
    let failed = old.options().connect().await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unsupported);
    assert!(failed.to_string().contains("6.2"), "{failed}");
}

#[tokio::test]
async fn who_goes_away_harms_nobody_and_nobody_gets_his_answer() {
    let fake = Fake::start(|heard| match heard.name() {
        "EVALSHA" => Some(Say::Nothing),
        // What was still to be said to the swap, then what is to be said to the load.
        "GETEX" => Some(Say::This(b"+OK\r\n_\r\n".to_vec())),
        _ => None,
    })
    .await;
    let store = fake.store().await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { swap(&store).await }
    });
    while fake.heard("EVALSHA").is_empty() {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(store.load(&key()).await.unwrap(), None);
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn too_few_replicas_are_unknown_and_hold_up_nobody_else() {
    let fake = Fake::start(|heard| match heard.name() {
        "EVALSHA" => Some(ok()),
        "WAIT" if heard.words[1] == b"1" => Some(Say::This(b":1\r\n".to_vec())),
        "WAIT" if heard.words[1] == b"2" => Some(Say::This(b":1\r\n".to_vec())),
        "WAIT" => Some(Say::Nothing),
        "GETEX" => Some(nil()),
        _ => None,
    })
    .await;
    assert_eq!(swap(&fake.options().wait_replicas(1).connect().await.unwrap()).await.unwrap(), Exchange::Swapped);
    let failed = swap(&fake.options().wait_replicas(2).connect().await.unwrap()).await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unknown);
    assert!(failed.to_string().contains("1 of 2"), "{failed}");

    let store = fake.options().wait_replicas(3).connect().await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { swap(&store).await }
    });
    while fake.heard("WAIT").len() < 3 {
        tokio::task::yield_now().await;
    }
    let lane = fake.heard("WAIT")[2].connection;
    assert_eq!(store.load(&key()).await.unwrap(), None);
    assert_ne!(fake.heard("GETEX")[0].connection, lane, "who reads does not stand behind who waits");
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    let next = store.clone();
    let next = tokio::spawn(async move { swap(&next).await });
    while fake.heard("EVALSHA").len() < 4 {
        tokio::task::yield_now().await;
    }
    assert_ne!(fake.heard("EVALSHA")[3].connection, lane, "a connection that was left waiting is not used again");
    next.abort();
}

#[tokio::test]
async fn a_server_set_up_to_lose_visitors_is_warned_about() {
    let config = |policy: &'static str, log: &'static str, save: &'static str| {
        Fake::start(move |heard| {
            let value = match heard.words.get(2).map(Vec::as_slice) {
                Some(b"maxmemory-policy") => policy,
                Some(b"appendonly") => log,
                Some(b"save") => save,
                _ => return None,
            };
            let name = std::str::from_utf8(&heard.words[2]).unwrap();
            Some(array(&[name, value]))
        })
    };
    assert!(config("noeviction", "yes", "").await.store().await.warnings().is_empty());
    assert!(config("noeviction", "no", "3600 1").await.store().await.warnings().is_empty());
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let store = config(policy, "yes", "").await.store().await;
        assert!(store.warnings()[0].contains(policy) && store.warnings().len() == 1, "{:?}", store.warnings());
    }
    let store = config("noeviction", "no", "").await.store().await;
    assert!(store.warnings()[0].contains("appendonly yes"), "{:?}", store.warnings());

    // Without the right to ask in the one way, in the other; without both, nothing is said.
    let fake = Fake::start(|heard| {
        (heard.name() == "INFO").then(|| bulk(b"# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-random\r\n"))
    })
    .await;
    assert!(fake.store().await.warnings()[0].contains("allkeys-random"));
    assert!(Fake::start(|_| None).await.store().await.warnings().is_empty());
}

#[tokio::test]
async fn a_connection_of_the_application_serves_as_well() {
    let fake = saying(vec![ok(), nil()]).await;
    let client = redis::Client::open(format!("redis://{}?protocol=resp3", fake.address)).unwrap();
    let store = RedisStore::with_connection(client.get_multiplexed_async_connection().await.unwrap());
    assert_eq!(swap(&store).await.unwrap(), Exchange::Swapped);
    assert_eq!(store.load(&key()).await.unwrap(), None);
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let mut connecting = std::pin::pin!(RedisOptions::new("127.0.0.1", 1).connect());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(failed)) = connecting.as_mut().poll(&mut context) else {
        panic!("it waits for something")
    };
    assert_eq!(failed.kind(), StoreErrorKind::Misconfigured);
    assert!(failed.to_string().contains("tokio runtime"), "{failed}");
}

#[tokio::test]
async fn no_debug_shows_a_password() {
    let fake = Fake::start(|_| None).await;
    let options = fake.options().user("shop-user").password("hunter2");
    let text = format!("{options:?} {options:#?} {:?}", options.clone().connect().await.unwrap());
    assert!(!text.contains("hunter2") && text.contains(&fake.address.to_string()), "{text}");
}

#[tokio::test]
async fn that_there_was_no_time_to_look_at_the_set_up_is_a_warning_too() {
    let fake = Fake::start(|heard| (heard.name() == "CONFIG").then_some(Say::Nothing)).await;
    let store = fake.options().timeout(SOON).connect().await.unwrap();
    assert_eq!(store.warnings().len(), 1);
    assert!(store.warnings()[0].contains("not to be found out"), "{:?}", store.warnings());
}
