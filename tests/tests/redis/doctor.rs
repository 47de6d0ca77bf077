//! What the command says of a Redis that is not fit to keep visitors.

use std::process::{Command, Output, Stdio};

use wix_visitor_core::{StoreKey, TokenStore};
use wix_visitor_redis::RedisStore;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_testkit::sandbox::{Sandbox, SandboxOptions};
use wix_visitor_tests::command::wix_visitor;
use wix_visitor_tests::instance::CLIENT_ID;
use wix_visitor_tests::redis::{Cluster, Program, Server, ServerOptions};
use wix_visitor_tests::trace;

struct User {
    sandbox: Sandbox,
    key: String,
}

impl User {
    fn new() -> Self {
        Self { sandbox: Sandbox::start_on_thread(SandboxOptions::new()).unwrap(), key: secret_key("shopper") }
    }

    /// Exit code, stdout, and stderr without a log.
    fn run(&self, store: &str, command: &str) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = Command::new(wix_visitor())
            .args(command.split(' '))
            .env_remove("RUST_LOG")
            .env_remove("WIX_VISITOR_STORE_FILE")
            .env("WIX_VISITOR_STORE", store)
            .env("WIX_API_URL", self.sandbox.url())
            .env("WIX_CLIENT_ID", CLIENT_ID)
            .env("WIX_VISITOR", &self.key)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

fn keys(server: &Server) -> Vec<String> {
    server.command(&["KEYS", "*"]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_repeats_each_warning_and_every_command_says_it_once() {
    let options = ServerOptions::default().line("appendonly no").line("maxmemory-policy allkeys-lru");
    let (server, user) = (options.start().await, User::new());
    let (code, report, _) = user.run(&server.url(), "doctor");
    assert_eq!(code, Some(3), "{report}");
    for advice in ["set it to noeviction", "set appendonly yes"] {
        assert_eq!(report.matches(advice).count(), 1, "{report}");
    }
    for command in ["token", "status", "call GET /ecom/v1/carts/current"] {
        let (_, _, said) = user.run(&server.url(), command);
        for advice in ["set it to noeviction", "set appendonly yes"] {
            assert_eq!(said.matches(advice).count(), 1, "{command}: {said}");
        }
        assert!(said.contains("warning: "), "{said}");
    }
    let (_, _, said) = user.run(&server.url(), "--json status");
    assert!(said.contains(r#"{"warning":{"kind":"store","message":"maxmemory-policy is allkeys-lru"#), "{said}");

    let sound = ServerOptions::default().start().await;
    let (code, _, said) = user.run(&sound.url(), "token");
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_out_by_a_write_whether_redis_takes_any() {
    let (server, user) = (ServerOptions::default().start().await, User::new());
    // Without a visitor and with one.
    for command in ["status", "token"] {
        assert_eq!(user.run(&server.url(), command).0, Some(0));
        for (setting, harm, sound, says) in
            [("maxmemory", "1", "0", "out of memory"), ("min-replicas-to-write", "5", "0", "too few replicas")]
        {
            server.tell(&["CONFIG", "SET", setting, harm]);
            let (code, report, _) = user.run(&server.url(), "doctor");
            assert!(code == Some(5) && report.contains(says), "{report}");
            server.tell(&["CONFIG", "SET", setting, sound]);
            let (code, report, _) = user.run(&server.url(), "doctor");
            assert!(code == Some(0) && report.contains("can be opened and written"), "{report}");
        }
        let (code, report, _) = user.run(&format!("{}?wait_replicas=1", server.url()), "doctor");
        assert!(code == Some(5) && report.contains("0 of 1 replicas"), "{report}");
    }
}

#[tokio::test]
async fn a_look_at_its_health_leaves_every_record_as_it_is() {
    trace::to_stderr();
    let key = StoreKey::parse("site/visitor").unwrap();
    for program in [Program::Redis, Program::Redis62, Program::Valkey] {
        let server = ServerOptions::default().program(program).start().await;
        let store = RedisStore::connect(&server.url()).await.unwrap();
        store.health(&key, 1000).await.unwrap();
        assert_eq!(store.load(&key).await.unwrap(), None);
        assert!(keys(&server).is_empty(), "{program:?}");

        let name = format!("wix-visitor:{}", key.as_str());
        server.tell(&["SET", &name, "as it is", "PX", "5000000"]);
        store.health(&key, 1000).await.unwrap();
        assert_eq!(server.command::<String>(&["GET", &name]).unwrap(), "as it is");
        let left: i64 = server.command(&["PTTL", &name]).unwrap();
        assert!((4_000_000..=5_000_000).contains(&left), "{program:?}: {left}");
        assert_eq!(keys(&server), [name]);
    }
    let cluster = Cluster::start().await;
    RedisStore::connect(&cluster.url()).await.unwrap().health(&key, 1000).await.unwrap();
    assert!(cluster.primaries().into_iter().all(|node| keys(node).is_empty()));
}
