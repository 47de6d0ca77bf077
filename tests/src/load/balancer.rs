//! A load balancer on loopback: each request goes to the next instance in turn, and where that one is gone, to the other.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, http};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Marks an answer of the balancer itself: an instance went away with a request that cannot be repeated.
pub const LOST: &str = "x-lost";

/// What went through it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers of each instance.
    pub answers: [AtomicU64; 2],
    /// Requests that the other instance answered, since the first was gone.
    pub moved: AtomicU64,
    /// Requests that nobody answered.
    pub lost: AtomicU64,
}

#[derive(Debug)]
struct Balancer {
    instances: [String; 2],
    turn: AtomicUsize,
    client: Client<HttpConnector, Full<Bytes>>,
    tally: Arc<Tally>,
}

/// A balancer that runs; it ends when it is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// What went through it so far.
    pub tally: Arc<Tally>,
    accepting: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Starts one between two instances, which are named as `127.0.0.1:PORT`.
///
/// # Errors
/// When it cannot listen.
pub async fn start(instances: [String; 2]) -> std::io::Result<Running> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let tally = Arc::new(Tally::default());
    let client = Client::builder(TokioExecutor::new()).build_http();
    let balancer = Arc::new(Balancer { instances, turn: AtomicUsize::new(0), client, tally: Arc::clone(&tally) });
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let balancer = Arc::clone(&balancer);
            tokio::spawn(async move {
                let service = service_fn(|request| balancer.pass_on(request));
                // A shopper that leaves is no error.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(Running { address, tally, accepting })
}

impl Balancer {
    async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let first = self.turn.fetch_add(1, Relaxed) % 2;
        for (instance, moved) in [(first, 0), (1 - first, 1)] {
            match self.ask(&parts, &body, instance).await {
                Ok(response) => {
                    self.tally.answers[instance].fetch_add(1, Relaxed);
                    self.tally.moved.fetch_add(moved, Relaxed);
                    return Ok(response);
                }
                // As balancers do: what was not sent, or only reads, is asked of the other.
                Err(sent) if !sent || parts.method == Method::GET => {}
                Err(_) => break,
            }
        }
        self.tally.lost.fetch_add(1, Relaxed);
        let response = Response::builder().status(StatusCode::BAD_GATEWAY).header(LOST, "1");
        Ok(response.body(Full::default()).unwrap_or_default())
    }

    /// Asks an instance; the error is whether it may have got the request.
    async fn ask(
        &self,
        parts: &http::request::Parts,
        body: &Bytes,
        instance: usize,
    ) -> Result<Response<Full<Bytes>>, bool> {
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let uri: Uri = format!("http://{}{path}", self.instances[instance]).parse().map_err(|_| false)?;
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = parts.headers.clone();
        *request.uri_mut() = uri;
        let response = self.client.request(request).await.map_err(|error: Error| !error.is_connect())?;
        let (head, body) = response.into_parts();
        // Whole, or not at all: an instance may be killed in the middle of an answer.
        let body = body.collect().await.map_err(|_| true)?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}
