//! The store contract, on every kind of server and by every way to it.

use wix_visitor_redis::RedisOptions;
use wix_visitor_testkit::conformance;
use wix_visitor_tests::redis::{Certificates, Cluster, Program, SentinelGroup, ServerOptions};

use crate::fixture::{As, Redis, Servers};

/// All of it holds, and all of it was put to the test.
async fn holds(fixture: Redis) {
    let report = conformance::all(&fixture).await;
    assert!(report.holds(), "{report}");
    assert_eq!(report.not_shown(), ["a_purge_drops_what_is_over_and_nothing_else"], "{report}");
}

async fn one() -> Redis {
    Redis::on(ServerOptions::default().start().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_value() {
    holds(one().await.handed(As::Value)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boxed() {
    holds(one().await.handed(As::Boxed)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared() {
    holds(one().await.handed(As::Shared)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed() {
    holds(one().await.handed(As::Sealed)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_6_2() {
    holds(Redis::on(ServerOptions::default().program(Program::Redis62).start().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_valkey() {
    holds(Redis::on(ServerOptions::default().program(Program::Valkey).start().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_connection_of_the_application() {
    let report = conformance::all(&one().await.over_a_given_connection()).await;
    assert!(report.holds(), "{report}");
    let not_shown = [
        "a_change_by_any_handle_is_told_to_all_who_listen",
        "every_record_that_stands_is_listed",
        "a_purge_drops_what_is_over_and_nothing_else",
    ];
    assert_eq!(report.not_shown(), not_shown, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_socket_with_a_password() {
    let server = ServerOptions::default().with_password().start().await;
    let url = format!("redis+unix://{}", server.socket().display());
    let options = RedisOptions::from_url(&url).unwrap().password(server.password().unwrap().expose());
    holds(Redis::new(Servers::One(Box::new(server)), options)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_tls() {
    let certificates = Certificates::default();
    let server = ServerOptions::default().with_password().tls(certificates.folder()).start().await;
    let options = RedisOptions::from_url(&server.url()).unwrap().tls_ca(certificates.authority());
    holds(Redis::new(Servers::One(Box::new(server)), options)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_sentinel_group_with_a_failover_in_place_of_a_crash() {
    let group = SentinelGroup::start().await;
    let options = RedisOptions::from_url(&format!("{}?wait_replicas=1", group.url())).unwrap();
    holds(Redis::new(Servers::Group(Box::new(group)), options)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_sentinel_group_through_tls() {
    let certificates = Certificates::default();
    let group = SentinelGroup::start_with(ServerOptions::default().tls(certificates.folder())).await;
    let options = RedisOptions::from_url(&format!("{}?tls=true", group.url())).unwrap();
    holds(Redis::new(Servers::Group(Box::new(group)), options.tls_ca(certificates.authority()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster() {
    let cluster = Cluster::start().await;
    let options = RedisOptions::from_url(&cluster.url()).unwrap();
    holds(Redis::new(Servers::Cluster(Box::new(cluster)), options)).await;
}
