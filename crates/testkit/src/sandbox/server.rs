//! Accepting connections, and each request's way through the sandbox.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    SandboxError, Switches,
    act::{self, Context, Done},
    asked::{Asked, RequestKind},
    clock::Clock,
    fault::{Delivery, Effect, Faults},
    gate::{Gates, Point},
    log::Log,
    persist::StateFile,
    reply::{self, Reply},
    state::State,
    wire::{self, Cut, ReplyBody, Wire, Withheld},
};

/// The most that a request may bring.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// Everything that the handle and the requests share.
pub(super) struct Shared {
    pub(super) addr: SocketAddr,
    pub(super) switches: RwLock<Switches>,
    pub(super) clock: Clock,
    pub(super) faults: Faults,
    pub(super) gates: Gates,
    pub(super) log: Log,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) has_file: bool,
    pub(super) kept: Mutex<Kept>,
}

/// The state, and the file that it is kept in.
pub(super) struct Kept {
    pub(super) state: State,
    pub(super) file: Option<StateFile>,
}

impl Shared {
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(super) fn switches(&self) -> Switches {
        self.switches.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does something to the state, on the file too where there is one: then this blocks.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, SandboxError> {
        let mut kept: MutexGuard<'_, Kept> = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { state, file } = &mut *kept;
        match file {
            Some(file) => file.change(state, act),
            None => Ok(act(state)),
        }
    }

    /// Acts on a request; what a state file costs is paid off the async threads.
    async fn act(self: &Arc<Self>, asked: &Arc<Asked>) -> Result<Done, Reply> {
        let shared = Arc::clone(self);
        let request = Arc::clone(asked);
        let act = move || {
            let context = Context {
                switches: shared.switches(),
                now_ms: shared.clock.now_ms(),
                url: shared.url(),
                faults: &shared.faults,
            };
            shared.change(|state| act::act(state, &context, &request))
        };
        let done = if self.has_file && act::needs_state(asked.kind) {
            match tokio::task::spawn_blocking(act).await {
                Ok(done) => done,
                Err(error) => return Err(broken(&error)),
            }
        } else {
            act()
        };
        done.map_err(|error| broken(&error))
    }
}

/// Nothing of what was asked took place.
fn broken(error: &dyn std::error::Error) -> Reply {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        why = format!("{why}: {error}");
        source = error.source();
    }
    tracing::error!("the sandbox cannot act: {why}");
    Reply::application_error(500, "SANDBOX_BROKEN", &why)
}

/// Accepts until the sandbox stops; then drops every connection. As many as there are file descriptors for, each with one request at
/// a time.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&shared), stream));
                }
                Err(error) => {
                    // Most likely out of file descriptors, which others will give back.
                    tracing::warn!("the sandbox cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    // Only speed is at stake.
    let _ = stream.set_nodelay(true);
    let cut = Cut::default();
    let wire = TokioIo::new(Wire::new(stream, cut.clone()));
    let service = service_fn(|request| serve(Arc::clone(&shared), cut.clone(), request));
    if let Err(error) = http1::Builder::new().serve_connection(wire, service).await {
        tracing::trace!("a connection to the sandbox ended: {error}");
    }
}

async fn serve(shared: Arc<Shared>, cut: Cut, request: Request<Incoming>) -> Result<Response<ReplyBody>, Withheld> {
    let request_id = reply::request_id(shared.clock.now_ms());
    let (parts, body) = request.into_parts();
    let Ok(body) = read(body).await else {
        let reply = Reply::application_error(413, "BODY_TOO_LARGE", "the body cannot be read");
        return wire::send(Delivery::Whole(reply), &cut, &request_id).await;
    };
    let asked = Asked::read(parts.method, &parts.uri, parts.headers, body);
    let effect = shared.faults.take(&asked);
    let fault = effect.as_ref().map(Effect::in_words);
    let number = shared.log.arrived(&asked, fault, shared.clock.now_ms());
    tracing::debug!(number, kind = ?asked.kind, method = %asked.method, "the sandbox was asked");

    // A server goes on with what it was asked when the client goes away, so the work is a task of its own.
    let (answer, answered) = oneshot::channel();
    let worker = Arc::clone(&shared);
    shared.tasks.spawn(async move {
        let stop = worker.stop.clone();
        tokio::select! {
            delivery = work(&worker, Arc::new(asked), effect, number) => {
                // Nobody listens when the client has gone.
                let _ = answer.send(delivery);
            }
            () = stop.cancelled() => {}
        }
    });
    let delivery = answered.await.map_err(|_| Withheld)?;
    wire::send(delivery, &cut, &request_id).await
}

async fn read(body: Incoming) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(body, LARGEST_BODY).collect().await?.to_bytes())
}

async fn work(shared: &Arc<Shared>, asked: Arc<Asked>, effect: Option<Effect>, number: u64) -> Delivery {
    let (delay, delay_after, acts) = match &effect {
        Some(effect) => (effect.delay, effect.delay_after, effect.acts()),
        None => (Duration::ZERO, Duration::ZERO, true),
    };
    let latency = match asked.kind {
        RequestKind::Preflight | RequestKind::Control => Duration::ZERO,
        _ => shared.switches().latency,
    };
    wait(latency.saturating_add(delay)).await;
    shared.gates.pass(&asked, Point::BeforeActing).await;
    let acted = if acts {
        Some(match shared.act(&asked).await {
            Ok(done) => {
                shared.log.acted(number, done.note);
                done.reply
            }
            Err(reply) => reply,
        })
    } else {
        None
    };
    shared.gates.pass(&asked, Point::AfterActing).await;
    wait(delay_after).await;
    let delivery = match (effect, acted) {
        (Some(effect), acted) => effect.deliver(acted),
        (None, Some(reply)) => Delivery::Whole(reply),
        // Without a fault every request acts.
        (None, None) => Delivery::Never,
    };
    shared.log.answered(
        number,
        match &delivery {
            Delivery::Whole(reply) | Delivery::Truncated(reply) | Delivery::Oversized(reply, _) => Some(reply.status),
            Delivery::Reset | Delivery::Never => None,
        },
    );
    delivery
}

/// No timer for no time: a test with paused time must not need to move it.
async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
