//! `herd` and `herd-fail`: ten thousand callers at once who find one token expired, and how often that makes the endpoint work.

use std::{
    cell::RefCell,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::watch};
use wix_visitor_core::{AccessToken, RefreshToken, Role as Whose, Timestamp, Tokens, Visitor};

use crate::{
    Result,
    endpoint::{Answers, Endpoint},
    herd::{CALLERS, Callee, Herd},
    peers::{Aws, Azure, GcpAuth, Google, Peer, Yup},
    rounds::{Rounds, Side},
    row::{Bound, Goal, Of, Outcome, Row, Unit},
    site::site_at,
};

const ENDPOINT: Duration = Duration::from_millis(20);

pub(crate) fn row() -> Row {
    Row {
        id: "herd",
        work: "10,000 callers, expired, 20 ms endpoint",
        unit: Unit::Milliseconds,
        goals: vec![Goal(Of::Counted(GRANTS), Bound::Equal(1.0)), Goal(Of::Limit, Bound::Most(1.5))],
        // Whether the second processor is there at once for those who are woken differs from one round to the next.
        run: Box::new(|rounds| run(&rounds.finer(3), 200)),
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
        patience: Duration::from_millis(if rounds.quick { 500 } else { 1_000 }),
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

    /// A visitor whose access token has ended, in a site of its own: what is known of an endpoint that fails is known for a while. Like a
    /// peer, the site has asked for a token before.
    fn ours(&self) -> Result<f64> {
        self.runtime.block_on(async {
            let name = unique();
            let site = site_at(&self.url(&name, true))?;
            site.visitor("first").authorization().await?;
            let before = self.endpoint.count(&name).await?;
            let visitor = site.visitor("default");
            let ended = AccessToken::new("a".repeat(1000), Timestamp::from_millis(0));
            let refresh = RefreshToken::new("r".repeat(700), Whose::Visitor);
            visitor.set_tokens(Tokens::new(Some(ended), Some(refresh))).await?;
            let herd = Herd::gather().await;
            let start = Instant::now();
            herd.call(visitor);
            self.served(herd, OURS, &name, before, start).await
        })
    }

    /// Callers who do nothing but wait for one request.
    fn woken(&self) -> Result<f64> {
        self.runtime.block_on(async {
            let request = reqwest::Client::new().post(format!("{}/token", self.url("woken", false)));
            let (tell, told) = watch::channel(false);
            let herd = Herd::gather().await;
            let start = Instant::now();
            herd.call(Woken { first: Mutex::new(Some((request, tell))), told });
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
                let herd = Herd::gather().await;
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
    async fn served<T: Callee>(
        &self,
        herd: Herd<T>,
        by: &'static str,
        name: &str,
        before: u64,
        start: Instant,
    ) -> Result<f64> {
        herd.end(start + self.patience).await;
        let took = start.elapsed();
        let (well, ill) = herd.disband();
        let unserved = CALLERS - if self.status == 200 { well } else { ill };
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

impl Callee for Visitor {
    async fn call(&self) -> bool {
        self.authorization().await.is_ok()
    }
}

impl<P: Peer> Callee for P {
    async fn call(&self) -> bool {
        self.token().await.is_ok()
    }
}

/// The first caller has the request sent, and all wait for its end.
struct Woken {
    first: Mutex<Option<(reqwest::RequestBuilder, watch::Sender<bool>)>>,
    told: watch::Receiver<bool>,
}

impl Callee for Woken {
    async fn call(&self) -> bool {
        let first = self.first.lock().ok().and_then(|mut first| first.take());
        if let Some((request, tell)) = first {
            tokio::spawn(async move {
                if let Ok(answer) = request.send().await {
                    let _ = answer.bytes().await;
                }
                tell.send_replace(true)
            });
        }
        self.told.clone().wait_for(|told| *told).await.is_ok()
    }
}

/// A name that no other grant has.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
