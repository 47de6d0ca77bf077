//! Putting an answer on the wire, whole or damaged as planned.

use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{self, HeaderName, HeaderValue},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{fault::Delivery, reply::Reply};

/// Set when a connection is to end with a reset instead of a farewell.
#[derive(Clone, Default)]
pub(super) struct Cut(Arc<AtomicBool>);

impl Cut {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A connection that resets when it is dropped after being cut.
pub(super) struct Wire {
    stream: TcpStream,
    cut: Cut,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, cut: Cut) -> Self {
        Self { stream, cut }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.cut.0.load(Ordering::SeqCst) {
            // Closing a socket that must not linger sends RST. Should that fail, the client sees the connection end anyway.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The answer was taken away on purpose.
#[derive(Debug)]
pub(super) struct Withheld;

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a planned fault took the answer away")
    }
}

impl std::error::Error for Withheld {}

/// Makes the response, or does what the fault says instead of responding.
pub(super) async fn send(delivery: Delivery, cut: &Cut, request_id: &str) -> Result<Response<ReplyBody>, Withheld> {
    match delivery {
        Delivery::Whole(reply) => {
            let body = ReplyBody::new([Step::Data(reply.body.clone())]);
            Ok(response(reply, request_id, body))
        }
        Delivery::Truncated(reply) => {
            let whole = reply.body.len();
            let half = reply.body.slice(..whole / 2);
            // The pauses let what was sent so far leave before the connection ends.
            let body = ReplyBody::new([Step::Data(half), Step::Pause, Step::Pause, Step::End]);
            let mut response = response(reply, request_id, body);
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(whole));
            Ok(response)
        }
        Delivery::Oversized(reply, bytes) => {
            let body = ReplyBody::new(oversized(&reply, bytes));
            Ok(response(reply, request_id, body))
        }
        Delivery::Reset => {
            cut.set();
            Err(Withheld)
        }
        Delivery::Never => std::future::pending().await,
    }
}

/// A JSON object grows by a last member full of padding, anything else by spaces at its end.
fn oversized(reply: &Reply, bytes: u64) -> Vec<Step> {
    match reply.body.strip_suffix(b"}") {
        Some(open) if open.len() > 1 => vec![
            Step::Data(reply.body.slice(..open.len())),
            Step::Data(Bytes::from_static(b",\"padding\":\"")),
            Step::Fill(b'x', bytes),
            Step::Data(Bytes::from_static(b"\"}")),
        ],
        _ => vec![Step::Data(reply.body.clone()), Step::Fill(b' ', bytes)],
    }
}

fn response(reply: Reply, request_id: &str, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    // An informational status is no answer, and the client would wait for one.
    *response.status_mut() = StatusCode::from_u16(reply.status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-wix-request-id", request_id),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "x-wix-request-id, x-wix-consistent, retry-after"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if let Some(Ok(content_type)) = reply.content_type.as_deref().map(HeaderValue::from_str) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    for (name, value) in &reply.headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => tracing::warn!("a planned header cannot be sent and is left out"),
        }
    }
    response
}

/// A body that comes in steps.
pub(super) struct ReplyBody {
    steps: VecDeque<Step>,
}

enum Step {
    Data(Bytes),
    /// So many bytes of one kind.
    Fill(u8, u64),
    /// Lets other work go on once.
    Pause,
    /// Ends the connection.
    End,
}

impl ReplyBody {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().filter(|step| !matches!(step, Step::Data(data) if data.is_empty())).collect() }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        const PIECE: u64 = 64 * 1024;
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Fill(byte, left)) => {
                let piece = left.min(PIECE);
                if left > piece {
                    self.steps.push_front(Step::Fill(byte, left - piece));
                }
                // A piece fits any address space.
                let piece = vec![byte; usize::try_from(piece).unwrap_or_default()];
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Some(Step::Pause) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::End) => Poll::Ready(Some(Err(io::Error::other(Withheld)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut data = 0;
        for step in &self.steps {
            match step {
                Step::Data(bytes) => data += bytes.len() as u64,
                _ => return SizeHint::default(),
            }
        }
        SizeHint::with_exact(data)
    }
}
