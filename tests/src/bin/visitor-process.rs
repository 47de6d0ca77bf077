//! A process that uses one visitor as its parent tells it to, for suites in which processes are killed, stopped and raced.
//!
//! ```text
//! WIX_VISITOR=<visitor key> WIX_VISITOR_STORE=<store URL> visitor-process <API URL> <pace> <seconds ahead>
//! ```
//!
//! The pace is grant, save, margin, lease, wait and look_after of the policy, in milliseconds, with commas between.
//!
//! The visitor key and the store's password are secrets, so they come by the environment; of tokens only fingerprints are told. Commands come by stdin,
//! one a line, and what happened is told by stdout, one JSON object a line:
//!
//! | command | then |
//! | --- | --- |
//! | `call N` | N callers at once ask for an authorization: `called`, when all have their answer |
//! | `leave` | those callers go away: `left` |
//! | `stop STEP`, `go` | whoever comes to this step of the protocol is stopped there: `at`; and goes on |
//! | `ahead SECONDS` | the wall clock is set further ahead |
//! | `add`, `cart` | puts something into the cart, or looks: `cart`, the cart's id |
//! | `set ACCESS REFRESH`, `forget` | a member signs in, whose access token lives for four hours; the visitor is forgotten: `done` |
//! | `status`, `events` | `status`, what is known of the visitor; `events`, their names since the last time |
//! | `return` | `main` returns, whatever is under way |
//! | `finish` | the same, after a shutdown: `closing` when that has begun, `closed` when it is done |

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use wix_visitor::{
    AccessToken, Clock, EventKind, Events, HttpOptions, Policy, RefreshToken, Role, Site, SiteVisitor, Tokens,
    open_store,
};
use wix_visitor_testkit::sandbox::fingerprint;
use wix_visitor_tests::ahead_clock::AheadClock;
use wix_visitor_tests::halting::HaltingStore;
use wix_visitor_tests::{cart, instance::CLIENT_ID, sealing, trace};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result<()> {
    trace::to_stderr();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, pace, ahead] = arguments.as_slice() else {
        return Err("give an API URL, a pace and how far the clock is ahead".into());
    };
    let clock = AheadClock::default();
    clock.advance(Duration::from_secs(ahead.parse()?));
    let policy = policy(pace)?;
    let store = open_store(&std::env::var("WIX_VISITOR_STORE")?).await?;
    let store = HaltingStore::new(sealing::as_asked(store), |step, _| say(&json!({ "at": step.to_string() })));
    let site = wix_visitor::builder(CLIENT_ID)
        .store(store.clone())
        .http(HttpOptions::new().base_url(url))
        .policy(policy)
        .clock(clock.clone())
        .connect()
        .await?;
    let visitor = site.visitor(std::env::var("WIX_VISITOR")?);
    let mut events = site.events();
    let mut call: Option<JoinHandle<()>> = None;
    let mut commands = commands();
    say(&json!({ "ready": true }));

    while let Some(line) = commands.recv().await {
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match command {
            "call" => {
                let (visitor, store) = (visitor.clone(), store.clone());
                let callers = rest.parse()?;
                call = Some(tokio::spawn(async move {
                    let mut answer = ask(&visitor, callers).await;
                    answer["loads"] = store.loads().into();
                    say(&json!({ "called": answer }));
                }));
            }
            "leave" => {
                if let Some(call) = call.take() {
                    call.abort();
                    // Its end is what is waited for, whichever it is.
                    let _ = call.await;
                }
                say(&json!({ "left": true }));
            }
            "stop" => store.stop_at(rest.parse()?),
            "go" => store.go(),
            "ahead" => clock.advance(Duration::from_secs(rest.parse()?)),
            "add" => say(&json!({ "cart": cart::fill(&visitor).await? })),
            "cart" => say(&json!({ "cart": cart::look(&visitor).await? })),
            "set" => {
                let (access, refresh) = rest.split_once(' ').ok_or("give two tokens")?;
                let access = AccessToken::new(access, clock.wall() + Duration::from_secs(4 * 3600));
                let tokens = Tokens::new(Some(access), Some(RefreshToken::new(refresh, Role::Member)));
                visitor.set_tokens(tokens).await?;
                say(&json!({ "done": true }));
            }
            "forget" => {
                visitor.forget().await?;
                say(&json!({ "done": true }));
            }
            "status" => say(&json!({ "status": status(&visitor).await? })),
            "events" => say(&json!({ "events": names(&mut events) })),
            "return" => {
                say(&json!({ "returning": true }));
                break;
            }
            "finish" => {
                shut_down(&site).await;
                break;
            }
            _ => return Err(format!("there is no command {command:?}").into()),
        }
    }
    Ok(())
}

/// A parent that went away may not hear it, and is no reason to stop half-way.
fn say(what: &Value) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{what}").and_then(|()| stdout.flush());
}

/// The lines of stdin, read on a thread of its own: one that waits for a line keeps no runtime from ending.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (send, receive) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

fn policy(pace: &str) -> Result<Policy> {
    let numbers = pace.split(',').map(|n| n.parse().map(Duration::from_millis)).collect::<Result<Vec<_>, _>>()?;
    let [grant, save, margin, lease, wait, look_after] = numbers[..] else {
        return Err("a pace is six numbers: grant, save, margin, lease, wait, look_after".into());
    };
    let mut policy = Policy::default();
    (policy.grant, policy.save, policy.margin, policy.lease) = (grant, save, margin, lease);
    (policy.wait, policy.look_after) = (wait, look_after);
    Ok(policy)
}

/// What so many callers at once are answered, each answer once.
async fn ask(visitor: &SiteVisitor, callers: usize) -> Value {
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let visitor = visitor.clone();
        calls.spawn(async move { visitor.authorization().await });
    }
    let (mut served, mut failed, mut lost) = (BTreeSet::new(), BTreeSet::new(), false);
    for answer in calls.join_all().await {
        match answer {
            Ok(authorization) => {
                served.insert(fingerprint(&String::from_utf8_lossy(authorization.as_ref())));
                lost |= authorization.lost().is_some();
            }
            Err(error) => {
                failed.insert(format!("{:?}: {}", error.kind(), error.message()));
            }
        }
    }
    json!({ "served": served, "failed": failed, "lost": lost })
}

async fn status(visitor: &SiteVisitor) -> Result<Value> {
    let status = visitor.status().await?;
    Ok(json!({
        "generation": status.generation,
        "alternates": status.alternates,
        "claimed": status.claimed,
        "saved": status.saved,
        "logged_in": visitor.logged_in().await?,
    }))
}

fn names(events: &mut Events) -> Vec<&'static str> {
    let name = |kind| match kind {
        EventKind::Minted => "minted",
        EventKind::Renewed { .. } => "renewed",
        EventKind::Adopted => "adopted",
        EventKind::VisitorLost(_) => "lost",
        EventKind::SavePending(_) => "save pending",
        EventKind::Saved => "saved",
        _ => "other",
    };
    std::iter::from_fn(|| events.try_recv()).map(|event| name(event.kind)).collect()
}

async fn shut_down(site: &Site) {
    let mut closing = std::pin::pin!(site.shutdown());
    // Its first step, before anybody is told that it was taken.
    let done = tokio::select! {
        biased;
        done = &mut closing => Some(done),
        () = std::future::ready(()) => None,
    };
    say(&json!({ "closing": true }));
    let done = match done {
        Some(done) => done,
        None => closing.await,
    };
    say(&json!({ "closed": done.err().map(|error| error.to_string()) }));
}
