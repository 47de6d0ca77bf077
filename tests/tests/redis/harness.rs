//! What the suite rests on: that its servers are what they are taken for.

use std::process::Command;
use std::time::{Duration, Instant};

use wix_visitor_tests::redis::{Cluster, Program, SentinelGroup, ServerOptions, until};

#[tokio::test]
async fn each_server_starts_dies_and_comes_back_with_what_it_acknowledged() {
    for program in [Program::Redis, Program::Redis62, Program::Valkey] {
        let server = ServerOptions::default().program(program).with_password().start().await;
        server.tell(&["SET", "key", "value"]);
        server.kill();
        assert!(server.command::<String>(&["PING"]).is_err());
        server.start_again().await;
        assert_eq!(server.command::<String>(&["GET", "key"]).unwrap(), "value", "{program:?}");
        server.stop().await;
        server.start_again().await;
        assert_eq!(server.command::<String>(&["GET", "key"]).unwrap(), "value", "{program:?}");
    }
}

#[tokio::test]
async fn a_frozen_server_answers_when_it_goes_on() {
    let server = ServerOptions::default().start().await;
    server.freeze();
    assert!(server.command::<String>(&["PING"]).is_err());
    server.thaw();
    assert_eq!(server.command::<String>(&["PING"]).unwrap(), "PONG");
}

/// Not by `Drop`, which a killed process does not run.
#[test]
fn a_server_ends_with_the_process_that_started_it() {
    let this = std::env::current_exe().unwrap();
    let mut child = Command::new(this)
        .args(["--exact", "harness::a_process_with_a_server", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut told = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("server ").map(str::to_owned));
    let socket = told.next().unwrap();
    assert!(std::path::Path::new(&socket).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_ok() || std::path::Path::new(&socket).exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
#[ignore = "part of another test, which kills it"]
#[allow(clippy::print_stdout, reason = "to the test that started it")]
async fn a_process_with_a_server() {
    let server = ServerOptions::default().start().await;
    println!("\nserver {}", server.socket().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_group_gets_a_new_primary_when_its_own_dies_and_takes_the_old_one_back() {
    let group = SentinelGroup::start().await;
    let first = group.primary().unwrap();
    first.tell(&["SET", "key", "value"]);
    group.whole().await;
    first.kill();
    until("a new primary", || group.primary().is_some_and(|now| now.port() != first.port())).await;
    group.mend().await;
    assert_eq!(group.primary().unwrap().command::<String>(&["GET", "key"]).unwrap(), "value");
    assert_eq!(first.info("role").as_deref(), Some("slave"));
}

#[tokio::test]
async fn a_cluster_gets_a_new_primary_when_one_dies_and_can_move_a_slot() {
    let cluster = Cluster::start().await;
    let slot = cluster.slot("key");
    let first = cluster.primary_of(slot).unwrap();
    first.tell(&["SET", "key", "value"]);
    cluster.whole().await;
    first.kill();
    until("a new primary", || cluster.primary_of(slot).is_some_and(|now| now.port() != first.port())).await;
    cluster.mend().await;
    let second = cluster.primary_of(slot).unwrap();
    assert_eq!(second.command::<String>(&["GET", "key"]).unwrap(), "value");
    cluster.move_slot(slot, async {}).await;
    cluster.whole().await;
    let third = cluster.primary_of(slot).unwrap();
    assert_ne!(third.port(), second.port());
    assert_eq!(third.command::<String>(&["GET", "key"]).unwrap(), "value");
}
