//! A URL that leads elsewhere than it says: the error names what is there, and what to write instead.

use std::time::{Duration, Instant};

use wix_visitor_core::StoreErrorKind::{self, Misconfigured, Unavailable};
use wix_visitor_redis::RedisOptions;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_tests::redis::sentinel::SERVICE;
use wix_visitor_tests::redis::{Certificates, Cluster, Program, SentinelGroup, ServerOptions};
use wix_visitor_tests::trace;

async fn refused(url: &str, kind: StoreErrorKind, says: &str) {
    with(RedisOptions::from_url(url).unwrap(), kind, says).await;
}

async fn with(options: RedisOptions, kind: StoreErrorKind, says: &str) {
    trace::to_stderr();
    let begun = Instant::now();
    let error = options.clone().connect().await.unwrap_err();
    eprintln!("{options:?}: {error} after {:?}", begun.elapsed());
    assert!(error.kind() == kind && error.to_string().contains(says), "{options:?}: {error}; not {kind:?}, {says:?}");
}

#[tokio::test]
async fn tls_to_a_server_that_speaks_none() {
    let certificates = Certificates::default();
    for program in [Program::Redis, Program::Redis62, Program::Valkey] {
        let server = ServerOptions::default().program(program).start().await;
        for scheme in ["rediss", "redis+cluster"] {
            let options = RedisOptions::from_url(&format!("{scheme}://{}?tls=true", server.address())).unwrap();
            with(options.tls_ca(certificates.authority()), Misconfigured, "TLS").await;
        }
    }
}

#[tokio::test]
async fn no_tls_to_a_server_that_speaks_nothing_else() {
    let server = ServerOptions::default().tls(Certificates::default().folder()).start().await;
    for scheme in ["redis", "redis+cluster"] {
        let options = RedisOptions::from_url(&format!("{scheme}://{}", server.address())).unwrap();
        with(options, Unavailable, "rediss: or tls=true").await;
    }
}

#[tokio::test]
async fn a_group_with_sentinels_by_another_url() {
    let group = SentinelGroup::start().await;
    let (sentinel, primary) = (&group.sentinels()[0], group.primary().unwrap());
    refused(&format!("redis://{}/3", sentinel.address()), Misconfigured, "is a Sentinel: use a redis+sentinel: URL")
        .await;
    refused(
        &format!("redis+cluster://{}", sentinel.address()),
        Misconfigured,
        "is a Sentinel: use a redis+sentinel: URL",
    )
    .await;
    refused(
        &format!("redis+cluster://{}", primary.address()),
        Misconfigured,
        "belongs to no cluster: use a redis: URL",
    )
    .await;
    refused(&format!("redis+sentinel://{}/{SERVICE}", primary.address()), Misconfigured, "is no Sentinel").await;
    refused(&format!("redis+sentinel://{}/shoes", sentinel.address()), Misconfigured, "\"shoes\"").await;
    let replica = group.servers().iter().find(|server| server.port() != primary.port()).unwrap();
    refused(&format!("redis://{}", replica.address()), Unavailable, &format!("a replica of {}", primary.address()))
        .await;
}

#[tokio::test]
async fn a_node_of_a_cluster_by_itself() {
    let cluster = Cluster::start().await;
    for node in [&cluster.nodes()[0], cluster.nodes().last().unwrap()] {
        refused(&format!("{}/3", node.url()), Misconfigured, "a node of a cluster: use a redis+cluster: URL").await;
        refused(&format!("redis+sentinel://{}/{SERVICE}", node.address()), Misconfigured, "is no Sentinel").await;
    }
}

#[tokio::test]
async fn a_socket_that_is_none() {
    let server = ServerOptions::default().start().await;
    let socket = server.socket();
    let folder = socket.parent().unwrap();
    std::fs::write(folder.join("file"), "").unwrap();
    let url = |path: &str| format!("redis+unix://{path}");
    refused(&url(&format!("{}/3", socket.display())), Misconfigured, "?db=3").await;
    refused(&url(&format!("{}/file", folder.display())), Misconfigured, "is not a socket").await;
    refused(&url(&folder.display().to_string()), Misconfigured, "is not a socket").await;
    refused(&url(&format!("{}/shoes", folder.display())), Unavailable, "there is no socket").await;
}

#[tokio::test]
async fn a_user_who_may_not_choose_a_database() {
    for program in [Program::Redis, Program::Redis62, Program::Valkey] {
        let password = secret_key("password");
        let user = format!("user shop on >{password} ~* +@all -select");
        let server = ServerOptions::default().program(program).line(user).start().await;
        let options = RedisOptions::from_url(&server.url()).unwrap().user("shop").password(password);
        options.clone().connect().await.unwrap();
        with(options.database(1), Misconfigured, "+select").await;
    }
}

#[tokio::test]
async fn what_is_wrong_is_known_long_before_the_timeout() {
    let server = ServerOptions::default().start().await;
    let begun = Instant::now();
    let url = format!("redis+sentinel://{}/{SERVICE}?timeout_ms=60000", server.address());
    refused(&url, Misconfigured, "is no Sentinel").await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}
