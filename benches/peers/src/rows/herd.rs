//! `herd` and `herd-fail`: ten thousand callers at once who find one token expired, and how often that makes the endpoint work.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::Runtime,
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout_at,
};
use wix_visitor_core::{AccessToken, RefreshToken, Role as Whose, Timestamp, Tokens, Visitor};

use crate::{
    Result,
    endpoint::{Answers, Endpoint},
    peers::{Aws, Azure, GcpAuth, Google, Peer, Yup},
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    site::site_at,
};

const CALLERS: usize = 10_000;
const ENDPOINT: Duration = Duration::from_millis(20);

pub(crate) fn row() -> Row {
    Row {
        id: "herd",
        work: "10,000 callers, expired, 20 ms endpoint",
        unit: Unit::Milliseconds,
        goals: vec![Goal(Of::Counted(GRANTS), Bound::Equal(1.0)), Goal(Of::Limit, Bound::Most(1.5))],
        run: Box::new(|rounds| run(rounds, 200)),
    }
}

/// Until all have its error; who asks again and again is cut off.
pub(crate) fn failing() -> Row {
    Row {
        id: "herd-fail",
        work: "the same, endpoint failing",
        unit: Unit::Milliseconds,
        goals: vec![Goal(Of::Counted(GRANTS), Bound::Equal(1.0))],
        run: Box::new(|rounds| run(rounds, 503)),
    }
}

fn run(rounds: &Rounds, status: u16) -> Result<Outcome> {
    let stage = Stage {
        runtime: Runtime::new()?,
        endpoint: Endpoint::start()?,
        status,
        // Some would take minutes.
        patience: Duration::from_millis(if rounds.quick { 500 } else { 2_000 }),
        noted: RefCell::default(),
    };
    let client = reqwest::Client::new();
    let alone = format!("{}/token", stage.url("alone", false));
    let sides = vec![
        Side::ours(|| stage.ours()),
        stage.peer::<Yup>(),
        stage.peer::<GcpAuth>(),
        stage.peer::<Google>(),
        stage.peer::<Azure>(),
        stage.peer::<Aws>(),
        Side::limit(WOKEN, || stage.woken()),
        Side::limit("one request", || {
            stage.runtime.block_on(async {
                let start = Instant::now();
                client.post(&alone).send().await?.bytes().await?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            })
        }),
    ];
    let sides = rounds.alternate(sides)?;
    let woken = sides.iter().find(|side| side.name == WOKEN).map(|woken| sides[0].median() / woken.median());
    let mut counted: Vec<_> = woken.into_iter().map(|times| ("× tasks that are woken, and no more", times)).collect();
    for Noted { by, grants, unserved } in stage.noted.into_inner() {
        // Of a handful of names, once.
        let of = |what: &str| &*format!("{what} {by}").leak();
        counted.push((if by == OURS { GRANTS } else { of("grants by") }, grants as f64));
        if unserved > 0 {
            counted.push((of("callers left by"), unserved as f64));
        }
    }
    Ok(Outcome { sides, counted, ..Outcome::default() })
}

const OURS: &str = "wix-visitor";
/// What it takes to make ten thousand tasks wait for one request, and to wake them.
const WOKEN: &str = "one request, and whoever waits for it";
const GRANTS: &str = "grants";

struct Stage {
    runtime: Runtime,
    endpoint: Endpoint,
    status: u16,
    patience: Duration,
    noted: RefCell<Vec<Noted>>,
}

/// Of all rounds the most.
struct Noted {
    by: &'static str,
    grants: u64,
    /// How many had no token when our patience ended: what is shown as the time is then too short, to the peer's favour.
    unserved: usize,
}

impl Stage {
    fn url(&self, name: &str, first_has_ended: bool) -> String {
        self.endpoint.url(name, Answers { status: self.status, after: ENDPOINT, first_has_ended })
    }

    /// A visitor whose access token has ended, in a site of its own: what is known of an endpoint that fails is known for a while.
    fn ours(&self) -> Result<f64> {
        self.runtime.block_on(async {
            let name = unique();
            let visitor = site_at(&self.url(&name, false))?.visitor("default");
            let ended = AccessToken::new("a".repeat(1000), Timestamp::from_millis(0));
            let refresh = RefreshToken::new("r".repeat(700), Whose::Visitor);
            visitor.set_tokens(Tokens::new(Some(ended), Some(refresh))).await?;
            let herd = Herd::gather(|visitor: Arc<Visitor>| async move { visitor.authorization().await.is_ok() }).await;
            let start = Instant::now();
            herd.call(visitor);
            self.served(herd, OURS, &name, 0, start).await
        })
    }

