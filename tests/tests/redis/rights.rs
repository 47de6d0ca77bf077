//! The rights that the store's README asks for: enough for all it does, and not one too many.

use std::time::Duration;

use wix_visitor_core::{
    Change, Changes, ClientId, Entropy, Etag, Exchange, StoreError, StoreErrorKind, StoreKey, Stored, SystemEntropy,
    TokenStore,
};
use wix_visitor_redis::{RedisOptions, RedisStore};
use wix_visitor_testkit::conformance;
use wix_visitor_testkit::ledger::secret_key;
use wix_visitor_tests::redis::{Cluster, Server, ServerOptions};
use wix_visitor_tests::trace;

use crate::fixture::{Redis, Servers};

const README: &str = include_str!("../../../crates/stores/redis/README.md");
const USER: &str = "shop";
const HOUR: Duration = Duration::from_secs(3600);

/// What follows the user and the password in the README's `ACL SETUSER`.
fn rules() -> Vec<&'static str> {
    let line = README.lines().find_map(|line| line.split_once("ACL SETUSER ")).expect("a rule in the README").1;
    let words = line.trim_matches('`').split_whitespace().skip(1);
    words.filter(|word| *word != "on" && !word.starts_with('>')).collect()
}

/// A user with these rights, and its password.
fn with_user(options: ServerOptions, rules: &[&str]) -> (ServerOptions, String) {
    let password = secret_key("password");
    (options.line(format!("user {USER} on >{password} {}", rules.join(" "))), password)
}

/// Does all that a store does, and says what it found wrong with the server.
async fn everything(options: RedisOptions) -> Result<Vec<String>, StoreError> {
    trace::to_stderr();
    let store: RedisStore = options.timeout(Duration::from_millis(500)).connect().await?;
    let version = || Stored { etag: Etag::from_bits(SystemEntropy.draw()), bytes: b"record".to_vec() };
    for n in 0..20 {
        let key = StoreKey::parse(&format!("site/{n}-{:032x}", SystemEntropy.draw())).unwrap();
        let (first, second) = (version(), version());
        assert_eq!(store.load(&key).await?, None);
        assert_eq!(store.compare_exchange(&key, None, &first, HOUR).await?, Exchange::Swapped);
        assert_eq!(store.compare_exchange(&key, Some(&first.etag), &second, HOUR).await?, Exchange::Swapped);
        let conflict = store.compare_exchange(&key, None, &first, HOUR).await?;
        assert_eq!(conflict, Exchange::Conflict(Some(second.clone())));
        assert_eq!(store.load(&key).await?, Some(second));
    }
    listens(&store).await?;
    let mut from = None;
    loop {
        let page = store.list(None, from.as_ref(), 100).await?;
        from = page.next;
        if from.is_none() {
            return Ok(store.warnings());
        }
    }
}

/// Hears that it would hear.
async fn listens(store: &RedisStore) -> Result<(), StoreError> {
    let site = ClientId::new("site").unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let changes = Changes::new(move |change| drop(tell.send(change)));
    tokio::select! {
        Err(error) = store.watch(&site, &changes) => Err(error),
        change = told.recv() => {
            assert_eq!(change, Some(Change::Listening));
            Ok(())
        }
    }
}

/// A server that is warned of, so that the rights to see that count too.
async fn leaky_server(rules: &[&str]) -> (Server, RedisOptions) {
    let (options, password) =
        with_user(ServerOptions::default().line("appendonly no").line("maxmemory-policy allkeys-lru"), rules);
    let server = options.start().await;
    let reached = RedisOptions::from_url(&server.url()).unwrap().user(USER).password(password).database(1);
    (server, reached)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_in_the_readme_are_enough_for_the_whole_contract() {
    let (options, password) = with_user(ServerOptions::default(), &rules());
    let server = options.start().await;
    let options = RedisOptions::from_url(&server.url()).unwrap().user(USER).password(password);
    let report = conformance::all(&Redis::new(Servers::One(Box::new(server)), options)).await;
    assert!(report.holds(), "{report}");
    assert_eq!(report.not_shown(), ["a_purge_drops_what_is_over_and_nothing_else"], "{report}");
}

#[tokio::test]
async fn they_are_enough_for_a_cluster_which_needs_one_more_than_a_server() {
    let (options, password) = with_user(ServerOptions::default(), &rules());
    let cluster = Cluster::start_with(options).await;
    let options = RedisOptions::from_url(&cluster.url()).unwrap().user(USER).password(password);
    everything(options.clone()).await.unwrap();
    for node in cluster.nodes() {
        node.tell(&["ACL", "SETUSER", USER, "-cluster"]);
    }
    everything(options).await.unwrap_err();
}

#[tokio::test]
async fn none_of_them_is_too_many() {
    let rules = rules();
    let (_server, options) = leaky_server(&rules).await;
    let all = everything(options).await.unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    // Those of a cluster, and of who waits for replicas, are not needed here.
    let elsewhere = |rule: &str| ["+ping", "+cluster|slots", "+asking", "+wait"].contains(&rule);
    for rule in rules.iter().filter(|rule| rule.starts_with(['+', '~', '&']) && !elsewhere(rule)) {
        let fewer: Vec<_> = rules.iter().copied().filter(|other| other != rule).collect();
        let (_server, options) = leaky_server(&fewer).await;
        let without = everything(options).await;
        assert!(without.as_ref().ok() != Some(&all), "{rule} is not needed");
    }
}

#[tokio::test]
async fn who_may_not_list_is_told_which_rights_that_takes() {
    let rules = rules();
    for lacking in ["+scan", "+info"] {
        let fewer: Vec<_> = rules.iter().copied().filter(|rule| *rule != lacking).collect();
        let (_server, options) = leaky_server(&fewer).await;
        let store = options.connect().await.unwrap();
        let error = store.list(None, None, 10).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
        assert!(error.to_string().contains("+scan +info"), "{error}");
    }
}
