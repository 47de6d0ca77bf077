//! Two instances of the shop on one Redis under a closed-loop load, with an endpoint that fails and instances that are killed.
//!
//! wrk makes the load, with `tests/load/shoppers.lua`. What became of everybody is judged by what the shoppers met, by what the sandbox
//! saw, and in the end by each one's cart.

pub mod balancer;
pub mod report;
pub mod shopper;
pub mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use wix_visitor_testkit::ledger::note_secret;
use wix_visitor_testkit::sandbox::{Fault, Sandbox, SandboxOptions};

use self::shopper::Shopper;
use self::witness::{Witness, now_ms};
use crate::redis::ServerOptions;
use crate::storefront::{Storefront, StorefrontOptions};

/// What is asked of a run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many shoppers there are.
    pub shoppers: u32,
    /// How long they shop.
    pub time: Duration,
    /// How long each thinks between an answer and the next request, on average.
    pub think: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was asked.
    pub shoppers: u32,
    /// How long they shopped.
    pub time: Duration,
    /// Carts read, and things put into them.
    pub reads: u64,
    /// Things put into carts.
    pub adds: u64,
    /// Answers of each instance.
    pub answers: [u64; 2],
    /// Half of the answers took no longer, in microseconds, and 99 of a hundred.
    pub latency: [u64; 2],
    /// How often an instance was killed and started again.
    pub kills: usize,
    /// Requests that the other instance answered, since the first was gone.
    pub moved: u64,
    /// Requests that were lost with an instance.
    pub lost: u64,
    /// Requests for tokens.
    pub asked: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Visitors made, and renewals granted.
    pub mints: u64,
    /// Renewals granted.
    pub renewals: u64,
    /// Answers above 499 for shoppers that had a usable token.
    pub refused: u64,
    /// Such answers for shoppers that had none, or not beyond doubt.
    pub excused: u64,
    /// What must never be, in words.
    pub findings: Vec<String>,
}

impl Outcome {
    /// Whether all is as promised, and enough happened to tell.
    pub fn holds(&self) -> bool {
        self.findings.is_empty() && self.refused == 0
    }
}

type Failed = Box<dyn Error + Send + Sync>;

type Happening = fn(Fault) -> Fault;

/// How many requests for tokens of a hundred fail: answered 503, cut off before they act, and cut off after they acted. Of those that
/// pass one, the next takes its share, so that it is thirty in all. Most are answered: after a lost answer a visitor is left alone for
/// a lease, which is most of a short run.
const FAULTS: [(Happening, u8); 3] =
    [(|fault| fault.status(503), 22), (Fault::reset, 5), (Fault::reset_after_acting, 6)];

/// For how long an instance that was killed is away.
const AWAY: Duration = Duration::from_secs(2);

/// How long the last look at each cart may take: a visitor without a token may have to wait out a pause.
const LAST_LOOK: Duration = Duration::from_secs(90);

