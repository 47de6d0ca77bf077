//! Row A12: a server that throws records away, or keeps them in memory alone, is spoken of at the start.

use wix_visitor_core::TokenStore;
use wix_visitor_redis::RedisStore;
use wix_visitor_tests::redis::{Cluster, ServerOptions};
use wix_visitor_tests::trace;

async fn warnings(url: &str) -> String {
    trace::to_stderr();
    RedisStore::connect(url).await.unwrap().warnings().join("\n")
}

#[tokio::test]
async fn a_server_that_evicts_is_warned_of() {
    for policy in ["allkeys-lru", "allkeys-random", "volatile-ttl"] {
        let server = ServerOptions::default().line(format!("maxmemory-policy {policy}")).start().await;
        let warnings = warnings(&server.url()).await;
        assert!(warnings.contains(policy) && warnings.contains("noeviction"), "{warnings}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_nothing_on_disk_is_warned_of() {
    let server = ServerOptions::default().line("appendonly no").start().await;
    let found = warnings(&server.url()).await;
    assert!(found.contains("appendonly"), "{found}");
    let saves = ServerOptions::default().line("appendonly no").line("save 60 1").start().await;
    assert_eq!(warnings(&saves.url()).await, "");
}

#[tokio::test]
async fn one_node_of_a_cluster_that_evicts_is_warned_of() {
    let cluster = Cluster::start().await;
    assert_eq!(warnings(&cluster.url()).await, "");
    cluster.primaries()[1].tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let warnings = warnings(&cluster.url()).await;
    assert!(warnings.contains("allkeys-lru"), "{warnings}");
}

#[tokio::test]
async fn nothing_is_said_of_a_server_that_keeps_what_it_is_given() {
    let server = ServerOptions::default().start().await;
    assert_eq!(warnings(&server.url()).await, "");
}