    /// Callers who do nothing but wait for one request: the first of them has it sent.
    fn woken(&self) -> Result<f64> {
        self.runtime.block_on(async {
            let request = reqwest::Client::new().post(format!("{}/token", self.url("woken", false)));
            let (tell, told) = watch::channel(false);
            let first = Mutex::new(Some((request, tell)));
            let herd = Herd::gather(|shared: Arc<(Mutex<Option<_>>, watch::Receiver<bool>)>| async move {
                let (first, told) = &*shared;
                let first = first.lock().ok().and_then(|mut first| first.take());
                if let Some((request, tell)) = first {
                    tokio::spawn(async move {
                        let request: reqwest::RequestBuilder = request;
                        let tell: watch::Sender<bool> = tell;
                        if let Ok(answer) = request.send().await {
                            let _ = answer.bytes().await;
                        }
                        tell.send_replace(true)
                    });
                }
                told.clone().wait_for(|told| *told).await.is_ok()
            })
            .await;
            let start = Instant::now();
            herd.call((first, told));
            herd.end(start + self.patience).await;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
    }

    /// One whose token has ended. One that asks before anybody needs a token never finds that, but is without one at first.
    fn peer<P: Peer>(&self) -> Side<'_> {
        Side::peer(P::NAME, || {
            self.runtime.block_on(async {
                let name = unique();
                let url = self.url(&name, !P::ASKS_AHEAD);
                let herd = Herd::gather(|peer: Arc<P>| async move { peer.token().await.is_ok() }).await;
                if P::ASKS_AHEAD {
                    let start = Instant::now();
                    herd.call(P::new(&url).await?);
                    return self.served(herd, P::NAME, &name, 0, start).await;
                }
                let peer = P::new(&url).await?;
                peer.token().await?;
                let before = self.endpoint.count(&name).await?;
                let start = Instant::now();
                herd.call(peer);
                self.served(herd, P::NAME, &name, before, start).await
            })
        })
    }

    /// How many milliseconds it took until all were served.
    async fn served<T>(&self, herd: Herd<T>, by: &'static str, name: &str, before: u64, start: Instant) -> Result<f64> {
        herd.end(start + self.patience).await;
        let took = start.elapsed();
        let unserved = herd.unserved(self.status == 200);
        let grants = self.endpoint.count(name).await? - before;
        let mut noted = self.noted.borrow_mut();
        match noted.iter_mut().find(|noted| noted.by == by) {
            Some(noted) => {
                noted.grants = noted.grants.max(grants);
                noted.unserved = noted.unserved.max(unserved);
            }
            None => noted.push(Noted { by, grants, unserved }),
        }
        Ok(took.as_secs_f64() * 1e3)
    }
}

/// Callers who wait for whom they are to call.
struct Herd<T> {
    callers: Vec<JoinHandle<()>>,
    gate: watch::Sender<Option<Arc<T>>>,
    tally: Arc<Tally>,
}

/// How many of the callers are done, and how many of these got a token.
#[derive(Default)]
struct Tally {
    tokens: AtomicUsize,
    done: AtomicUsize,
    all: Notify,
}

impl Tally {
    fn count(&self, token: bool) {
        self.tokens.fetch_add(token.into(), Ordering::Relaxed);
        if self.done.fetch_add(1, Ordering::AcqRel) + 1 == CALLERS {
            self.all.notify_one();
        }
    }
}

impl<T: Send + Sync + 'static> Herd<T> {
    async fn gather<C>(call: impl Fn(Arc<T>) -> C + Copy + Send + 'static) -> Self
    where
        C: Future<Output = bool> + Send + 'static,
    {
        let (gate, tally) = (watch::Sender::new(None), Arc::<Tally>::default());
        let callers = (0..CALLERS).map(|_| {
            let (mut gate, tally) = (gate.subscribe(), Arc::clone(&tally));
            tokio::spawn(async move {
                let callee = gate.wait_for(Option::is_some).await.map(|callee| callee.clone());
                drop(gate);
                if let Ok(Some(callee)) = callee {
                    tally.count(call(callee).await);
                }
            })
        });
        let herd = Self { callers: callers.collect(), gate, tally };
        // Until all have come to the gate.
        tokio::time::sleep(Duration::from_millis(50)).await;
        herd
    }

    fn call(&self, callee: T) {
        self.gate.send_replace(Some(Arc::new(callee)));
    }
}

impl<T> Herd<T> {
    /// Until all are done, or until then.
    async fn end(&self, latest: Instant) {
        let _ = timeout_at(latest.into(), self.tally.all.notified()).await;
    }

    /// How many did not get what an endpoint of this kind gives, a token or an error; they are sent away.
    fn unserved(self, works: bool) -> usize {
        let done = self.tally.done.load(Ordering::Acquire);
        let tokens = self.tally.tokens.load(Ordering::Relaxed);
        self.callers.iter().for_each(JoinHandle::abort);
        CALLERS - if works { tokens } else { done - tokens }
    }
}

/// A name that no other grant has.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