/// Does it.
///
/// # Errors
/// Where something that is needed cannot be started or read.
///
/// # Panics
/// When a server cannot be started.
pub async fn run(load: Load, tell: impl Fn(&str)) -> Result<Outcome, Failed> {
    let lifetime = (load.time * 3 / 4).min(Duration::from_secs(60));
    let sandbox = Sandbox::start_on_thread(SandboxOptions::new().token_lifetime(lifetime.as_secs()))?;
    let witness = Witness::of(&sandbox);
    for (fault, percent) in FAULTS {
        sandbox.fault(fault(Fault::on_token()).always().percent(percent));
    }
    // It is not killed here, and need not wait for a busy disk.
    let redis = ServerOptions::default().line("appendonly no").start().await;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    // The most that the policy lets a store take: the machine is busy.
    let store = format!("{}?timeout_ms=1900", redis.url());
    let start = async |folder: &TempDir| {
        StorefrontOptions::new(sandbox.url(), folder.path()).store(&store).log("warn").start().await
    };
    let mut shops = [start(&folders[0]).await, start(&folders[1]).await];
    let balancer = balancer::start([shops[0].address(), shops[1].address()]).await?;

    tell("shoppers come");
    let mut wrk = Command::new("wrk");
    let threads = load.shoppers.to_string();
    wrk.args(["-t", &threads, "-c", &threads, "--timeout", "60s", "-d", &format!("{}s", load.time.as_secs()), "-s"])
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("load/shoppers.lua"))
        .arg(format!("http://{}", balancer.address))
        .args(["--", &load.think.as_millis().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let wrk = wrk.spawn().map_err(|error| {
        format!("cannot start wrk ({error}); install it with: cargo xtask setup, or: sudo apt-get install -y wrk")
    })?;
    let begun = Instant::now();
    let mut kills = Vec::new();
    // After most have begun; where there is time, once a minute, by turns.
    let rounds = u32::try_from(load.time.as_secs() / 60).unwrap_or(1).max(1);
    let shopping = wrk.wait_with_output();
    tokio::pin!(shopping);
    let mut output = None;
    for round in 0..rounds {
        let at = begun + load.time * (5 * round + 3) / (5 * rounds);
        tokio::select! {
            done = &mut shopping => { output = Some(done?); break }
            () = sleep_until(at) => {}
        }
        let shop = &mut shops[usize::from(round % 2 == 1)];
        kills.push(now_ms());
        shop.kill();
        sleep(AWAY).await;
        shop.start().await;
        tell("one instance was killed, and is back");
    }
    let output = match output {
        Some(output) => output,
        None => shopping.await?,
    };
    let asked = witness.asked();
    sandbox.clear_faults();
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("wrk failed ({})", output.status).into());
    }
    tell("the last look at each cart");

    let shoppers: Vec<Shopper> = text.lines().filter_map(Shopper::read).collect();
    let mut outcome = Outcome {
        shoppers: load.shoppers,
        time: load.time,
        reads: shoppers.iter().map(|shopper| shopper.reads).sum(),
        adds: shoppers.iter().map(|shopper| shopper.adds).sum(),
        answers: [0, 1].map(|n: usize| balancer.tally.answers[n].load(Relaxed)),
        latency: report::latency(&text).unwrap_or_default(),
        kills: kills.len(),
        moved: balancer.tally.moved.load(Relaxed),
        lost: balancer.tally.lost.load(Relaxed),
        asked: asked.0,
        failed: asked.1,
        mints: sandbox.mints(),
        renewals: sandbox.renewals(),
        ..Outcome::default()
    };
    let mut finding = |what: String| outcome.findings.push(what);
    for shopper in &shoppers {
        note_secret(shopper.cookie.split(['=', '.']).nth(1).unwrap_or_default());
        if !shopper.findings.is_empty() {
            finding(format!("shopper {} {}", shopper.number, shopper.findings));
        }
    }
    let owners = last_look(&shoppers, &shops, &sandbox, &mut finding).await?;
    let strangers = witness.served().difference(&owners.values().cloned().collect()).count();
    if strangers > 0 {
        finding(format!("{strangers} visitors were served whom no shopper has"));
    }
    // Enough has to have happened, or nothing was shown.
    let all = u32::try_from(shoppers.len()).unwrap_or_default();
    let begun = shoppers.iter().filter(|shopper| shopper.begun.is_some_and(|at| Some(&at) < kills.last()));
    let (begun, needed) = (begun.count(), u64::from(load.shoppers) * load.time.as_secs() / 40);
    for (holds, what) in [
        (all == load.shoppers, format!("wrk told of {all} shoppers")),
        (begun * 2 > shoppers.len(), format!("only {begun} had something in their carts before the last kill")),
        (outcome.reads >= needed, format!("only {} carts were read, of {needed} at least", outcome.reads)),
        (outcome.answers.iter().all(|count| count * 4 > outcome.reads), "one instance did it all".to_owned()),
        (!kills.is_empty(), "nobody was killed".to_owned()),
        (outcome.failed * 5 > outcome.asked && outcome.failed * 5 < outcome.asked * 2, "not 30 % failed".to_owned()),
        (outcome.renewals > u64::from(load.shoppers) / 5, "hardly a token was renewed".to_owned()),
    ] {
        if !holds {
            finding(format!("this shows nothing: {what}"));
        }
    }
    for shopper in &shoppers {
        for (from, to, _) in &shopper.failures {
            let had = |owner: &String| witness.had_token(owner, *from, *to, lifetime, &kills);
            let had = owners.get(&shopper.number).is_some_and(had);
            *(if had { &mut outcome.refused } else { &mut outcome.excused }) += 1;
        }
    }
    for mut shop in shops {
        let status = shop.stop().await;
        if !status.success() {
            outcome.findings.push(format!("an instance ended with {status}"));
        }
    }
    Ok(outcome)
}

