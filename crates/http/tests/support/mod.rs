//! A server that answers by script, byte for byte, and remembers what it was asked.

// Each suite uses a part of it; what cannot be unwrapped here has failed the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as it came: head lines and body.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What the server does after it has read a request.
pub(crate) enum Answer {
    /// Writes this and closes.
    Say(Vec<u8>),
    /// Writes this and goes silent.
    Hold(Vec<u8>),
    /// Writes this and resets the connection.
    Reset(Vec<u8>),
    /// Writes this, then zeros for as long as somebody takes them.
    Flood(Vec<u8>),
    /// Writes this, then a byte every 20 ms.
    Drip(Vec<u8>),
}

/// A whole answer with a body and these further header lines.
pub(crate) fn answer(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for header in headers {
        out.push_str(header);
        out.push_str("\r\n");
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    Answer::Say(out)
}

pub(crate) fn json(status: &str, body: &str) -> Answer {
    answer(status, &["content-type: application/json"], body)
}

pub(crate) struct Server {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    written: Arc<Mutex<usize>>,
    // Ends all connections when dropped.
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts one that answers the nth request as told.
    pub(crate) async fn start(script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let written = Arc::<Mutex<usize>>::default();
        let mut tasks = JoinSet::new();
        let (seen, sent, script) = (Arc::clone(&received), Arc::clone(&written), Arc::new(script));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, sent, script) = (Arc::clone(&seen), Arc::clone(&sent), Arc::clone(&script));
                connections.spawn(async move {
                    serve(stream, &seen, &sent, &*script).await;
                });
            }
        });
        Self { url, received, written, _tasks: tasks }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn only(&self) -> Received {
        let mut all = self.received();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// How many bytes of a flood somebody took.
    pub(crate) fn written(&self) -> usize {
        *self.written.lock().unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Received>>,
    sent: &Mutex<usize>,
    script: &(impl Fn(usize, &Received) -> Answer + ?Sized),
) {
    let Some(request) = read(&mut stream).await else { return };
    let nth = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    match script(nth, &request) {
        Answer::Say(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // Closing with unread bytes would reset.
            let _ = stream.read(&mut [0; 64]).await;
        }
        Answer::Hold(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read(&mut [0; 64]).await;
        }
        Answer::Reset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            let _ = stream.set_zero_linger();
        }
        Answer::Flood(head) => {
            let _ = stream.write_all(&head).await;
            let zeros = vec![b'0'; 16 * 1024];
            while stream.write_all(&zeros).await.is_ok() {
                *sent.lock().unwrap() += zeros.len();
            }
        }
        Answer::Drip(head) => {
            let _ = stream.write_all(&head).await;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b" ").await.is_ok() {
                tick.tick().await;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<_> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let mut body = bytes.split_off(end);
    let chunked = find("transfer-encoding").is_some();
    let length = find("content-length").map_or(0, |l| l.parse().unwrap());
    while if chunked { !body.ends_with(b"0\r\n\r\n") } else { body.len() < length } {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received { line, headers, body })
}
