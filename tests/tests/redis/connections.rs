//! Ways to a server, and what is said where one is wrong.

use std::time::Duration;

use wix_visitor_core::{Entropy, Etag, Exchange, StoreErrorKind, StoreKey, Stored, SystemEntropy, TokenStore};
use wix_visitor_redis::{RedisOptions, RedisStore};
use wix_visitor_tests::redis::{Certificates, Cluster, Server, ServerOptions, until};
use wix_visitor_tests::trace;
use wix_visitor_tests::wait::until_it;

const HOUR: Duration = Duration::from_secs(3600);

fn key() -> StoreKey {
    StoreKey::parse("site/visitor").unwrap()
}

async fn write(store: &RedisStore) {
    let new = Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes: b"record".to_vec() };
    let standing = store.load(&key()).await.unwrap();
    let swapped = store.compare_exchange(&key(), standing.map(|old| old.etag).as_ref(), &new, HOUR).await.unwrap();
    assert_eq!(swapped, Exchange::Swapped);
    assert_eq!(store.load(&key()).await.unwrap(), Some(new));
}

async fn open(url: &str) -> RedisStore {
    trace::to_stderr();
    RedisStore::connect(url).await.unwrap()
}

async fn refused(options: RedisOptions) -> StoreErrorKind {
    trace::to_stderr();
    options.timeout(Duration::from_secs(1)).connect().await.unwrap_err().kind()
}

fn records(server: &Server, database: &str) -> usize {
    let keyspace = server.info(database).unwrap_or_default();
    let keys = keyspace.split(',').find_map(|part| part.strip_prefix("keys="));
    keys.map_or(0, |keys| keys.parse().unwrap())
}

#[tokio::test]
async fn records_are_in_the_database_that_the_url_names() {
    let server = ServerOptions::default().start().await;
    write(&open(&format!("{}/7", server.url())).await).await;
    write(&open(&format!("redis+unix://{}?db=3", server.socket().display())).await).await;
    assert_eq!(["db0", "db3", "db7"].map(|database| records(&server, database)), [0, 1, 1]);
}