/// Looks at each shopper's cart once more, on either instance by turns; returns whose visitor each is.
async fn last_look(
    shoppers: &[Shopper],
    shops: &[Storefront; 2],
    sandbox: &Sandbox,
    finding: &mut impl FnMut(String),
) -> Result<BTreeMap<u32, String>, Failed> {
    let asker = Asker {
        client: Client::builder(TokioExecutor::new()).build_http(),
        patience: Instant::now() + LAST_LOOK,
        turns: Arc::new(Semaphore::new(16)),
    };
    let mut looking = JoinSet::new();
    for (shopper, shop) in shoppers.iter().zip(shops.iter().cycle()) {
        let (asker, number, cookie, shop) = (asker.clone(), shopper.number, shopper.cookie.clone(), shop.url());
        looking.spawn(async move {
            let cart = asker.ask(Request::get(format!("{shop}/api/cart")), &cookie).await?;
            // The access token says whose session it is, without asking by whom else the sandbox is being called.
            let token = Request::post(format!("{shop}/wix-visitor/token"));
            let token = token.header(ORIGIN, &shop).header(CONTENT_TYPE, "application/json");
            let token = asker.ask(token, &cookie).await?;
            Ok::<_, Failed>((number, cart, token))
        });
    }
    let mut owners = BTreeMap::new();
    while let Some(looked) = looking.join_next().await {
        let (number, cart, token) = looked??;
        let shopper = shoppers.iter().find(|shopper| shopper.number == number);
        match cart {
            Ok(cart) if shopper.is_some_and(|shopper| is_the_same(&cart, shopper)) => {}
            Ok(cart) => finding(format!("shopper {number} has another cart in the end: {cart}, of {shopper:?}")),
            Err(status) => finding(format!("shopper {number} was answered {status} in the end")),
        }
        let token = token.ok().and_then(|token| Some(token["accessToken"]["value"].as_str()?.to_owned()));
        let owner = match token {
            Some(token) => sandbox.identity_of(&token)?,
            None => None,
        };
        match owner {
            Some(owner) => drop(owners.insert(number, owner)),
            None => finding(format!("shopper {number} is nobody's visitor in the end")),
        }
    }
    let distinct: BTreeSet<_> = owners.values().collect();
    if distinct.len() != owners.len() {
        finding(format!("{} shoppers are only {} visitors", owners.len(), distinct.len()));
    }
    Ok(owners)
}

#[derive(Clone, Debug)]
struct Asker {
    client: Client<HttpConnector, Empty<Bytes>>,
    patience: Instant,
    turns: Arc<Semaphore>,
}

impl Asker {
    /// The JSON of an answer, or its status where that is another one in the end: a server that cannot answer now is asked again.
    async fn ask(&self, request: Builder, cookie: &str) -> Result<Result<Value, StatusCode>, Failed> {
        let request = request.header(COOKIE, cookie).body(Empty::new())?;
        loop {
            let turn = self.turns.acquire().await?;
            let response = self.client.request(request.clone()).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            drop(turn);
            if status.is_success() {
                return Ok(Ok(serde_json::from_slice(&body)?));
            }
            if !status.is_server_error() || Instant::now() > self.patience {
                return Ok(Err(status));
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
}

const NAMES: [&str; 6] = [
    "Stoneware mug",
    "Porcelain espresso cup",
    "Linen tea towel",
    "Oak chopping board",
    "Glass teapot",
    "Beeswax candle",
];

fn is_the_same(cart: &Value, shopper: &Shopper) -> bool {
    let lines = cart["lines"].as_array().map_or(&[][..], Vec::as_slice);
    let quantity = |name: &str| {
        lines.iter().find(|line| line["name"] == name).map_or(0, |line| line["quantity"].as_u64().unwrap_or_default())
    };
    let bounds = shopper.least.iter().zip(&shopper.most);
    cart["who"] == "guest"
        && shopper.least.len() == NAMES.len()
        && lines.iter().all(|line| NAMES.iter().any(|name| line["name"] == *name))
        && NAMES.iter().zip(bounds).all(|(name, (least, most))| (*least..=*most).contains(&quantity(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_shoppers_cart_is_told_from_ones_own() {
        let five = Shopper { least: vec![2, 1, 0, 0, 0, 0], most: vec![2, 2, 0, 0, 0, 0], ..Shopper::default() };
        let cart = |mugs: u64, cups: u64| {
            json!({ "who": "guest", "lines": [
                { "name": "Stoneware mug", "quantity": mugs }, { "name": "Porcelain espresso cup", "quantity": cups }
            ] })
        };
        assert!(is_the_same(&cart(2, 1), &five) && is_the_same(&cart(2, 2), &five));
        for (mugs, cups) in [(1, 1), (2, 3), (3, 1), (0, 0)] {
            assert!(!is_the_same(&cart(mugs, cups), &five), "{mugs} {cups}");
        }
        assert!(!is_the_same(&json!({ "who": "guest", "lines": [] }), &five));
        assert!(!is_the_same(&json!({ "who": "member", "lines": cart(2, 1)["lines"] }), &five));
        let teapot = json!({ "name": "A teapot of somebody else's", "quantity": 1 });
        assert!(!is_the_same(&json!({ "who": "guest", "lines": [cart(2, 1)["lines"][0], teapot] }), &five));
    }
}