#[tokio::test]
async fn two_prefixes_are_two_stores() {
    let server = ServerOptions::default().start().await;
    write(&open(&format!("{}?prefix=one:", server.url())).await).await;
    let other = open(&format!("{}?prefix=two:", server.url())).await;
    assert_eq!(other.load(&key()).await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_said_to_be_that() {
    let server = ServerOptions::default().with_password().start().await;
    write(&open(&server.url()).await).await;
    let without = || RedisOptions::new("127.0.0.1", server.port());
    assert_eq!(refused(without()).await, StoreErrorKind::Misconfigured);
    assert_eq!(refused(without().password("wrong")).await, StoreErrorKind::Misconfigured);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (ours, theirs) = (Certificates::default(), Certificates::default());
    let server = ServerOptions::default().tls(ours.folder()).start().await;
    let options = || RedisOptions::from_url(&server.url()).unwrap();
    write(&options().tls_ca(ours.authority()).connect().await.unwrap()).await;
    assert_eq!(refused(options().tls_ca(theirs.authority())).await, StoreErrorKind::Misconfigured);
    // And without TLS there is no answer that makes sense.
    let kind = refused(RedisOptions::new("127.0.0.1", server.port())).await;
    assert!(matches!(kind, StoreErrorKind::Misconfigured | StoreErrorKind::Unavailable), "{kind:?}");
}

/// Row C12.
#[tokio::test]
async fn the_first_operation_after_the_server_cut_an_idle_connection_works() {
    let server = ServerOptions::default().start().await;
    let store = open(&server.url()).await;
    for round in 0..20 {
        write(&store).await;
        server.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        if round % 2 == 0 {
            // The news of it is here before the next operation, or not.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(store.load(&key()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_replica_is_refused_and_its_primary_named() {
    let server = ServerOptions::default().start().await;
    let replica = ServerOptions::default().line(format!("replicaof 127.0.0.1 {}", server.port())).start().await;
    assert_eq!(refused(RedisOptions::new("127.0.0.1", replica.port())).await, StoreErrorKind::Unavailable);
}

/// Loads the record as often as that, by so many at once.
async fn crowd(store: &RedisStore, callers: usize, times: usize) {
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let store = store.clone();
        crowd.spawn(async move {
            for _ in 0..times {
                assert!(store.load(&key()).await.unwrap().is_some());
            }
        });
    }
    crowd.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connection_is_there_once_many_loads_are_under_way_and_not_before() {
    let server = ServerOptions::default().start().await;
    let store = open(&server.url()).await;
    write(&store).await;
    // Whoever asks is a client himself.
    let connections = || server.info("connected_clients").map(|clients| clients.parse::<usize>().unwrap() - 1);
    crowd(&store, 4, 200).await;
    assert_eq!(connections(), Some(1));
    until_it("a second connection", async || {
        crowd(&store, 64, 20).await;
        connections() == Some(2)
    })
    .await;
    // The second breaks: not even the first notices.
    let ids = || {
        let list: String = server.command(&["CLIENT", "LIST"]).unwrap();
        let others = list.lines().filter(|line| !line.contains("cmd=client"));
        others.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect::<Vec<_>>()
    };
    let [first, second] = &ids()[..] else { panic!("two connections: {:?}", ids()) };
    server.tell(&["CLIENT", "KILL", "ID", second.trim_start_matches("id=")]);
    crowd(&store, 64, 20).await;
    assert!(ids().contains(first) && !ids().contains(second), "{:?}", ids());
    // Both break, and nobody notices.
    for _ in 0..20 {
        server.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        crowd(&store, 64, 20).await;
    }
    assert!(connections().is_some_and(|connections| connections <= 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_no_second_connection_to_be_had_one_does() {
    let server = ServerOptions::default().start().await;
    let store = open(&server.url()).await;
    write(&store).await;
    server.tell(&["CONFIG", "SET", "maxclients", "1"]);
    crowd(&store, 64, 200).await;
    write(&store).await;
}

/// Row C12: a crowd over one connection, and each gets what is his.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_never_cross_visitors() {
    let (server, cluster) = tokio::join!(ServerOptions::default().start(), Cluster::start());
    for url in [server.url(), cluster.url()] {
        let store = open(&url).await;
        let mut crowd = tokio::task::JoinSet::new();
        for n in 0..200 {
            let store = store.clone();
            crowd.spawn(async move {
                let key = StoreKey::parse(&format!("crowd/{n}")).unwrap();
                let mut standing = None;
                for step in 0..10 {
                    let bytes = format!("{n} {step}").repeat(1 + n * step).into_bytes();
                    let new = Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes };
                    let old = standing.map(|old: Stored| old.etag);
                    let swapped = store.compare_exchange(&key, old.as_ref(), &new, HOUR).await.unwrap();
                    assert_eq!(swapped, Exchange::Swapped);
                    // Callers that go away in the middle of an answer leave it to nobody else.
                    if n % 5 == 0 {
                        tokio::select! {
                            biased;
                            _ = store.load(&key) => {}
                            () = tokio::task::yield_now() => {}
                        }
                    }
                    assert!(store.load(&key).await.unwrap().as_ref() == Some(&new));
                    standing = Some(new);
                }
            });
        }
        crowd.join_all().await;
    }
}

/// A server with a record, that can no longer save.
async fn that_cannot_save() -> (Server, RedisStore) {
    let options = ServerOptions::default().line("save 3600 1000").line("stop-writes-on-bgsave-error yes");
    let server = options.start().await;
    let store = open(&format!("{}?timeout_ms=1000", server.url())).await;
    write(&store).await;
    // What is to be saved cannot take the place of a folder with something in it.
    std::fs::create_dir_all(server.socket().with_file_name("dump.rdb").join("in the way")).unwrap();
    server.tell(&["BGSAVE"]);
    until("a save that failed", || server.info("rdb_last_bgsave_status").as_deref() == Some("err")).await;
    (server, store)
}

#[tokio::test]
async fn a_primary_that_cannot_save_is_read_and_not_written() {
    let (_server, store) = that_cannot_save().await;
    let standing = store.load(&key()).await.unwrap().expect("the record");
    let new = Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes: b"new".to_vec() };
    let error = store.compare_exchange(&key(), Some(&standing.etag), &new, HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert_eq!(store.load(&key()).await.unwrap(), Some(standing));
}

/// Row C11: nobody reads what a server has kept of old from the time when it was the primary.
#[tokio::test]
async fn a_primary_that_becomes_a_replica_shows_nothing_whether_it_can_save_or_not() {
    for saves in [true, false] {
        let (server, store) = if saves {
            let server = ServerOptions::default().start().await;
            let store = open(&format!("{}?timeout_ms=1000", server.url())).await;
            write(&store).await;
            (server, store)
        } else {
            that_cannot_save().await
        };
        // Of nobody: it keeps its connections and all that it has.
        server.tell(&["REPLICAOF", "127.0.0.1", "1"]);
        let error = store.load(&key()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        let new = Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes: b"new".to_vec() };
        let error = store.compare_exchange(&key(), None, &new, HOUR).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "a stale conflict is no answer: {error}");
    }
}
